#!/usr/bin/env bash
# Every config that is shipped is one that can be run: its dry run, against a stub of its weights, warns of nothing, and
# says plausible numbers.
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
# A pipeline with the config of Wan2.1 1.3B; a dry run reads no weight.
mkdir weights && cp -r "$fixture/model" weights/Wan2.1-T2V-1.3B-Diffusers
python3 - weights/Wan2.1-T2V-1.3B-Diffusers/transformer/config.json <<'EOT'
import json, sys
config = json.load(open(sys.argv[1]))
config.update(num_layers=30, num_attention_heads=12, attention_head_dim=128, ffn_dim=8960, freq_dim=256, text_dim=4096)
json.dump(config, open(sys.argv[1], "w"))
EOT

count=0
for config in "$SOURCE"/../../configs/*.yaml; do
  name=$(basename "$config" .yaml)
  echo "== $name"
  "$REHYAT" run -c "$config" --dry-run --json > "$name.json" 2> "$name.log" || { cat "$name.log"; fail "$name: its dry run"; }
  python3 - "$name.json" <<'EOT' || fail "$name is not plausible"
import json, sys
plan = json.load(open(sys.argv[1]))
hours = 0
for name in ("prepare", "distill", "finetune", "sample"): assert name in plan, name
for name, stage in plan.items():
    needs = stage["needs"]
    print(" ", name, json.dumps({k: v for k, v in needs.items() if k in ("disk_bytes", "quota_bytes", "gpu_hours", "memory_per_gpu", "warning")}))
    assert "warning" not in needs, needs["warning"]
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
