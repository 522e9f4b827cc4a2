#!/usr/bin/env bash
# A whole tiny pipeline of diffusers: what it samples equals what diffusers sampled of the same prompt, negative prompt
# and noise; and every stage runs with the real VAE and UMT5 on real files.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
fail() { echo "FAILED: $*" >&2; exit 1; }
fixture=$SOURCE/../fixtures/pipeline

echo "== sample"
cat > sample.yaml <<EOT
run: { dir: runs, device: cpu }
model: { weights: $fixture/model }
hybrid: { blocks: [] }
data: { size: [32, 48], frames: 9, fps: 8 }
sample: { prompts_file: prompts.txt, negative_prompt: "blurry, static", guidance: 5.0, model: teacher, noise: noise.safetensors, keep_frames: true, sampler: { steps: 6 } }
EOT
python3 - "$fixture/expected.safetensors" <<'EOT'
import json, struct, sys
data = open(sys.argv[1], "rb").read()
size = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + size])
begin, end = header["noise"]["data_offsets"]
body = data[8 + size + begin:8 + size + end]
head = json.dumps({"noise": dict(header["noise"], data_offsets=[0, len(body)])}).encode()
head += b" " * (-len(head) % 8)
open("noise.safetensors", "wb").write(struct.pack("<Q", len(head)) + head + body)
open("prompts.txt", "w").write("\n".join(json.loads(header["__metadata__"]["prompts"])) + "\n")
EOT
"$REHYAT" sample -c sample.yaml --json > sampled.json 2> sample.log || { cat sample.log; fail "sample"; }
grep -q '"kind": "unipc"' runs/sample-*/video-0.json || fail "the scheduler of the pipeline was not taken"
grep -q '"shift": 3.0' runs/sample-*/video-0.json || fail "the shift of the pipeline was not taken"
"$REHYAT" sample -c sample.yaml --json sample.max_prompts=1 sample.guidance=1 > unguided.json 2> sample.log || { cat sample.log; fail "sample, unguided"; }
python3 - "$fixture/expected.safetensors" sampled.json unguided.json <<'EOT'
import array, json, struct, sys
def tensors(path):
  data = open(path, "rb").read()
  size = struct.unpack("<Q", data[:8])[0]
  header = json.loads(data[8:8 + size]); header.pop("__metadata__", None)
  return {k: array.array({"F32": "f", "U8": "B"}[v["dtype"]], data[8 + size + v["data_offsets"][0]:8 + size + v["data_offsets"][1]])
          for k, v in header.items()}
expected = tensors(sys.argv[1])
files = [v["file"] for v in json.load(open(sys.argv[2]))["videos"]] + [v["file"] for v in json.load(open(sys.argv[3]))["videos"]]
for file, name in zip(files, ("0", "1", "unguided"), strict=True):
  ours = tensors(file.replace(".mp4", ".safetensors"))
  for kind, limit in (("latents", 1e-5), ("frames", 1)):
    want, found = expected[f"{kind}_{name}"], ours[kind]
    assert len(want) == len(found), (kind, len(want), len(found))
    error = max(abs(a - b) for a, b in zip(want, found))
    if kind == "latents": error /= max(abs(a) for a in want)
    print(f"{kind} of {name}: {error:.1e}")
    assert error <= limit, f"{kind} of {name} differ by {error}"
EOT

echo "== every stage"
"$MAKE_CLIPS" clips 4
cp -r "$fixture/model" model
cat > wan.yaml <<EOT
run: { dir: runs, device: cpu, threads: 1 }
model: { weights: model }
hybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }
data: { videos: clips, size: [32, 32], frames: 9, fps: 8, max_windows: 1, short_clips: bounce, validation_share: 0.25, clips_per_shard: 1 }
cache: { seeds: 1, sampler: { steps: 3 }, guidance: 2.0, keep_per_trajectory: 2, validation_share: 0.3, dtype: f32, quota: 100MB }
distill: { iterations: 4, warmup: 1, validation_samples: 2 }
finetune: { iterations: 3, global_batch: 2, micro_batch: 1, validation_samples: 2 }
sample: { sampler: { steps: 2 }, max_prompts: 1, guidance: 2.0 }
EOT
for stage in prepare cache distill finetune sample; do
  "$REHYAT" "$stage" -c wan.yaml > "$stage.out" 2> "$stage.log" || { cat "$stage.log"; fail "$stage"; }
done
ls runs/sample-*/video-0.mp4 > /dev/null || fail "no video"
echo "== what is complete is found without the weights"
mv model away
for stage in prepare cache distill finetune sample; do
  "$REHYAT" "$stage" -c wan.yaml > /dev/null 2> gone.log || { cat gone.log; fail "$stage without the weights"; }
  grep -q "already complete" gone.log && grep -q "model is gone; what was made of it is found" gone.log || { cat gone.log; fail "$stage is not found without the weights"; }
done
"$REHYAT" run -c wan.yaml > /dev/null 2> gone.log || { cat gone.log; fail "run without the weights"; }
"$REHYAT" verify -c wan.yaml > /dev/null 2> gone.log || { cat gone.log; fail "verify without the weights"; }
"$REHYAT" export -c wan.yaml > /dev/null 2> gone.log || { cat gone.log; fail "export without the weights"; }
"$REHYAT" report -c wan.yaml > /dev/null 2> gone.log && fail "a report without the teacher"
grep -q "model: found that the teacher is gone, expected it" gone.log || { cat gone.log; fail "another error"; }
mv away model

grep -q "wan-vae-1:" runs/prepare-*/identity.json || fail "the dataset does not name its VAE"
grep -q "umt5-1:" runs/prepare-*/identity.json || fail "the dataset does not name its text encoder"

"$REHYAT" prepare -c wan.yaml model.vae_precision=bf16 > /dev/null 2> prepare.log || { cat prepare.log; fail "a VAE in bf16"; }
grep -q "video codec: found.*expected.*BFloat16" prepare.log || { cat prepare.log; fail "another type of the VAE is not said to be another dataset"; }
[ "$(find runs -maxdepth 1 -name 'prepare-*' | wc -l)" -eq 2 ] || fail "another type of the VAE is not another dataset"

echo "== prompts of a file need no videos"
sed 's/ videos: clips,//; s/cache: {/cache: { prompts: prompts.txt,/' wan.yaml > prompted.yaml
"$REHYAT" cache -c prompted.yaml run.dir=prompted > /dev/null 2> cache.log || { cat cache.log; fail "cache of a file's prompts"; }
$MPIRUN -n 2 "$REHYAT" cache -c prompted.yaml run.dir=prompted-2 > /dev/null 2> cache.log || { cat cache.log; fail "cache on 2 ranks"; }
for file in prompted/cache-*/*.h5; do cmp "$file" "prompted-2/${file#prompted/}" || fail "$file depends on the ranks"; done
ls prompted/cache-*/text.h5 > /dev/null || fail "no embeddings were kept"
! ls prompted/cache-*/text-part-* > /dev/null 2>&1 || fail "parts of the embeddings were left"
for source in cache online; do
  $MPIRUN -n 2 "$REHYAT" distill -c prompted.yaml run.dir=prompted "distill.source=$source" > /dev/null 2> distill.log || { cat distill.log; fail "distill from $source"; }
done
"$REHYAT" prepare -c prompted.yaml run.dir=prompted > /dev/null 2> prepare.log && fail "prepare without videos"
grep -q "data.videos" prepare.log || { cat prepare.log; fail "another error"; }

echo "== what is missing is named"
cp -r "$fixture/model" half && rm -r half/vae
"$REHYAT" sample -c sample.yaml model.weights=half > /dev/null 2> half.log && fail "a pipeline without its VAE was taken"
grep -q "model.encoders: found no VAE in half.*model.vae" half.log || { cat half.log; fail "another error"; }
"$REHYAT" sample -c sample.yaml model.weights=half "model.vae=$fixture/model/vae" sample.max_prompts=1 > /dev/null 2> half.log || { cat half.log; fail "a VAE from elsewhere"; }
sed -i 's/"WanPipeline"/"WanImageToVideoPipeline"/' half/model_index.json
"$REHYAT" sample -c sample.yaml model.weights=half > /dev/null 2> half.log && fail "another pipeline was taken"
grep -q 'model_index.json: found a pipeline of the class' half.log || { cat half.log; fail "another error"; }
"$REHYAT" sample -c sample.yaml data.size=[32,32] > /dev/null 2> half.log && fail "noise of another size was taken"
grep -q 'noise: found \[16, 3, 4, 6\], expected \[16, 3, 4, 4\]' half.log || { cat half.log; fail "another error"; }
for config in "$SOURCE"/../../configs/*.yaml; do "$REHYAT" inspect "$config" > /dev/null || fail "$config cannot be read"; done
echo "wan: as expected"
