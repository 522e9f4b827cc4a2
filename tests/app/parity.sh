#!/usr/bin/env bash
# All three forms against fixtures that a literal evaluation in Python made (scripts/make_attention_fixtures.py).
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
fail() { echo "FAILED: $*" >&2; exit 1; }
count=0
for fixture in "$SOURCE"/../fixtures/attention/*.safetensors; do
  for form in reference chunked recurrent; do
    if [ "$form" = recurrent ]; then case "$fixture" in *noncausal*|*uniform*|*linear*) continue ;; esac; fi
    "$REHYAT" verify --parity attention --fixture "$fixture" --form "$form" --tolerance 1e-9 --json > out.json || { cat out.json; fail "$(basename "$fixture") $form"; }
    python3 -c 'import json; r = json.load(open("out.json")); print(r["form"], r["attention"], r["max_rel_error"]); assert r["max_rel_error"] >= 0'
    count=$((count + 1))
  done
done
# The VAE against diffusers (scripts/fixtures/vae.py).
for fixture in "$SOURCE"/../fixtures/vae/{small,other}_*.safetensors; do
  case "$(basename "$fixture")" in *encode*) component=vae.encode ;; *) component=vae.decode ;; esac
  weights="${fixture%/*}/$(basename "$fixture" | cut -d_ -f1)"
  "$REHYAT" verify --parity $component --weights "$weights" --fixture "$fixture" --tolerance 1e-5 --json > out.json || { cat out.json; fail "$(basename "$fixture")"; }
  count=$((count + 1))
done
[ "$count" -ge 24 ] || fail "only $count comparisons"
# A wrong reference must not pass.
python3 - "$SOURCE"/../fixtures/attention/rehyat_joint.safetensors <<'EOT'
import json, struct, sys
raw = bytearray(open(sys.argv[1], "rb").read())
size = struct.unpack("<Q", raw[:8])[0]
begin = 8 + size + json.loads(raw[8:8 + size])["dphi_k"]["data_offsets"][0]
raw[begin:begin + 8] = struct.pack("<d", struct.unpack("<d", raw[begin:begin + 8])[0] + 1e-3)
open("wrong.safetensors", "wb").write(raw)
EOT
status=0
"$REHYAT" verify --parity attention --fixture wrong.safetensors --tolerance 1e-9 > /dev/null 2> err.txt || status=$?
[ "$status" -eq 1 ] && grep -q "largest relative error" err.txt || fail "a wrong reference passed"
echo "parity: $count comparisons"
