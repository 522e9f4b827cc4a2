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
to_full_disk() { "$REHYAT" "$@" > /dev/full; }
for command in "analyze --json" "inspect good.yaml" "--help" "--version" "analyze --help"; do
  # shellcheck disable=SC2086
  expect "stdout on a full disk: $command" 1 "stdout: the result cannot be written: No space left" to_full_disk $command
done
expect "unknown command" 2 "found the command 'distil'.*did you mean 'distill'" "$REHYAT" distil
expect "unknown published model" 2 "wan2.1-t2v-1b.*wan2.1-t2v-14b" "$REHYAT" analyze --published wan2.1-t2v-1b
expect "no command" 2 "see .rehyat --help" "$REHYAT"
for part in prepare distill inspect demo.sh dry-run; do
  grep -q "$part" err.txt || { echo "FAILED: without a command, $part is not named"; failures=$((failures + 1)); }
done
expect "unknown option" 2 "analyze: found the option '--frmaes', did you mean '--frames'" "$REHYAT" analyze --frmaes 81
expect "unknown option before what is missing" 2 "prepare: found the option '--confg', did you mean '--config'" "$REHYAT" prepare --confg=good.yaml
expect "unknown option of the program" 2 "found the option '--log-levl', did you mean '--log-level'" "$REHYAT" inspect good.yaml --log-levl debug

# Launchers whose processes MPI sees one by one. A batch script is by itself.
step="SLURM_STEP_ID=0 SLURM_STEP_NUM_TASKS=4 SLURM_NTASKS=4 SLURM_PROCID=2"
torch="WORLD_SIZE=4 RANK=1 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=127.0.0.1 MASTER_PORT=29500"
expect "srun without PMI" 1 "a world of 1 rank, expected 4, as many as srun started .SLURM_STEP_NUM_TASKS=4, SLURM_PROCID=2.*srun --mpi=pmix" env $step "$REHYAT" inspect good.yaml
expect "srun with another PMI" 1 "a world of 1 rank, expected 4.*srun --mpi=pmix" env $step PMI_SIZE=4 PMI_RANK=2 "$REHYAT" inspect good.yaml
expect "torchrun" 1 "a world of 1 rank, expected 4.*torchrun.*mpirun -n 4" env $torch "$REHYAT" inspect good.yaml
expect "a launcher without a name" 1 "a world of 1 rank, expected 3.*NEW_SIZE=3, NEW_RANK=0.*mpirun -n 3" env NEW_RANK=0 NEW_SIZE=3 "$REHYAT" inspect good.yaml
env SLURM_JOB_ID=77 SLURM_NTASKS=4 SLURM_PROCID=0 "$REHYAT" inspect good.yaml > /dev/null 2>&1 || { echo "FAILED: one process in a batch script"; failures=$((failures + 1)); }
env $step SLURM_PROCID=0 "$REHYAT" --version | grep -q "^rehyat " || { echo "FAILED: --version under srun"; failures=$((failures + 1)); }
[ -z "$(env $step "$REHYAT" --version)" ] || { echo "FAILED: --version of every process of a step"; failures=$((failures + 1)); }
[ "$($MPIRUN -n 2 "$REHYAT" --version | grep -c "^rehyat ")" -eq 1 ] || { echo "FAILED: --version on two ranks"; failures=$((failures + 1)); }
# A user by number alone: no HOME, no entry in passwd.
if [ "$(id -u)" -eq 0 ] && setpriv --reuid=54321 --regid=54321 --clear-groups test -x "$REHYAT" -a -r "$PWD/good.yaml"; then
  nobody() { setpriv --reuid=54321 --regid=54321 --clear-groups env -u HOME -u USER "$@"; }
  nobody "$REHYAT" --version > /dev/null && nobody "$REHYAT" inspect "$PWD/good.yaml" > /dev/null || { echo "FAILED: a user without a home"; failures=$((failures + 1)); }
  expect "a home that is not there" 2 "'run.dir': found \"~/x\" without a HOME" nobody "$REHYAT" prepare -c "$PWD/good.yaml" 'run.dir=~/x'
else
  echo "SKIPPED: a user without a home: only root can become one, where others may read $REHYAT"
fi
yaml 's/^distill: {/distill: { itertions: 3,/'
expect "unknown key" 2 "bad.yaml:[0-9]+:[0-9]+: unknown key 'distill.itertions'; did you mean 'distill.iterations'" "$REHYAT" distill -c bad.yaml
yaml 's/seed: 3/seed: many/'
expect "wrong type" 2 "'run.seed'.*found \"many\", expected a whole number" "$REHYAT" prepare -c bad.yaml
yaml 's/seed: 3/seed: 3, seed: 4/'
expect "repeated key" 2 "the key 'seed' a second time" "$REHYAT" prepare -c bad.yaml
expect "out of range" 2 "'distill.lr'.*expected a number > 0" run distill distill.lr=-1
expect "unknown override" 2 "unknown key 'distil'" run distill distil.lr=1
expect "override without value" 2 "expected dotted.key=value" run distill distill.lr
expect "another user's home in the config" 2 "override 'run.dir=~me/x': 'run.dir': found \"~me/x\".*write ./~me" run prepare 'run.dir=~me/x'
expect "a variable in a path" 2 "'data.videos': found .*/scratch/.USER/clips.*let the shell replace it" run prepare 'data.videos=/scratch/$USER/clips'
expect "a variable in an option's path" 2 "model: found .*HOME/x.*let the shell replace it" "$REHYAT" verify --model='$HOME/x'
expect "a home in an option's path" 1 "$PWD/home/nothing: found no such file" env HOME="$PWD/home" "$REHYAT" inspect '~/nothing'
expect "frames" 2 "found 16, expected 4k \+ 1" run prepare data.frames=16
expect "size" 2 "expected \[height, width\], both multiples of 16" run prepare "data.size=[30, 32]"
expect "weights and architecture" 2 "found weights and architecture" run prepare model.weights=clips
expect "block that the model lacks" 2 "override .hybrid.blocks=.9..: hybrid.blocks.*: found block 9, expected 0 to 2" run cache "hybrid.blocks=[9]"
yaml 's/^hybrid:/hybrid:\n  blocks: [1, 7]/'
expect "block that the model lacks, in the file" 2 "bad.yaml:5:11: hybrid.blocks.*: found block 7" "$REHYAT" cache -c bad.yaml
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
"$MAKE_CLIPS" odd odd || exit 1
mkdir sound frameless && cp odd/sound.* sound/ && cp odd/frameless.* frameless/
expect "sound alone" 1 "sound.mp4.*(no video|video stream|video track)|found 1 of 1|no usable" run prepare data.videos=sound run.dir=bad
expect "a video track without frames" 1 "frameless.mkv.*(no frame|frames|video)|found 1 of 1|no usable" run prepare data.videos=frameless run.dir=bad
grep -rq "sound.mp4" out.txt err.txt bad || { echo "FAILED: the file with sound alone is not named"; failures=$((failures + 1)); }

# Rights mean nothing to root, who runs tests in a container: somebody else looks at the folder then.
mkdir locked && cp clips/clip-0.* locked/ && chmod 000 locked
open=$(mktemp -d) && chmod 777 "$open"
as_somebody() { (cd "$open" && if [ "$(id -u)" -eq 0 ]; then setpriv --reuid=65534 --regid=65534 --clear-groups env HOME="$open" "$@"; else "$@"; fi); }
if as_somebody "$REHYAT" --version > /dev/null 2>&1 && as_somebody test -r "$PWD/good.yaml"; then
  expect "unreadable folder" 1 "locked.*([Pp]ermission|cannot be read)" as_somebody "$REHYAT" prepare -c "$PWD/good.yaml" "data.videos=$PWD/locked" run.dir=run
  expect "unreadable folder to inspect" 1 "locked.*([Pp]ermission|cannot be read)" as_somebody "$REHYAT" inspect "$PWD/locked"
  mkdir closed && chmod 555 closed
  expect "a run folder that is not writable" 1 "closed.*[Pp]ermission" as_somebody "$REHYAT" prepare -c "$PWD/good.yaml" "data.videos=$PWD/clips" "run.dir=$PWD/closed/run"
else
  echo "SKIPPED: unreadable folder: nobody else than root can be had here who reads $REHYAT"
fi
chmod 755 locked; rm -rf "$open"

mkdir bare && cp clips/clip-0.mp4 bare/
expect "missing caption" 1 "clip-0" run prepare data.videos=bare run.dir=bad
printf '{"file": "clip-0.mp4", "caption": "x"}\n{"file": "ghost.mp4", "caption": "x"}\n' > captions.jsonl
expect "caption of a clip that is not there" 1 "captions.jsonl:2.*ghost.mp4" run prepare data.videos=bare data.captions=captions.jsonl run.dir=bad
printf '{"file": "clip-0.mp4", "caption": \n' > captions.jsonl
expect "captions that are not JSON" 1 "captions.jsonl:1" run prepare data.videos=bare data.captions=captions.jsonl run.dir=bad
: > plain
expect "run folder that is a file" 1 "plain" run prepare run.dir=plain

# A process that may write no file above 8 kB: everywhere the same as a disk that fills up in the middle of one.
# MPI must do without files of its own there.
small_files() { (ulimit -f 8 && trap "" XFSZ && OMPI_MCA_btl=self PMIX_MCA_gds=hash "$@"); }
if small_files "$REHYAT" inspect good.yaml > /dev/null 2>&1; then
  expect "no space in the middle of a file" 1 "smallfiles.*(File too large|No space left|cannot be written|check the disk)" small_files "$REHYAT" prepare -c good.yaml run.dir=smallfiles
  if find smallfiles -name '*rehyat-part*' | grep -q .; then echo "FAILED: a file that could not be written was left half"; failures=$((failures + 1)); fi
else
  echo "SKIPPED: no space in the middle of a file: MPI itself does not start under ulimit -f"
fi

# A disk of 64 kB of our own, where the system lets us make one.
small_disk() { unshare -m${root:+r} bash -c 'mkdir -p small && mount -t tmpfs -o size=64k none small && "$@"; code=$?; find small -name "*rehyat-part*" | sed "s/^/left behind: /"; exit $code' _ "$@"; }
root=""; [ "$(id -u)" -eq 0 ] || root=yes
if small_disk true 2> /dev/null; then
  expect "no space" 1 "small.*(No space left|check the disk.s space|rights and space|needs .*, found)" small_disk "$REHYAT" prepare -c good.yaml run.dir=small
  if grep "left behind" out.txt; then echo "FAILED: a full disk left half a file"; failures=$((failures + 1)); fi
else
  echo "SKIPPED: no space: this system lets nobody mount a small disk (tests/core covers the failed write)"
fi

run prepare > /dev/null 2>&1 && run pretrain > /dev/null 2>&1 || { echo "FAILED: the good run"; cat err.txt; exit 1; }
teacher=$(echo runs/pretrain-*/model)
run prepare > /dev/null 2> /dev/full && { echo "FAILED: what was said on stderr did not arrive, exit code 0"; failures=$((failures + 1)); }
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
run cache > /dev/null 2>&1 && run cache cache.seeds=1 > /dev/null 2>&1 || { echo "FAILED: two caches"; exit 1; }
mine=$(grep -l '"seeds": 2' runs/cache-*/identity.json | xargs dirname) other=$(grep -l '"seeds": 1' runs/cache-*/identity.json | xargs dirname)
another_cache() { rm -rf foreign && cp -r runs foreign && cp "$other"/* "foreign/${mine#runs/}/"; }
another_cache
expect "foreign cache" 1 "stage.json: found fingerprint .*, expected" run distill run.dir=foreign
another_cache; cp "$mine/stage.json" "foreign/${mine#runs/}/"
expect "foreign activations behind the right marker" 1 "foreign/cache.*(found|differs).*expected" run distill run.dir=foreign
expect "cache over its quota" 1 "cache.quota: found a cache of .* expected at most" run cache cache.seeds=3 cache.quota=1kB
expect "cache with nothing to measure on" 1 "found 1 prompt, expected at least two" run cache cache.max_prompts=1
expect "points that do not fit the memory" 1 "distill.online.memory: found .* expected at most" run distill distill.source=online distill.online.memory=1kB
expect "setting without effect" 2 "'distill'.*online: found settings with source cache" run distill distill.online.rounds=2
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
expect "fixture without tensors" 1 "no metadata 'kind'" "$REHYAT" verify --parity attention --fixture "$teacher/diffusion_pytorch_model.safetensors"
: > strange.xyz
expect "strange file" 1 "extension" "$REHYAT" inspect strange.xyz
printf '{"step": 0}\n{"st' > metrics.jsonl
expect "metrics that end in a line" 1 "metrics.jsonl:2: found no JSON object" "$REHYAT" inspect metrics.jsonl
head -c 30 "$(find runs -name 'events.out.tfevents*' | head -1)" > events.out.tfevents.cut
expect "event file that is cut off" 1 "tfevents.cut: byte [0-9]+" "$REHYAT" inspect events.out.tfevents.cut
expect "prompts twice" 2 "found prompts and prompts_file" run sample "sample.prompts=[a]" sample.prompts_file=good.yaml
expect "recurrent sampling of what has no such form" 2 "sample.form: found recurrent, but .*non-causal" run finetune sample.form=recurrent hybrid.attention.causal=false
expect "settings for analyze without a config" 2 "without a config" "$REHYAT" analyze data.frames=17
for size in frames=0 frames=-5 height=0 width=-16; do expect "analyze --$size" 2 "${size%%=*}: found .*, expected a whole number of at least 1" "$REHYAT" analyze "--$size"; done
expect "analyze --frames 80" 1 "4k \+ 1" "$REHYAT" analyze --frames 80
expect "report before its time" 1 "run .rehyat distill" run report
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
if find . -name '*rehyat-part*' -not -path './spoiled/*' | grep -q .; then echo "FAILED: half-written files were left"; failures=$((failures + 1)); fi
echo "$count wrong inputs, $failures failed"
[ "$failures" -eq 0 ]
