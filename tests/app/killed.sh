#!/usr/bin/env bash
# Each stage is killed in the middle of its work, once its first results or half-written files are there, and started
# again: it must end like an undisturbed run. Once with two ranks, of which one is killed alone.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 6
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; exit 1; }
# Long enough to be hit in the middle.
more="pretrain.iterations=100 distill.iterations=100 finetune.iterations=100 cache.seeds=6 cache.sampler.steps=8 pretrain.checkpoint_every=5 distill.checkpoint_every=7 finetune.checkpoint_every=5"

# What a stage leaves behind early: a finished part of its work, or a file that it is writing.
seen() {
  case $1 in
    prepare) find "$2" -path '*/prepare-*' \( -name '*clip-part-*.h5*' -o -name '*shard-*.h5*' \) ;;
    cache) find "$2" -path '*/cache-*' -name '*trajectory-*.h5*' ;;
    *) find "$2" -path "*/$1-*" -path '*/checkpoints/*' ;;
  esac 2> /dev/null | sort || true  # the folder comes with the first start
}

alive() { kill -0 "$1" 2> /dev/null; }

# strike STAGE FOLDER PID BEFORE: waits until there is something that was not there BEFORE, then kills the process. Fails
# where it ends first.
strike() {
  local stage=$1 folder=$2 pid=$3 before=$4
  while [ -z "$(comm -13 <(echo "$before") <(seen "$stage" "$folder"))" ]; do
    alive "$pid" || return 1
    sleep 0.01
  done
  kill -9 "$pid" 2> /dev/null || return 1
}

hits=0
disturbed() {
  local stage=$1 try pid before hit=0
  for try in 1 2 3; do
    before=$(seen "$stage" killed)
    # shellcheck disable=SC2086
    "$REHYAT" "$stage" -c "$config" $more run.dir=killed > /dev/null 2>> "$stage.killed.log" &
    pid=$!
    if strike "$stage" killed "$pid" "$before"; then hit=$((hit + 1)); fi
    wait "$pid" 2> /dev/null && [ "$try" = 1 ] && fail "$stage ended before it was killed: $(tail -3 "$stage.killed.log")"
    [ -n "$(find killed -path "*/$stage-*" -name stage.json)" ] && break
  done
  [ "$hit" -ge 1 ] || fail "$stage was never hit in the middle"
  echo "   killed $hit times, the last time with $(seen "$stage" killed | wc -l) of its files there"
  hits=$((hits + hit))
  # shellcheck disable=SC2086
  "$REHYAT" "$stage" -c "$config" $more run.dir=killed > /dev/null 2> "$stage.log" || { cat "$stage.log"; fail "$stage does not go on"; }
}

for stage in prepare pretrain cache distill finetune; do
  echo "== $stage"
  # shellcheck disable=SC2086
  "$REHYAT" "$stage" -c "$config" $more run.dir=whole > /dev/null 2> "$stage.whole.log" || { cat "$stage.whole.log"; fail "$stage"; }
  disturbed "$stage"
done

echo "== cache and distill on 2 ranks, of which one is killed"
mkdir ranks && cp -r whole/prepare-* whole/pretrain-* ranks/
for stage in cache distill; do
  # shellcheck disable=SC2086
  $MPIRUN -n 2 "$REHYAT" "$stage" -c "$config" $more run.dir=ranks > /dev/null 2> "$stage.ranks.log" &
  launcher=$!
  until [ -n "$(seen "$stage" ranks)" ]; do
    alive "$launcher" || { cat "$stage.ranks.log"; fail "$stage on 2 ranks ended before it was killed"; }
    sleep 0.01
  done
  ranks=$(pgrep -P "$launcher" -f "run.dir=ranks" || true)
  [ "$(echo "$ranks" | wc -w)" -eq 2 ] || fail "found the ranks '$ranks', expected two"
  kill -9 "$(echo "$ranks" | tail -1)" || fail "$stage: the rank was gone"
  code=0; wait "$launcher" || code=$?
  [ "$code" -ne 0 ] || fail "$stage: a killed rank went unnoticed"
  for rank in $ranks; do
    for _ in $(seq 100); do alive "$rank" || break; sleep 0.1; done
    if alive "$rank"; then kill -9 "$rank"; fail "$stage: a rank outlived the other"; fi
  done
  # shellcheck disable=SC2086
  $MPIRUN -n 2 "$REHYAT" "$stage" -c "$config" $more run.dir=ranks > /dev/null 2> "$stage.ranks.log" || { cat "$stage.ranks.log"; fail "$stage on 2 ranks does not go on"; }
done
for file in whole/cache-*/*.h5 whole/cache-*/manifest.json whole/distill-*/phi-*.safetensors; do
  cmp "$file" "ranks/${file#whole/}" || fail "the disturbed run on 2 ranks differs in ${file#whole/}"
done

echo "== distill, online"
more="$more distill.source=online distill.online.rounds=4 distill.online.trajectories=2"
# shellcheck disable=SC2086
"$REHYAT" distill -c "$config" $more run.dir=whole > /dev/null 2> online.whole.log || { cat online.whole.log; fail "online"; }
disturbed distill
for file in whole/prepare-*/*.h5 whole/prepare-*/manifest.json whole/cache-*/*.h5 whole/cache-*/manifest.json whole/distill-*/phi-*.safetensors \
    whole/pretrain-*/model/* whole/finetune-*/model/*; do
  cmp "$file" "killed/${file#whole/}" || fail "the disturbed run differs in ${file#whole/}"
done
if find killed ranks -name '*rehyat-part*' | grep .; then fail "half-written files were left"; fi
losses() { python3 -c 'import json, sys
for line in open(sys.argv[1]):
  v = json.loads(line); print(v["step"], v.get("loss"), v.get("grad_norm"), v.get("validation_loss"))' "$1"; }
cmp <(losses whole/finetune-*/metrics.jsonl) <(losses killed/finetune-*/metrics.jsonl) || fail "the disturbed run has other losses"
echo "killed: $hits times in the middle, all as expected"
