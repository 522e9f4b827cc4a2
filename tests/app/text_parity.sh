#!/usr/bin/env bash
# UMT5 against fixtures that transformers made (scripts/fixtures/text.py), and the mistakes that a user makes with them.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
fail() { echo "FAILED: $*" >&2; exit 1; }
fixtures="$SOURCE/../fixtures/text/umt5"
compare() { "$REHYAT" verify --parity text --weights "$1" --fixture "$2" --tolerance "$3" --json; }
compare "$fixtures/gated" "$fixtures/gated.safetensors" 1e-5 > out.json || fail "gated"
python3 -c 'import json; r = json.load(open("out.json")); assert r["component"] == "text" and r["max_rel_error"] >= 0 and r["max_abs_error"] >= 0'
compare "$fixtures/models_t5_small.pth" "$fixtures/gated.safetensors" 1e-5 > out.json || fail "original layout"
compare "$fixtures/relu_shards" "$fixtures/relu_shards.safetensors" 1e-5 > out.json || fail "shards"
# A wrong reference must not pass.
python3 - "$fixtures/gated.safetensors" <<'EOT'
import json, struct, sys
raw = bytearray(open(sys.argv[1], "rb").read())
size = struct.unpack("<Q", raw[:8])[0]
begin = 8 + size + json.loads(raw[8:8 + size])["last_hidden_state"]["data_offsets"][0]
raw[begin:begin + 4] = struct.pack("<f", struct.unpack("<f", raw[begin:begin + 4])[0] + 1e-2)
open("wrong.safetensors", "wb").write(raw)
EOT
refuse() {
  local code=$1 text=$2 status=0
  shift 2
  "$REHYAT" verify --parity text "$@" > /dev/null 2> err.txt || status=$?
  [ "$status" -eq "$code" ] && grep -q "$text" err.txt || { cat err.txt; fail "exit code $status, expected $code and '$text'"; }
}
refuse 1 "largest relative error" --weights "$fixtures/gated" --fixture wrong.safetensors --tolerance 1e-5
refuse 2 "no fixture" --weights "$fixtures/gated"
refuse 2 "no weights" --fixture wrong.safetensors
refuse 1 "of another model" --weights "$fixtures/relu_shards" --fixture wrong.safetensors
refuse 1 "nothing of the file was run" --weights "$fixtures/../pth/evil.pth" --fixture wrong.safetensors
[ ! -e rehyat_pickle_ran ] || fail "the pickle ran"
echo "text parity: done"
