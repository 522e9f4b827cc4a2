#!/usr/bin/env bash
# The main job end to end on real video, at a size for two CPU cores: fetches sample clips, trains a small teacher, caches
# its activations, distils the hybrid attention on two MPI ranks, finetunes, samples, exports, and writes a report.
# Safe to run again: what is complete is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

config=configs/demo.yaml
case "${1:-}" in
  --help|-h)
    echo "Usage: scripts/demo.sh [CONFIG.yaml]    default: configs/demo.yaml (at most 15 minutes after the build);"
    echo "       configs/demo-long.yaml is the same at a larger size (about an hour)"
    exit 0 ;;
  "") ;;
  *) config=$1 ;;
esac
[ -f "$config" ] || { echo "demo: $config: found no such file, expected a config; see scripts/demo.sh --help" >&2; exit 2; }

./scripts/setup.sh
cmake --preset release
cmake --build --preset release --target rehyat

rehyat=build/release/bin/rehyat
flags=""
if mpirun --version 2>/dev/null | grep -q "Open MPI"; then
  flags="--oversubscribe"
  [ "$(id -u)" -ne 0 ] || flags="--allow-run-as-root $flags"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Every line is shown as it can be typed: what a shell would take apart is quoted.
shown() {
  local word out=""
  for word in "$@"; do
    if [[ "$word" =~ ^[A-Za-z0-9_./=:,-]+$ ]]; then out+="$word "; else out+="'$word' "; fi
  done
  printf '%s' "${out% }"
}

step() {
  local line
  line=$(shown "$@")
  printf '\n$ %s\n' "$line"
  printf '%s\n' "$line" >> "$log"
  "$@"
}

step scripts/fetch_clips.sh .data/clips
step "$rehyat" prepare -c "$config"
step "$rehyat" pretrain -c "$config"
# shellcheck disable=SC2086
step mpirun $flags -n 2 "$rehyat" cache -c "$config"
# shellcheck disable=SC2086
step mpirun $flags -n 2 "$rehyat" distill -c "$config"
step "$rehyat" finetune -c "$config"
# The control: the teacher itself, trained for as many steps more.
step "$rehyat" finetune -c "$config" "hybrid.blocks=[]"
step "$rehyat" sample -c "$config"
step "$rehyat" verify -c "$config"
step "$rehyat" export -c "$config"
step "$rehyat" analyze -c "$config"
printf '\n$ %s\n' "$rehyat report -c $config"
"$rehyat" report -c "$config" --commands "$log"
