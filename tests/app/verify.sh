#!/usr/bin/env bash
# verify, export, run, report, analyze and inspect on a tiny model: what they say, and what must not pass.
set -uo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK" || exit 1
"$MAKE_CLIPS" clips 4 || exit 1
config=$SOURCE/tiny.yaml
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
go() { "$REHYAT" "$@" 2> err.txt > out.txt || { cat err.txt; fail "$*"; }; }
# holds NAME PYTHON: r is the JSON of the last command.
holds() { python3 -c "import json; r = json.load(open('out.txt')); assert $2, json.dumps(r, indent=1)" || fail "$1"; }
refused() { # NAME REGEX ARGUMENT...
  local name=$1 regex=$2 status=0
  shift 2
  "$REHYAT" "$@" > out.txt 2> err.txt || status=$?
  if [ "$status" -ne 1 ] || ! grep -Eq "$regex" err.txt; then cat err.txt; fail "$name: exit code $status"; fi
}

echo "== run"
go run -c "$config" --dry-run --json
holds "the plan of run" "list(r) == ['prepare', 'pretrain', 'cache', 'distill', 'finetune', 'sample', 'report']"
go run -c "$config" export.dtype=f32 "hybrid.blocks=[]" --dry-run --json
holds "the plan of run without converted blocks" "list(r) == ['prepare', 'pretrain', 'finetune', 'sample', 'export', 'report']"
[ ! -e runs ] || fail "a dry run wrote something"
go run -c "$config" export.dtype=f32 --json
holds "every stage ran" "list(r) == ['prepare', 'pretrain', 'cache', 'distill', 'finetune', 'sample', 'export', 'report']"
holds "a report without its control says how to get it" "any(c['state'] == 'info' and 'hybrid.blocks=[]' in c['expected'] for c in r['report']['checks']) and 'control' not in r['report']['losses']"
go run -c "$config" "hybrid.blocks=[]" --json
holds "run without converted blocks" "list(r) == ['prepare', 'pretrain', 'finetune', 'sample', 'report']"
go run -c "$config" export.dtype=f32 --json
[ "$(grep -c "already complete" err.txt)" -ge 7 ] || fail "complete stages were done again"
holds "the report has its control" "'control' in r['report']['losses']"

echo "== report"
before=$(stat -c %Y%s runs/report.html)
go report -c "$config" --dry-run --json
holds "a dry report" "r['needs']['control_complete'] and len(r['reads']) == 4 and all(r['reads'].values())"
[ "$before" = "$(stat -c %Y%s runs/report.html)" ] || fail "a dry report wrote something"
go report -c "$config" export.dtype=f32 --json
for stage in sample export report; do holds "the time of $stage" "'$stage' in [s['name'] for s in r['stages']]"; done
for text in hdf5 compiler "knows only sigma" "wide margin"; do grep -q "$text" runs/report.html || fail "the page says nothing of $text"; done
grep -q "report: video" err.txt || fail "no progress in the report"

echo "== sample"
ls runs/sample-*/resolved.yaml runs/sample-*/log.txt runs/sample-*/environment.json runs/sample-*/stage.json > /dev/null || fail "sample kept no record"
rm -f -- runs/sample-*/video-0.mp4  # a link to the folder may match too
go sample -c "$config" --json
ls runs/sample-*/video-0.mp4 > /dev/null || fail "a video that is gone counted as complete"
go sample -c "$config" run.dir=runs hybrid.attention.causal=false --dry-run --json
holds "the form of what has no recurrent one" "r['needs']['form'] == 'parallel'"
go sample -c "$config" --dry-run --json
# 3 blocks, 3 steps, 2 branches: S and z in float32, and 1 slice of K and V in float32.
holds "states and rings in the type they have" "r['needs']['state_and_ring_bytes'] == 18 * (2 * 24 * 13 * 4 + 2 * 4 * 24 * 4)"
go sample -c "$config" sample.sampler.steps=10000 "data.size=[8192, 8192]" --dry-run --json
holds "a dry run warns of memory" "any('of memory' in w for w in r['needs']['warnings']) and r['needs']['state_and_ring_bytes'] > 0"

echo "== export"
go export -c "$config" export.dtype=bf16 export.model=distilled --dry-run --json
holds "what export needs" "r['needs']['disk_bytes'] > 1000 and r['needs']['model'] == 'distilled' and not r['complete']"
go export -c "$config" export.dtype=bf16 export.model=teacher --json
holds "a teacher is exported" "r['model'] == 'teacher' and r['verified']"
[ ! -e "$(python3 -c 'import json; print(json.load(open("out.txt"))["folder"])')/hybrid.json" ] || fail "an exported teacher has a hybrid part"
go export -c "$config" export.dtype=bf16 --json
folder=$(python3 -c 'import json; print(json.load(open("out.txt"))["folder"])')

echo "== verify"
go verify -c "$config" --json
holds "verify passes at 1e-9" "r['max_rel_error'] <= 1e-9 == r['tolerance'] and r['finite'] and r['reload_equal']"
holds "the checkpoint's own pattern first" "r['forms'][0]['own'] and (r['forms'][0]['tc'], r['forms'][0]['to']) == (2, 1)"
holds "the patterns" "[(f['tc'], f['to']) for f in r['forms'][1:]] == [(1, 0), (2, 1), (3, 1), (5, 3), (3, 4)]"
holds "all three comparisons" "all(f[k] is not None for f in r['forms'] for k in ('chunked_vs_reference', 'recurrent_vs_parallel', 'chunk_by_chunk_vs_parallel'))"
[ -z "$(find runs/verify/ -name "*.safetensors")" ] && [ -z "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name 'rehyat-verify-*' -mmin -5 -user "$(id -u)" 2> /dev/null)" ] || fail "verify left its copy"
go verify --model "$folder" --json
holds "an exported folder" "len(r['forms']) == 6 and r['max_rel_error'] <= 1e-9"
go verify -c "$config" --which teacher --json
holds "a model with no recurrent form" "r['reload_equal'] and r['forms'][0]['recurrent_vs_parallel'] is None and 'no block is converted' in r['not_applicable']['recurrent_vs_parallel']"
for which in undistilled distilled; do go verify -c "$config" --which $which --json; done
go verify -c "$config" --which undistilled hybrid.attention.causal=false --json
holds "non-causal attention" "len(r['forms']) == 6 and r['forms'][0]['chunked_vs_reference'] is not None and 'no recurrent form' in r['not_applicable']['recurrent_vs_parallel']"
refused "a tolerance that is too small" "largest relative error" verify --model "$folder" --tolerance 1e-30
cp -r "$(echo runs/pretrain-*/model)" wild
for file in wild/*.safetensors; do python3 "$SOURCE/fixtures.py" "$file" "$file" "fill:*=3e38" || fail "fixtures.py"; done
refused "a model whose outputs are NaN" "NaN or infinite" verify --model wild --json
python3 -c 'import json; r = json.load(open("out.txt")); assert r["finite"] is False and r["max_rel_error"] >= 1e300' || fail "infinity is not told in JSON"

echo "== analyze"
go analyze -c "$config" run.device=cuda "hybrid.blocks.list=[0, 2]" hybrid.attention.tc=4 --json
holds "the config's own rows" "[(x['kind'], x['tc']) for x in r['rows'] if x['own']] == [('rehyat', 4), ('softmax', None)]"
holds "the whole model" "[b['kind'] for b in r['model']['blocks']] == ['rehyat', 'softmax', 'rehyat'] and not r['model']['constant_memory']"
go analyze --json
holds "the paper's rows" "[round(x['block_tflops_paper'], 3) for x in r['rows'] if x['kind'] == 'rehyat' and x['causal']] == [3.865, 4.039, 4.300, 4.825, 4.038] and 'model' not in r"
go analyze --published wan2.1-t2v-14b --json
holds "a model that is known by name" "r['parameters'] == 14288491584 and r['assumed'] == 'wan2.1-t2v-14b'"
go distill -c "$config" run.device=cuda --dry-run

echo "== a teacher of another program"
cp -r "$(echo runs/pretrain-*/model | cut -d" " -f1)" theirs
python3 -c 'import json; c = json.load(open("theirs/config.json")); c["_diffusers_version"] = "0.33"; json.dump(c, open("theirs/config.json", "w"))'
sed '/architecture:/d; s/^model:/model: { weights: theirs }/' "$config" > theirs.yaml
go analyze -c theirs.yaml
grep -q "name them with model.vae and model.text" err.txt || fail "no warning about the encoders"

echo "== inspect"
for path in runs "$folder" runs/finetune-* runs/finetune-*/resolved.yaml runs/finetune-*/metrics.jsonl runs/finetune-*/log.txt runs/finetune-*/stage.json \
    runs/prepare-*/shard-00000.h5 runs/distill-*/phi-00000.safetensors runs/sample-*/video-0.mp4 runs/finetune-*/events.out.tfevents* runs/finetune-*/checkpoints/step-*; do
  [ -e "$path" ] || { fail "$path is not there to inspect"; continue; }
  go inspect "$path" --json
  holds "inspect $path" "isinstance(r, dict) and r"
  go inspect "$path"
  [ "$(head -c 1 out.txt)" != "{" ] || fail "inspect $path prints JSON without --json"
done
go inspect "$folder" --json
holds "parameters of a model" "r['type'] == 'model' and r['parameters'] > r['feature_map_parameters'] > 0"
go inspect "$config" "$folder" --json
holds "inspect of two paths" "[x['path'] for x in r['reports']] == ['$config', '$folder'] and all('report' in x for x in r['reports'])"
go inspect "$config" "$folder"
grep -qx "$folder" out.txt || fail "inspect of two paths does not name the second"
"$REHYAT" inspect nowhere "$config" --json > out.txt 2> err.txt && fail "inspect of a path that is not there ends well"
holds "inspect of two paths, one of them missing" "'nowhere' in r['reports'][0]['error'] and r['reports'][1]['report']['valid']"
grep -q "found 1 of 2 paths that cannot be inspected; the first: nowhere" err.txt || fail "inspect does not say which path failed: $(cat err.txt)"
go inspect runs --json
holds "stages of a run" "r['type'] == 'run' and all(s['complete'] and s['seconds'] > 0 for s in r['stages'] if s['stage'].startswith('finetune'))"
go inspect "$(find runs/finetune-* -type d -name 'step-*' | head -1)" --json
holds "a checkpoint" "r['type'] == 'checkpoint' and r['step'] > 0 and r['checksums'] == 'verified'"
go inspect "$(find runs/finetune-* -name 'events.out.tfevents*' | head -1)" --json
holds "an event file" "r['records'] > 1 and r['last_step'] > 0 and any('loss' in s['tag'] for s in r['scalars'])"
echo "verify: $failures failed"
[ "$failures" -eq 0 ]
