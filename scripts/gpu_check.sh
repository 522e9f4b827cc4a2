#!/usr/bin/env bash
# One call on a machine with a GPU: builds what that needs for its architecture, runs the tests that only a GPU runs, measures
# every mode of bench at the real size beside other programs, and ends with one table.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/gpu_check.sh [--carry FOLDER] [--build FOLDER] [--out FOLDER] [--jobs N] [--all] [--sanitize] [--sanitize-gpu]
                            [--no-bench] [--full-bench] [--filter REGEX] [--help]

  --carry FOLDER  what scripts/gpu_carry.sh gathered (default .carry, where it is there)
  --build FOLDER  where to build (default build/gpu)
  --out FOLDER    logs, table.txt, and the bench's page and JSON (default BUILD/check)
  --jobs N        compilations at a time (default: what the machine has)
  --all           build everything and run every test but app_, which need video libraries
  --sanitize      --all and tests alone, compiled with AddressSanitizer and UndefinedBehaviorSanitizer; leaks are looked for
                  by scripts/test.sh --sanitize, because CUDA's libraries leave much behind
  --sanitize-gpu  the tests of the kernels alone, under compute-sanitizer's memcheck, racecheck and initcheck; those at the
                  real size are left out
  --no-bench      no measurements
  --full-bench    every pattern and every peer, five minutes in place of two
  --filter REGEX  only the tests whose names match, as ctest -R; of all that are built. With --sanitize-gpu a pattern of
                  GoogleTest's, such as 'GpuRowMax.*'

Exit code: 0 all passed, 2 bad usage, anything else: configuring, building, a test or a measurement failed.
EOT
}

fail_usage() {
  echo "gpu_check: $1; see scripts/gpu_check.sh --help" >&2
  exit 2
}

carry=.carry build="" out="" jobs=$(nproc) all=no sanitize=no sanitize_gpu=no bench=yes filter="" extent=(--quick)
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
    --all) all=yes ;;
    --sanitize) sanitize=yes all=yes bench=no ;;
    --sanitize-gpu) sanitize_gpu=yes bench=no ;;
    --no-bench) bench=no ;;
    --full-bench) extent=() ;;
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
    if [ -s "$out/bench.log" ]; then cat "$out/bench.log"; fi
  } | tee "$out/table.txt"
  exit "$failed"
}

options=(-G Ninja -DCMAKE_BUILD_TYPE=Release)
[ ! -d "$carry" ] || options+=("-DREHYAT_HEADERS=$(cd "$carry" && pwd)")
[ "$sanitize" = no ] || options+=(-DREHYAT_SANITIZER=address,undefined)
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | sort -u | tr -d . | paste -sd';' - || true)
[ -z "$capability" ] || options+=("-DCMAKE_CUDA_ARCHITECTURES=$capability")

step configure cmake -S . -B "$build" "${options[@]}" || table
targets=(gpu_tests)
[ "$sanitize_gpu" = no ] || targets=(test_ops_gpu)
[ "$bench" = no ] || targets+=(rehyat)
[ "$all" = no ] || targets=(all)
cmake --build "$build" --target help > "$out/targets.log" || true
[ "$bench" = no ] || ! grep -q bench_vae "$out/targets.log" || targets+=(bench_vae)  # needs google-benchmark
step build cmake --build "$build" --target "${targets[@]}" -- -j"$jobs" -k 20 || table

selection=(-L '^gpu$')
[ "$all" = no ] || selection=(-E '^app_')
[ -z "$filter" ] || selection=(-R "$filter")
# CUDA maps memory where AddressSanitizer would guard a gap.
export ASAN_OPTIONS="detect_leaks=0:protect_shadow_gap=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:suppressions=$PWD/tests/sanitizer/ubsan.supp${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
if [ "$sanitize_gpu" = yes ]; then
  # initcheck looks at all kernels, because what the libraries write counts as written; the others at ours alone.
  checked=${filter:-*}
  for tool in memcheck racecheck initcheck; do
    kernels=(--kernel-name kernel_substring=rehyat)
    [ "$tool" != initcheck ] || kernels=()
    step "$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 ${kernels[@]+"${kernels[@]}"} \
      "$build/bin/test_ops_gpu" --gtest_filter="$checked-*Accuracy*" || true
  done
  table
fi
step tests ctest --test-dir "$build" --output-on-failure --no-tests=error -j4 "${selection[@]}" || true

if [ "$bench" = yes ]; then
  peer=$(find "$carry" -name 'diffusers-*.whl' -print -quit 2>/dev/null || true)
  if [ -n "$peer" ]; then
    rm -rf "$build/peer"
    python3 -m zipfile -e "$peer" "$build/peer"
    export PYTHONPATH=$PWD/$build/peer${PYTHONPATH:+:$PYTHONPATH}
  fi
  step bench python3 tests/bench/peers.py --rehyat "$build/bin/rehyat" --folder "$out" --goals tests/bench/goals.json \
    --json "$out/peers.json" --out "$out/peers.md" ${extent[@]+"${extent[@]}"} || true
fi
table
