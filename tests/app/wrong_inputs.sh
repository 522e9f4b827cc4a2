#!/usr/bin/env bash
# Wrong inputs, each with its exit code and its one sentence.
set -uo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK" || exit 1
"$MAKE_CLIPS" clips 4 || exit 1
cp "$SOURCE/tiny.yaml" good.yaml
failures=0 count=0

# expect NAME CODE REGEX COMMAND...
expect() {
  local name=$1 code=$2 regex=$3 got
  shift 3
  count=$((count + 1))
  "$@" > out.txt 2> err.txt
  got=$?
  if [ "$got" -ne "$code" ] || ! grep -Eq "$regex" err.txt || grep -q "frame #\|terminate called" err.txt || [ "$(grep -c '^rehyat: ' err.txt)" -ne 1 ]; then
    echo "FAILED: $name: exit code $got (expected $code), stderr:"; cat err.txt
    failures=$((failures + 1))
  else
    echo "ok: $name: $(grep '^rehyat: ' err.txt | cut -c1-200)"
  fi
}
run() { "$REHYAT" "$1" -c good.yaml "${@:2}"; }
yaml() { sed "$1" good.yaml > bad.yaml; }

expect "no config" 2 "missing.yaml: cannot be read|missing.yaml.*No such file" "$REHYAT" prepare -c missing.yaml
expect "unknown command" 2 "found the command 'distil'.*did you mean 'distill'" "$REHYAT" distil
expect "no command" 2 "see .rehyat --help" "$REHYAT"
yaml 's/^distill: {/distill: { itertions: 3,/'
expect "unknown key" 2 "bad.yaml:[0-9]+:[0-9]+: unknown key 'distill.itertions'; did you mean 'distill.iterations'" "$REHYAT" distill -c bad.yaml
yaml 's/seed: 3/seed: many/'
expect "wrong type" 2 "'run.seed'.*found \"many\", expected a whole number" "$REHYAT" prepare -c bad.yaml
yaml 's/seed: 3/seed: 3, seed: 4/'
expect "repeated key" 2 "the key 'seed' a second time" "$REHYAT" prepare -c bad.yaml
expect "out of range" 2 "'distill.lr'.*expected a number > 0" run distill distill.lr=-1
expect "unknown override" 2 "unknown key 'distil'" run distill distil.lr=1
expect "override without value" 2 "expected dotted.key=value" run distill distill.lr
expect "frames" 2 "found 16, expected 4k \+ 1" run prepare data.frames=16
expect "size" 2 "expected \[height, width\], both multiples of 16" run prepare "data.size=[30, 32]"
expect "weights and architecture" 2 "found weights and architecture" run prepare model.weights=clips
expect "block that the model lacks" 2 "override .hybrid.blocks.list=.9..: hybrid.blocks.list: found block 9, expected 0 to 2" run cache "hybrid.blocks.list=[9]"
yaml 's/^hybrid:/hybrid:\n  blocks: [1, 7]/'
expect "block that the model lacks, in the file" 2 "bad.yaml:5:11: hybrid.blocks.list: found block 7" "$REHYAT" cache -c bad.yaml
yaml 's/title: tiny/title: caf\xe9/'
expect "config that is not UTF-8" 2 "bad.yaml:[0-9]+:[0-9]+: found bytes that are not UTF-8" "$REHYAT" prepare -c bad.yaml
expect "override that is not UTF-8" 2 "override 'report.title=caf.'.*not UTF-8" run prepare "report.title=caf$(printf '\xe9')"
yaml 's/dim: 24/dimm: 24/'
expect "unknown key in an optional section" 2 "unknown key 'model.architecture.dimm'; did you mean 'model.architecture.dim'" "$REHYAT" prepare -c bad.yaml
expect "no such folder of videos" 1 "nowhere" run prepare data.videos=nowhere
expect "stage before its time" 1 "the stage 'prepare' is not complete; run .rehyat prepare" run pretrain

mkdir broken && cp clips/clip-0.mp4 clips/clip-0.txt broken/ && echo "no video at all" > broken/text.mp4 && echo x > broken/text.txt && : > broken/empty.mp4 && echo x > broken/empty.txt
head -c 900 clips/clip-1.mp4 > broken/cut.mp4 && echo x > broken/cut.txt
expect "broken videos" 1 "found 3 of 4|3 of 4 clips" run prepare data.videos=broken run.dir=bad
mkdir bare && cp clips/clip-0.mp4 bare/
expect "missing caption" 1 "clip-0" run prepare data.videos=bare run.dir=bad
printf '{"file": "clip-0.mp4", "caption": "x"}\n{"file": "ghost.mp4", "caption": "x"}\n' > captions.jsonl
expect "caption of a clip that is not there" 1 "captions.jsonl:2.*ghost.mp4" run prepare data.videos=bare data.captions=captions.jsonl run.dir=bad
printf '{"file": "clip-0.mp4", "caption": \n' > captions.jsonl
expect "captions that are not JSON" 1 "captions.jsonl:1" run prepare data.videos=bare data.captions=captions.jsonl run.dir=bad
: > plain
expect "run folder that is a file" 1 "plain" run prepare run.dir=plain

# A disk of 64 kB of our own, where the system lets us make one.
small_disk() { unshare -m${root:+r} bash -c 'mkdir -p small && mount -t tmpfs -o size=64k none small && "$@"; code=$?; find small -name "*rehyat-part*" | sed "s/^/left behind: /"; exit $code' _ "$@"; }
root=""; [ "$(id -u)" -eq 0 ] || root=yes
if small_disk true 2> /dev/null; then
  expect "no space" 1 "small.*(No space left|check the disk.s space|rights and space|needs .*, found)" small_disk "$REHYAT" prepare -c good.yaml run.dir=small
  if grep "left behind" out.txt; then echo "FAILED: a full disk left half a file"; failures=$((failures + 1)); fi
else
  echo "skipped: no space: this system lets nobody mount a small disk (tests/core covers the failed write)"
fi

run prepare > /dev/null 2>&1 && run pretrain > /dev/null 2>&1 || { echo "FAILED: the good run"; cat err.txt; exit 1; }
teacher=$(echo runs/pretrain-*/model)
spoil() { rm -rf spoiled && mkdir spoiled && cp -r runs/prepare-* spoiled/; }
spoil; truncate -s -100 spoiled/prepare-*/shard-00000.h5
expect "truncated HDF5" 1 "shard-00000.h5: found [0-9]+ bytes, expected [0-9]+ bytes" run pretrain run.dir=spoiled
spoil; python3 - spoiled/prepare-*/shard-0000*.h5 <<'EOT'
import sys
for name in sys.argv[1:]:
    with open(name, "r+b") as f:
        f.seek(0, 2); size = f.tell(); f.seek(size // 2); b = f.read(1); f.seek(size // 2); f.write(bytes([b[0] ^ 1]))
EOT
expect "flipped bit in HDF5" 1 "checksum|damaged|cannot be read" run pretrain run.dir=spoiled
spoil; sed -i 's/"validation":true/"validation":false/g' spoiled/prepare-*/manifest.json
sed -i 's/"validation": true/"validation": false/g' spoiled/prepare-*/manifest.json
expect "altered manifest" 1 "manifest.*altered" run pretrain run.dir=spoiled
expect "cache over its quota" 1 "cache.quota: found a cache of .* expected at most" run cache cache.quota=1kB
expect "damaged stage marker" 1 "stage.json" bash -c "cp -r runs marked && for f in marked/pretrain-*/stage.json; do echo '{' > \$f; done && '$REHYAT' pretrain -c good.yaml run.dir=marked"

foreign() { rm -rf weights && cp -r "$teacher" weights; }
grep -v "architecture" good.yaml | sed 's/^model:/model: { weights: weights }/' > weights.yaml
foreign; truncate -s -64 weights/diffusion_pytorch_model.safetensors
expect "truncated safetensors" 1 "safetensors: found .*cut off" "$REHYAT" cache -c weights.yaml
foreign; python3 - weights/diffusion_pytorch_model.safetensors <<'EOT'
import struct, sys
with open(sys.argv[1], "r+b") as f:
    n = struct.unpack("<Q", f.read(8))[0]
    f.seek(8 + n); f.write(struct.pack("<f", float("nan")))
EOT
expect "NaN weights" 1 "found 1 of [0-9]+ values NaN or infinite" "$REHYAT" cache -c weights.yaml
foreign; rm weights/config.json
expect "model without config" 2 "config.json" "$REHYAT" cache -c weights.yaml
foreign; sed -i 's/"num_layers": 3/"num_layers": 4/' weights/config.json
expect "config of another model" 1 "found no tensor 'blocks.3" "$REHYAT" cache -c weights.yaml
expect "fixture that is missing" 1 "nothing.safetensors" "$REHYAT" verify --parity attention --fixture nothing.safetensors
expect "fixture without tensors" 1 "slices|no tensor 'q'" "$REHYAT" verify --parity attention --fixture "$teacher/diffusion_pytorch_model.safetensors"
python3 -c 'print("[" * 300000)' > deep.json
expect "JSON of hostile depth" 1 "deep.json.*nested more than" "$REHYAT" inspect deep.json
foreign; cp weights/diffusion_pytorch_model.safetensors weights/hybrid.safetensors; python3 -c 'print("{\"format\": 1, \"blocks\": " + "[" * 300000)' > weights/hybrid.json
expect "hybrid.json of hostile depth" 1 "hybrid.json.*nested more than" "$REHYAT" cache -c weights.yaml
spoil; cp -r runs/pretrain-* spoiled/; python3 - spoiled/pretrain-*/model/diffusion_pytorch_model.safetensors <<'EOT'
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(-2, 2); b = f.read(1); f.seek(-2, 2); f.write(bytes([b[0] ^ 1]))
EOT
expect "flipped bit in a stage's model" 1 "safetensors: found another checksum.*rehyat pretrain" run cache run.dir=spoiled
expect "strange file" 1 "extension" "$REHYAT" inspect good.yaml
if find . -name '*rehyat-part*' -not -path './spoiled/*' | grep -q .; then echo "FAILED: half-written files were left"; failures=$((failures + 1)); fi
echo "$count wrong inputs, $failures failed"
[ "$failures" -eq 0 ]
