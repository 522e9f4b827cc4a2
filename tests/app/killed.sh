#!/usr/bin/env bash
# Each stage is killed a few times at seeded moments and started again: it must end like an undisturbed run.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 4
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; exit 1; }
RANDOM=7
# Long enough to be hit in the middle.
more="pretrain.iterations=40 distill.iterations=60 finetune.iterations=40 cache.seeds=4 pretrain.checkpoint_every=5 distill.checkpoint_every=7 finetune.checkpoint_every=5"

killed=0
disturbed() {
  local stage=$1 try pid
  for try in 1 2 3 4; do
    # shellcheck disable=SC2086
    "$REHYAT" "$stage" -c "$config" $more run.dir=killed > /dev/null 2>&1 &
    pid=$!
    sleep "0.$((RANDOM % 60 + 30))"
    if kill -9 "$pid" 2> /dev/null; then killed=$((killed + 1)); fi
    wait "$pid" 2> /dev/null || true
  done
  # shellcheck disable=SC2086
  "$REHYAT" "$stage" -c "$config" $more run.dir=killed > /dev/null 2> "$stage.log" || { cat "$stage.log"; fail "$stage does not go on"; }
}

for stage in prepare pretrain cache distill finetune; do
  echo "== $stage"
  # shellcheck disable=SC2086
  "$REHYAT" "$stage" -c "$config" $more run.dir=whole > /dev/null 2> "$stage.whole.log" || { cat "$stage.whole.log"; fail "$stage"; }
  disturbed "$stage"
done
echo "== distill, online"
more="$more distill.source=online distill.online.rounds=4 distill.online.trajectories=2"
# shellcheck disable=SC2086
"$REHYAT" distill -c "$config" $more run.dir=whole > /dev/null 2> online.whole.log || { cat online.whole.log; fail "online"; }
disturbed distill
echo "killed $killed times"
[ "$killed" -ge 5 ] || fail "hardly any run was killed in time"
for file in whole/prepare-*/*.h5 whole/prepare-*/manifest.json whole/cache-*/*.h5 whole/cache-*/manifest.json whole/distill-*/phi-*.safetensors \
    whole/pretrain-*/model/* whole/finetune-*/model/*; do
  cmp "$file" "killed/${file#whole/}" || fail "the disturbed run differs in ${file#whole/}"
done
if find killed -name '*rehyat-part*' | grep -q .; then fail "half-written files were left"; fi
losses() { python3 -c 'import json, sys
for line in open(sys.argv[1]):
  v = json.loads(line); print(v["step"], v.get("loss"), v.get("grad_norm"), v.get("validation_loss"))' "$1"; }
cmp <(losses whole/finetune-*/metrics.jsonl) <(losses killed/finetune-*/metrics.jsonl) || fail "the disturbed run has other losses"
echo "killed: all as expected"
