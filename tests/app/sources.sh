#!/usr/bin/env bash
# Clips from tars and lists, buckets, several ranks, and a kill in the middle: the dataset is always the same.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 12
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; exit 1; }
# prepare DIR SETTING...: prints the summary.
prepare() { "$REHYAT" prepare -c "$config" --json run.dir="$1" "${@:2}" 2> "$1.log" || { cat "$1.log"; fail "prepare $*"; }; }
value() { python3 -c 'import functools, json, sys
print(functools.reduce(lambda v, k: v[int(k) if k.isdigit() else k], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"; }
same() { for file in "$1"/prepare-*/*.h5; do cmp "$file" "$2"/prepare-*/"$(basename "$file")" || fail "$2 differs from $1"; done; }

echo "== tars of every format give the latents of the folder"
prepare folder > folder.json
lengthy=$(printf 'a-long-name-%.0s' $(seq 12))
for format in ustar gnu pax v7; do
  rm -rf staged && mkdir -p staged shards-$format
  cp clips/* staged/
  # Of the formats that have them a name of over 100 bytes, which sorts where the short one would.
  if [ $format != v7 ] && [ $format != ustar ]; then for end in mp4 txt; do mv staged/clip-9.$end "staged/clip-9-$lengthy.$end"; done; fi
  (cd staged && tar --format=$format -cf ../shards-$format/all.tar -- *)
  prepare from-$format data.videos=shards-$format/all.tar > from-$format.json
  [ "$(value samples < from-$format.json)" = "$(value samples < folder.json)" ] || fail "$format has other samples"
  same folder from-$format
done

echo "== captions of a videos2caption.json"
mkdir silent && cp clips/*.mp4 silent/
python3 - << 'END'
import json, pathlib
clips = [{"path": p.name, "cap": [(p.parent.parent / "clips" / (p.stem + ".txt")).read_text(), "another"], "fps": 16.0,
          "resolution": {"width": 64, "height": 48}} for p in sorted(pathlib.Path("silent").glob("*.mp4"))]
json.dump(clips, open("videos2caption.json", "w"))
END
prepare listed data.videos=silent data.captions=videos2caption.json > listed.json
same folder listed

echo "== buckets, from tars, on 1, 2 and 4 ranks"
mkdir shards
for part in 0 1 2; do (cd clips && tar -cf "../shards/part-$part.tar" -- clip-$part.* clip-$((part + 3)).* clip-$((part + 6)).* clip-$((part + 9)).*); done
echo "no video" > bad.mp4; echo "x" > bad.txt; tar -cf shards/part-3.tar bad.mp4 bad.txt
sed 's/size: \[32, 32\], frames: 17/buckets: [{size: [48, 64], frames: 81}, {size: [48, 48], frames: 33}, {size: [32, 48], frames: 17}, {size: [64, 64], frames: 5}], max_bad_share: 0.1/' "$config" > mixed.yaml
grep -q "buckets:" mixed.yaml || fail "the config has no buckets"
config=mixed.yaml
prepare one "data.videos=shards/part-{0..3}.tar" > one.json
for ranks in 2 4; do
  # shellcheck disable=SC2086
  $MPIRUN -n $ranks "$REHYAT" prepare -c mixed.yaml --json run.dir=ranks-$ranks "data.videos=shards/part-*.tar" > ranks-$ranks.json 2> ranks-$ranks.log || { cat ranks-$ranks.log; fail "prepare on $ranks ranks"; }
  same one ranks-$ranks
  cmp one/prepare-*/manifest.json ranks-$ranks/prepare-*/manifest.json || fail "$ranks ranks wrote another manifest"
  [ "$(value throughput.ranks < ranks-$ranks.json)" = $ranks ] || fail "the throughput is not that of $ranks ranks"
  grep -q "clips/s over $ranks ranks, of their time .* waiting for decoding, .* VAE, .* text encoder" ranks-$ranks.log || fail "no line of throughput"
done
[ "$(value table.buckets.2.clips < one.json) $(value quarantined < one.json)" = "12 1" ] || { cat one.json; fail "another table"; }
grep -q "32x48, 17 frames *12 *36" one.log || { cat one.log; fail "no table in the log"; }
grep -q "quarantined *1  *found .*expected a readable video" one.log || { cat one.log; fail "the bad clip is not in the table"; }

echo "== killed in the middle"
hits=0
for try in $(seq 6); do
  "$REHYAT" prepare -c mixed.yaml run.dir=killed "data.videos=shards" > /dev/null 2>> killed.log &
  pid=$!
  before=$(find killed -name 'shard-*.h5' 2> /dev/null | wc -l || true)
  while kill -0 "$pid" 2> /dev/null; do
    [ "$(find killed -name 'shard-*.h5' 2> /dev/null | wc -l || true)" -gt "$before" ] && break
    sleep 0.005
  done
  kill -9 "$pid" 2> /dev/null && hits=$((hits + 1))
  wait "$pid" 2> /dev/null || true
  [ -n "$(find killed -name stage.json)" ] && break
done
[ "$hits" -ge 1 ] || fail "prepare was never hit in the middle"
shards() { find killed -name 'shard-*.h5' -exec stat -c '%i %n' {} + | sort; }
done_before=$(shards)
prepare killed "data.videos=shards" > killed.json
[ -z "$(comm -23 <(echo "$done_before") <(shards))" ] || fail "a finished shard was made again"
same one killed
cmp one/prepare-*/manifest.json killed/prepare-*/manifest.json || fail "the killed run wrote another manifest"
if find killed -name '*rehyat-part*' -o -name '*-part-*' | grep .; then fail "half-written files were left"; fi

echo "== a training takes batches of one bucket"
"$MAKE_CLIPS" varied/wide 6 && "$MAKE_CLIPS" varied/square 6 24 32 32
sed 's/videos: clips, size: \[32, 32\], frames: 17/videos: varied, buckets: [{size: [32, 48], frames: 17}, {size: [32, 32], frames: 9}]/; s/validation_share: 0.25/validation_share: 0.5/' "$SOURCE/tiny.yaml" > train.yaml
prepare_train() { "$REHYAT" "$1" -c train.yaml run.dir=train > "$1.json" --json 2> train.log || { cat train.log; fail "$*"; }; }
for stage in prepare pretrain cache distill finetune sample; do prepare_train $stage; done
[ "$(value table.buckets.0.clips < prepare.json) $(value table.buckets.1.clips < prepare.json)" = "6 6" ] || { cat prepare.json; fail "another table"; }
grep -q "validation_loss_32x48x17" train/finetune-*/metrics.jsonl || fail "no loss of the first bucket"
grep -q "validation_loss_32x32x9" train/finetune-*/metrics.jsonl || fail "no loss of the second bucket"
# shellcheck disable=SC2086
mkdir shared && cp -r train/prepare-* train/pretrain-* train/cache-* train/distill-* train/data-* shared/
$MPIRUN -n 2 "$REHYAT" finetune -c train.yaml --json run.dir=shared > shared.json 2> shared.log || { cat shared.log; fail "finetune on 2 ranks"; }
python3 -c 'import json
a, b = (json.load(open(f))["validation_loss"] for f in ("finetune.json", "shared.json"))
assert abs(a - b) < 1e-4 * abs(a), (a, b)' || fail "finetuning on 2 ranks took other batches"

echo "== a dataset of other settings is told apart"
"$REHYAT" pretrain -c "$SOURCE/tiny.yaml" run.dir=folder "data.size=[48, 48]" > /dev/null 2> stale.log && fail "a stale dataset was taken"
grep -q "the stage 'prepare' is not complete.*data.size: found \[32,32\], expected \[48,48\]" stale.log || { cat stale.log; fail "another error"; }
"$REHYAT" prepare -c "$SOURCE/tiny.yaml" run.dir=folder data.flip=true > /dev/null 2> again.log || fail "prepare again"
grep -q "begins anew in a new folder, for .*data.flip: found false, expected true" again.log || { cat again.log; fail "nothing told"; }

cp -r clips changed && echo "another" > changed/clip-3.txt && cp changed/clip-1.mp4 changed/clip-5.mp4
"$REHYAT" pretrain -c "$SOURCE/tiny.yaml" run.dir=folder data.videos=changed > /dev/null 2> stale.log && fail "a stale dataset was taken"
grep -q "1 clip with another content (clip-5.mp4), 1 clip with another caption or group (clip-3.mp4)" stale.log || { cat stale.log; fail "the clips are not named"; }

echo "== bad archives"
refused() { local code=0; "$REHYAT" prepare -c "$SOURCE/tiny.yaml" run.dir=bad data.videos="$1" > /dev/null 2> bad.log || code=$?
  [ "$code" -eq 1 ] && [ "$(grep -c '^rehyat: ' bad.log)" -eq 1 ] && grep -Eq "$2" bad.log || { cat bad.log; fail "$1: exit code $code, expected 1 and $2"; }; }
head -c 5000 shards/part-0.tar > cut.tar; refused cut.tar "cut.tar: found .*cut short"
gzip -c shards/part-0.tar > packed.tar; refused packed.tar "a file compressed with gzip, expected a plain tar"
tar -cf absolute.tar -P "$PWD/bad.mp4"; refused absolute.tar "expected a relative name"
ln -s bad.mp4 link.mp4; tar -cf link.tar link.mp4; refused link.tar "a symbolic link"
cat shards/part-0.tar shards/part-1.tar > joined.tar; refused joined.tar "data behind the end mark"
refused "shards/part-{0..9}.tar" "nothing at shards/part-4.tar"
[ ! -e bad ] || [ -z "$(find bad -name 'shard-*')" ] || fail "something was written"
echo "sources: all as expected"
