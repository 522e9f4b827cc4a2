#!/usr/bin/env bash
# Every config that is shipped is one that can be run: its dry run warns of nothing (but of a disk that is smaller than
# the run) and says plausible numbers, the same before its weights are here and with a stub of them.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
fail() { echo "FAILED: $*" >&2; exit 1; }
fixture=$SOURCE/../fixtures/pipeline

# Where the configs look for clips.
for folder in data/clips .data/clips; do
  mkdir -p "$folder" && "$MAKE_CLIPS" "$folder" 4
  for clip in "$folder"/*.mp4; do
    printf '{"file": "%s", "caption": "%s"}\n' "$(basename "$clip")" "$(cat "${clip%.mp4}.txt")"
  done > "$folder/metadata.jsonl"
done
count=0
# plan NAME CONFIG: what `run` and `analyze` say of it, in NAME.json.
plan() {
  "$REHYAT" run -c "$2" --dry-run --json > "$1.json" 2> "$1.log" || { cat "$1.log"; fail "$1: its dry run"; }
  "$REHYAT" run -c "$2" --dry-run > "$1.txt" 2> /dev/null || fail "$1: its dry run for people"
  ! grep -q '[{}]' "$1.txt" && grep -q "^together " "$1.txt" || { cat "$1.txt"; fail "$1 tells people JSON"; }
  "$REHYAT" analyze -c "$2" --json > "$1.analysis.json" 2> "$1.log" || { cat "$1.log"; fail "$1: analyze"; }
}

echo "== without a file of weights"
for config in "$SOURCE"/../../configs/*.yaml; do plan "bare-$(basename "$config" .yaml)" "$config"; done
grep -q '"assumed": "wan2.1-t2v-1.3b"' bare-wan-1.3b.json && grep -q '"missing"' bare-wan-1.3b.analysis.json || fail "nothing is said to be assumed"
grep -q "missing .*the teacher (model.weights" bare-wan-1.3b.txt || fail "people are not told what is missing"
! grep -q '"assumed"' bare-demo.json || fail "the demo's model was assumed"
"$REHYAT" cache -c "$SOURCE/../../configs/wan-1.3b.yaml" > out.txt 2>&1 && fail "work without weights"
grep -q "rehyat: .*Wan2.1-T2V-1.3B-Diffusers" out.txt || { cat out.txt; fail "another refusal"; }

echo "== with a stub of the weights"
# A pipeline with the config of Wan2.1 1.3B; a dry run reads no weight.
mkdir weights && cp -r "$fixture/model" weights/Wan2.1-T2V-1.3B-Diffusers
python3 - weights/Wan2.1-T2V-1.3B-Diffusers/transformer/config.json <<'EOT'
import json, sys
config = json.load(open(sys.argv[1]))
config.update(num_layers=30, num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, freq_dim=256, text_dim=4096)
config.pop("text_length", None)
json.dump(config, open(sys.argv[1], "w"))
EOT

for config in "$SOURCE"/../../configs/*.yaml; do
  name=$(basename "$config" .yaml)
  echo "== $name"
  plan "$name" "$config"
  python3 - "$name.json" "bare-$name.json" <<'EOT' || fail "$name is not plausible"
import json, sys
plan, bare = (json.load(open(name)) for name in sys.argv[1:])
hours = 0
for name in ("prepare", "distill", "finetune", "sample"): assert name in plan, name
for name, stage in plan.items():
    needs = stage["needs"]
    print(" ", name, json.dumps({k: v for k, v in needs.items() if k in ("disk_bytes", "quota_bytes", "gpu_hours", "memory_per_gpu")}))
    assert "missing" not in stage, stage
    before = bare[name]["needs"]
    warnings = [w for w in needs.pop("warnings", []) + before.pop("warnings", []) if "are free for run.dir" not in w and "but this machine has" not in w]
    assert needs == before, (needs, before)
    assert not warnings and "refused" not in stage, stage
    assert needs.get("disk_bytes", 0) < 1e12, "a disk of more than a terabyte"
    hours += needs.get("gpu_hours", 0)
cache = plan["cache"]["needs"]
assert cache["quota_bytes"] / 1000 < cache.get("disk_bytes", cache["disk_bytes_per_prompt"]) <= cache["quota_bytes"], cache
assert 0 < hours < 2000, f"{hours} GPU-hours"
EOT
  count=$((count + 1))
done
[ "$count" -ge 3 ] || fail "found $count configs"
[ ! -e runs ] || fail "a dry run wrote something"
echo "configs: $count as expected"
