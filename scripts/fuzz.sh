#!/usr/bin/env bash
# Damages files for as long as wanted and gives them to a reader of the program, which must take or refuse each.
set -euo pipefail
cd "$(dirname "$0")/.."

programs="mutation_files mutation_tensors mutation_folders mutation_video"
usage() {
  cat <<'EOT'
Usage: scripts/fuzz.sh [--reader NAME] [--minutes N] [--seed N] [--keep FOLDER] [--sanitize] [--no-build] [--list]

  --reader NAME   one reader (default: each of them, one after the other)
  --minutes N     for each reader (default 5; fractions are allowed)
  --seed N        of the damage (default: the time, so that each start tries others)
  --keep FOLDER   for the inputs that show a fault (default build/fuzz)
  --sanitize      under AddressSanitizer and UndefinedBehaviorSanitizer, in build/sanitize
  --no-build      takes the programs as they are
  --list          names the readers

Each fault is printed with its reader, seed and number, which make the same input again:
  REHYAT_MUTATION_SEED=7 REHYAT_MUTATION_FIRST=1234 REHYAT_MUTATION_INPUTS=1 scripts/fuzz.sh --no-build --reader tar
Exit code: 0 no fault, 2 bad usage, anything else: the build failed or there are faults.
EOT
}

fail_usage() {
  echo "fuzz: $1; see scripts/fuzz.sh --help" >&2
  exit 2
}

preset=release reader="" minutes=5 seed=${REHYAT_MUTATION_SEED:-$(date +%s)} keep=$PWD/build/fuzz build=yes list=no
while [ $# -gt 0 ]; do
  case "$1" in
    --reader|--minutes|--seed|--keep)
      [ $# -ge 2 ] || fail_usage "$1 needs a value"
      case "$1" in
        --reader) reader=$2 ;;
        --minutes) minutes=$2 ;;
        --seed) seed=$2 ;;
        --keep) keep=$(realpath -m "$2") ;;
      esac
      shift ;;
    --sanitize) preset=sanitize ;;
    --no-build) build=no ;;
    --list) list=yes ;;
    --help|-h) usage; exit 0 ;;
    *) fail_usage "unknown argument '$1'" ;;
  esac
  shift
done
[[ "$minutes" =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail_usage "--minutes: found '$minutes', expected a number"
[[ "$seed" =~ ^[0-9]+$ ]] || fail_usage "--seed: found '$seed', expected a whole number"

if [ "$build" = yes ]; then
  cmake --preset "$preset"
  # shellcheck disable=SC2086
  cmake --build --preset "$preset" --target $(printf 'test_%s ' $programs)
fi

# Where one input is asked for, its number counts and not the time.
if [ -n "${REHYAT_MUTATION_INPUTS:-}" ]; then minutes=0; fi
export REHYAT_MUTATION_MINUTES=$minutes REHYAT_MUTATION_SEED=$seed REHYAT_MUTATION_KEEP=$keep OMP_NUM_THREADS=1
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:suppressions=$PWD/tests/sanitizer/ubsan.supp"
export LSAN_OPTIONS="suppressions=$PWD/tests/sanitizer/lsan.supp:print_suppressions=0"

known=no failed=no
for program in $programs; do
  binary=build/$preset/bin/test_$program
  [ -x "$binary" ] || continue  # the videos' in a build without FFmpeg
  for name in $("$binary" --gtest_list_tests --gtest_filter='Mutation.*' | sed -n 's/^  //p'); do
    if [ "$list" = yes ]; then echo "$name"; continue; fi
    if [ -n "$reader" ] && [ "$reader" != "$name" ]; then continue; fi
    known=yes
    "$binary" --gtest_brief=1 --gtest_filter="Mutation.$name" || failed=yes
  done
done
[ "$list" = no ] || exit 0
[ "$known" = yes ] || fail_usage "--reader: found '$reader', expected one of $("$0" --no-build --list | paste -sd' ')"
[ "$failed" = no ]
