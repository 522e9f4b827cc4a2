#!/usr/bin/env bash
# Installs what is missing, builds, and runs the whole test suite. Safe to run again: only what changed is rebuilt.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'EOT'
Usage: scripts/test.sh [--sanitize | --asan | --ubsan] [--filter REGEX] [--jobs N] [--benchmarks] [--no-setup] [--help]

  --sanitize      under both sanitizers in one build, in build/sanitize
  --asan          under AddressSanitizer and LeakSanitizer, in build/asan
  --ubsan         under UndefinedBehaviorSanitizer, in build/ubsan
  --filter REGEX  only the tests whose names match, as ctest -R
  --jobs N        tests at a time (default 2)
  --benchmarks    also compile the benchmarks, which nothing else does
  --no-setup      do not call scripts/setup.sh
  default         the release build, in build/release

Exit code: 0 all passed, 2 bad usage, anything else: setup, build or a test failed.
EOT
}

fail_usage() {
  echo "test: $1; see scripts/test.sh --help" >&2
  exit 2
}

preset=release filter="" jobs=2 benchmarks=no setup=yes
while [ $# -gt 0 ]; do
  case "$1" in
    --asan) preset=asan ;;
    --ubsan) preset=ubsan ;;
    --sanitize) preset=sanitize ;;
    --filter) [ $# -ge 2 ] || fail_usage "--filter needs a regular expression"; filter=$2; shift ;;
    --jobs) [ $# -ge 2 ] || fail_usage "--jobs needs a number"; jobs=$2; shift ;;
    --benchmarks) benchmarks=yes ;;
    --no-setup) setup=no ;;
    --help|-h) usage; exit 0 ;;
    *) fail_usage "unknown argument '$1'" ;;
  esac
  shift
done
[[ "$jobs" =~ ^[1-9][0-9]*$ ]] || fail_usage "--jobs: found '$jobs', expected a number of at least 1"

started=$SECONDS
lap() {
  printf 'test: %s took %d min %02d s\n' "$1" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60))
  started=$SECONDS
}

if [ "$setup" = yes ]; then
  scripts/setup.sh
  lap setup
fi
cmake --preset "$preset"
targets=(all)
if [ "$benchmarks" = yes ]; then targets+=(benchmarks); fi
cmake --build --preset "$preset" --target "${targets[@]}"
lap build

# Leaks of libraries that we do not build are listed, each with its reason, in the committed file.
suppressions=$PWD/tests/sanitizer
export ASAN_OPTIONS="detect_leaks=1:fast_unwind_on_malloc=0:strict_string_checks=1:check_initialization_order=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export LSAN_OPTIONS="suppressions=$suppressions/lsan.supp:print_suppressions=0${LSAN_OPTIONS:+:$LSAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:suppressions=$suppressions/ubsan.supp${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"

# ctest's own last lines (counts, total time, failures) are the end of the output, and its exit code is ours.
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$jobs" ${filter:+-R "$filter"}
