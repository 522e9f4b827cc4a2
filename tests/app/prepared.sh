#!/usr/bin/env bash
# What counts as the same dataset, and that later stages need no videos.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 4
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; exit 1; }
run() { "$REHYAT" "$1" -c "$config" "${@:2}" > /dev/null 2> "$1.log" || { cat "$1.log"; fail "$*"; }; }
folders() { find runs -maxdepth 1 -name 'prepare-*' | wc -l; }

run prepare
for same in data.max_bad_share=0.5 data.clips_per_shard=3 data.videos=./clips/ data.allow_missing_captions=true; do
  run prepare "$same"
  grep -q "already complete" prepare.log || fail "$same made another dataset"
done
mv clips away
run pretrain
echo "== everything works without the videos"
run prepare
grep -q "already complete" prepare.log || { cat prepare.log; fail "prepare does not find its dataset without the videos"; }
"$REHYAT" run -c "$config" --dry-run --json > plan.json 2> run.log || { cat run.log; fail "the plan of run without the videos"; }
python3 -c 'import json; plan = json.load(open("plan.json")); assert plan["prepare"]["complete"] and plan["pretrain"]["complete"], plan' || fail "run does not find its dataset without the videos"
run run
mv runs/prepare-* .
"$REHYAT" sample -c "$config" "sample.prompts=[a]" > /dev/null 2> sample.log || { cat sample.log; fail "a model is not found without the dataset that it was made of"; }
mv prepare-* runs/
mv away clips
# The same clips in another place are the same dataset, also for ranks that have it found for them.
cp -r clips elsewhere
$MPIRUN -n 2 "$REHYAT" pretrain -c "$config" data.videos=elsewhere > /dev/null 2> pretrain.log || { cat pretrain.log; fail "another place"; }
grep -q "already complete" pretrain.log || { cat pretrain.log; fail "another place is another dataset"; }
"$REHYAT" prepare -c "$config" data.videos=nowhere > /dev/null 2>&1 && fail "prepare without videos"

echo "another caption" > clips/clip-0.txt
run prepare
[ "$(folders)" -eq 2 ] || fail "a changed caption was not noticed"
cp clips/clip-1.mp4 clips/clip-2.mp4
run prepare
[ "$(folders)" -eq 3 ] || fail "a changed video was not noticed"
"$REHYAT" finetune -c "$config" --dry-run > /dev/null 2>&1 || fail "dry run"
"$REHYAT" cache -c "$config" > /dev/null 2> cache.log && fail "the teacher of another dataset was taken"
grep -q "the stage 'pretrain' is not complete" cache.log || { cat cache.log; fail "another error"; }

printf 'a dog\ncaf\351\n' > prompts.txt
"$REHYAT" cache -c "$config" cache.prompts=prompts.txt > /dev/null 2> cache.log && fail "prompts that are not UTF-8"
grep -q "prompts.txt:2: found the byte .*UTF-8" cache.log || { cat cache.log; fail "another error"; }

# A bad clip that is within the share is listed; beyond it, the way out is named.
echo "no video" > clips/bad.mp4; echo "caption" > clips/bad.txt
"$REHYAT" prepare -c "$config" > /dev/null 2> bad.log && fail "a bad clip passed"
grep -q "quarantine.jsonl: found 1 of 5 clips.*data.max_bad_share" bad.log || { cat bad.log; fail "another error"; }
run prepare data.max_bad_share=0.2
grep -q bad.mp4 runs/prepare-*/quarantine.jsonl || fail "the bad clip is not listed"
echo "prepared: all as expected"
