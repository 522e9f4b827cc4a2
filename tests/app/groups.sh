#!/usr/bin/env bash
# Two groups of blocks, each with its own attention, through every stage; groups that do not fit.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 4
fail() { echo "FAILED: $*" >&2; exit 1; }
# with GROUPS FILE: tiny.yaml with these groups.
with() { sed "/^  attention:/d; s/^hybrid:.*/hybrid:\n  groups: $1/" "$SOURCE/tiny.yaml" > "$2"; }
with "[{ blocks: [0, 2], attention: { kind: rehyat, tc: 2, to: 1 } }, { blocks: [1], attention: { kind: rehyat, tc: 3, to: 0, phi: { kind: hedgehog } } }]" groups.yaml
holds() { python3 -c "import json; r = json.load(open('$1.json')); assert $3, json.dumps(r, indent=1)" || fail "$2"; }

for stage in prepare pretrain cache distill finetune sample verify export report; do
  echo "== $stage"
  "$REHYAT" "$stage" -c groups.yaml --json 2> "$stage.log" > "$stage.json" || { cat "$stage.log"; fail "$stage"; }
done
holds distill "maps of every block" "[b['block'] for b in r['blocks']] == [0, 1, 2]"
holds sample "blocks of two chunk sizes go step by step" "'step-major' in json.dumps(r)"
holds verify "every form of the checkpoint" "r['max_rel_error'] <= 1e-9 and r['reload_equal'] and 'differ in chunk size' in r['not_applicable']['chunk_by_chunk_vs_parallel'] and r['forms'][0]['recurrent_vs_parallel'] is not None"
python3 - runs/finetune-*/model/hybrid.json runs/export-*/transformer/hybrid.json <<'EOT' || fail "the attentions are not saved with the model"
import json, sys
for path in sys.argv[1:]:
    blocks = json.load(open(path))["blocks"]
    assert [(b["attention"]["tc"], b["attention"]["phi"]["kind"]) for b in blocks] == [(2, "poly_mlp"), (3, "hedgehog"), (2, "poly_mlp")], blocks
EOT
for text in "2 of 3 blocks attend exactly" "1 attend exactly" "rehyat(tc=2,to=1,causal,joint) and rehyat(tc=3,to=0,causal,joint)" 'hybrid={blocks: \[\]}'; do
  grep -q "$text" runs/report.html || fail "the report says nothing of $text"
done
"$REHYAT" analyze -c groups.yaml --json > analyze.json 2> analyze.log || { cat analyze.log; fail analyze; }
holds analyze "the rows and blocks of both groups" "[x['tc'] for x in r['rows'] if x['own']] == [2, 3] and [b['tc'] for b in r['model']['blocks']] == [2, 3, 2] and not r['model']['constant_memory']"
"$REHYAT" sample -c groups.yaml hybrid.groups.1.attention.tc=2 --dry-run --json > dry.json 2> dry.log || { cat dry.log; fail "dry run"; }
holds dry "one chunk size is constant memory, another attention another stage" "r['needs']['constant_memory'] and not r['complete']"

echo "== the control"
"$REHYAT" finetune -c groups.yaml "hybrid={blocks: []}" > /dev/null 2> control.log || { cat control.log; fail control; }
"$REHYAT" report -c groups.yaml --json > report.json 2> report.log || { cat report.log; fail report; }
holds report "the report finds the control" "'control' in r['losses']"

refused() { # NAME REGEX ARGUMENT...
  local status=0
  "$REHYAT" cache "${@:3}" > out.txt 2> err.txt || status=$?
  [ "$status" -eq 2 ] && grep -Eq "$2" err.txt || { cat err.txt; fail "$1: exit code $status"; }
}
with "[{ blocks: [0, 2] }, { blocks: [1, 2] }]" overlap.yaml
refused "a block in two groups" "overlap.yaml:[0-9]+:[0-9]+: hybrid.groups.1.blocks: found block 2, which hybrid.groups.0 has too" -c overlap.yaml
refused "a block that the model lacks" "override .*: hybrid.groups.1.blocks.list: found block 9, expected 0 to 2" -c groups.yaml "hybrid.groups.1.blocks=[9]"
refused "groups and blocks" "'hybrid.blocks': found a key without effect, expected it only without groups" -c groups.yaml "hybrid.blocks=[0]"
refused "recurrent sampling of a group without that form" "sample.form: found recurrent, but linear" -c groups.yaml sample.form=recurrent "hybrid.groups.1.attention={kind: linear}"
echo "groups: all as expected"
