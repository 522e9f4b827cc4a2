#!/usr/bin/env bash
# What a build is configured with decides what it holds.
set -euo pipefail

fail() {
  echo "build_options: $1" >&2
  exit 1
}

rm -rf "$WORK" && mkdir -p "$WORK"
configure() {
  local folder=$1
  shift
  "$CMAKE" -S "$ROOT" -B "$WORK/$folder" -G Ninja -DREHYAT_LIBTORCH="$LIBTORCH" -DREHYAT_HEADERS="$HEADERS" "$@" \
    > "$WORK/$folder.log" 2>&1 || { tail -20 "$WORK/$folder.log" >&2; fail "cannot configure with $*"; }
}
# What a target would compile and link, in a file.
steps() { "$CMAKE" --build "$WORK/$1" --target "$2" -- -t commands "$2" > "$WORK/steps"; }

echo "== benchmarks without tests: they need no GoogleTest"
configure alone -DREHYAT_TESTS=OFF -DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON
grep -q "GoogleTest *not used" "$WORK/alone.log" || fail "GoogleTest was looked for"
if grep -q "google-benchmark *not used" "$WORK/alone.log"; then
  echo "google-benchmark is not installed: skipped"
else
  steps alone benchmarks
  grep -q bench_attention "$WORK/steps" || fail "the target 'benchmarks' is empty without the tests"
fi

echo "== sources are compiled together, or each by itself"
steps alone rehyat
grep -q "rehyat_ops.dir/Unity/unity_0" "$WORK/steps" || fail "the sources of ops are not compiled together"
configure single -DREHYAT_TESTS=OFF -DREHYAT_UNITY=0
steps single rehyat
if grep -q "Unity/unity" "$WORK/steps"; then fail "REHYAT_UNITY=0 still compiles sources together"; fi

echo "== a target compiles nothing that it does not need"
steps alone rehyat
if grep -qE "bench_|test_" "$WORK/steps"; then fail "the program's target compiles tests or benchmarks"; fi

echo "== a mistake is a sentence"
if "$CMAKE" -S "$ROOT" -B "$WORK/wrong" -G Ninja -DREHYAT_CUDA=MAYBE > "$WORK/wrong.log" 2>&1; then fail "REHYAT_CUDA=MAYBE was taken"; fi
grep -q "REHYAT_CUDA: found 'MAYBE', expected AUTO, ON or OFF" "$WORK/wrong.log" || fail "no sentence about REHYAT_CUDA=MAYBE"
rm -rf "$WORK"
