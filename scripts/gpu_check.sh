#!/usr/bin/env bash
# One call on a machine with a GPU: builds for its architecture, runs the tests that need no video files, measures a forward
# pass at the real size beside diffusers, and ends with one table.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/gpu_check.sh [--carry FOLDER] [--build FOLDER] [--out FOLDER] [--jobs N] [--sanitize] [--no-bench]
                            [--no-compile] [--filter REGEX] [--help]

  --carry FOLDER  what scripts/gpu_carry.sh gathered (default .carry, where it is there)
  --build FOLDER  where to build (default build/gpu)
  --out FOLDER    logs, table.txt and the bench's JSON (default BUILD/check)
  --jobs N        compilations at a time (default: what the machine has)
  --sanitize      tests alone, compiled with AddressSanitizer and UndefinedBehaviorSanitizer; leaks are looked for by
                  scripts/test.sh --sanitize, because CUDA's libraries leave much behind
  --no-bench      no measurements
  --no-compile    leave torch.compile out of the comparison, which takes a minute
  --filter REGEX  only the tests whose names match, as ctest -R (default: all but app_, which need video libraries)

Exit code: 0 all passed, 2 bad usage, anything else: configuring, building, a test or a measurement failed.
EOT
}

fail_usage() {
  echo "gpu_check: $1; see scripts/gpu_check.sh --help" >&2
  exit 2
}

carry=.carry build="" out="" jobs=$(nproc) sanitize=no bench=yes filter="" compile=()
while [ $# -gt 0 ]; do
  case "$1" in
    --carry|--build|--out|--jobs|--filter)
      [ $# -ge 2 ] || fail_usage "$1 needs a value"
      case "$1" in
        --carry) carry=$2 ;;
        --build) build=$2 ;;
        --out) out=$2 ;;
        --jobs) jobs=$2 ;;
        --filter) filter=$2 ;;
      esac
      shift ;;
    --sanitize) sanitize=yes bench=no ;;
    --no-bench) bench=no ;;
    --no-compile) compile=(--no-compile) ;;
    --help|-h) usage; exit 0 ;;
    *) fail_usage "unknown argument '$1'" ;;
  esac
  shift
done
[[ "$jobs" =~ ^[1-9][0-9]*$ ]] || fail_usage "--jobs: found '$jobs', expected a number of at least 1"
[ -n "$build" ] || build=build/gpu
[ "$sanitize" = no ] || build=$build-sanitize
[ -n "$out" ] || out=$build/check
mkdir -p "$out"

# Each step writes a log of its own; the table at the end says how long it took and how it ended.
rows=() failed=0
step() {  # step NAME COMMAND...
  local name=$1 started=$SECONDS state=passed
  shift
  echo "gpu_check: $name"
  if ! "$@" > "$out/$name.log" 2>&1; then
    state=FAILED failed=1
    tail -n 40 "$out/$name.log"
  fi
  rows+=("$(printf '%-10s %-7s %5d s' "$name" "$state" $((SECONDS - started)))")
  [ "$state" = passed ]
}

table() {
  {
    echo "$(date -u +%F), $(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sort | uniq -c | sed 's/^ *//' | paste -sd, - || true)"
    printf '%s\n' "${rows[@]}"
    grep -hE '^[0-9]+% tests passed' "$out/tests.log" 2>/dev/null || true
    if [ -s "$out/forward.log" ]; then cat "$out/forward.log"; fi
  } | tee "$out/table.txt"
  exit "$failed"
}

options=(-G Ninja -DCMAKE_BUILD_TYPE=Release)
[ ! -d "$carry" ] || options+=("-DREHYAT_HEADERS=$(cd "$carry" && pwd)")
[ "$sanitize" = no ] || options+=(-DREHYAT_SANITIZER=address,undefined)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | tr -d . | paste -sd';' - || true)
[ -z "$capability" ] || options+=("-DCMAKE_CUDA_ARCHITECTURES=$capability")

step configure cmake -S . -B "$build" "${options[@]}" || table
step build cmake --build "$build" -- -j"$jobs" -k 20 || table

selection=(-E '^app_')
[ -z "$filter" ] || selection=(-R "$filter")
# CUDA maps memory where AddressSanitizer would guard a gap.
export ASAN_OPTIONS="detect_leaks=0:protect_shadow_gap=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:suppressions=$PWD/tests/sanitizer/ubsan.supp${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
step tests ctest --test-dir "$build" --output-on-failure --no-tests=error -j4 "${selection[@]}" || true

if [ "$bench" = yes ]; then
  peer=$(find "$carry" -name 'diffusers-*.whl' -print -quit 2>/dev/null || true)
  if [ -n "$peer" ]; then
    rm -rf "$build/peer"
    python3 -m zipfile -e "$peer" "$build/peer"
    export PYTHONPATH=$PWD/$build/peer${PYTHONPATH:+:$PYTHONPATH}
  fi
  step forward python3 tests/bench/forward_peers.py --rehyat "$build/bin/rehyat" --json "$out/forward.json" "${compile[@]}" || true
fi
table
