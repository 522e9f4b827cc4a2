#!/usr/bin/env bash
# Every stage by the public commands on tiny data; results that must not depend on the number of ranks.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 4
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; exit 1; }
is_json() { python3 -c 'import json, sys; json.loads(sys.stdin.read())' || fail "$1: stdout is not one JSON object"; }

for stage in prepare pretrain cache distill finetune sample verify export; do
  echo "== $stage"
  "$REHYAT" "$stage" -c "$config" --json 2> "$stage.log" > "$stage.json" || { cat "$stage.log"; fail "$stage"; }
  is_json "$stage" < "$stage.json"
done
echo "== control and report"
"$REHYAT" finetune -c "$config" "hybrid.blocks=[]" > /dev/null 2>> finetune.log
"$REHYAT" report -c "$config" > report.txt 2> report.log || { cat report.log; fail report; }
grep -q "</html>" runs/report.html || fail "report.html is not whole"
grep -q 'reload_equal": true' verify.json || fail "a reloaded model differs"
ls runs/sample-*/video-0.mp4 runs/export-*/transformer/hybrid.safetensors > /dev/null || fail "sample or export wrote nothing"
grep -q chunk-major sample.json || fail "an all-recurrent model was not sampled chunk by chunk"
"$REHYAT" analyze --json | is_json analyze
"$REHYAT" inspect runs/export-*/transformer/hybrid.safetensors --json | is_json inspect
"$REHYAT" distill -c "$config" --dry-run > dry.txt 2>&1
grep -q "complete in" dry.txt || fail "a dry run does not see the complete stage"
"$REHYAT" distill -c "$config" > again.txt 2>&1
grep -q "already complete" again.txt || fail "a complete stage was done again"

echo "== what a complete stage says to people"
for stage in prepare pretrain cache distill finetune sample verify export; do
  "$REHYAT" "$stage" -c "$config" > text.txt 2> text.log || { cat text.log; fail "$stage, told to people"; }
  head -1 text.txt | grep -Eq "^$stage: complete in runs/$stage-[0-9a-f]+, [0-9.]+ s" || { cat text.txt; fail "the first line of $stage"; }
  [ "$(wc -l < text.txt)" -ge 3 ] && ! grep -q '[{}"]' text.txt || { cat text.txt; fail "$stage tells people nothing, or JSON"; }
done
echo "== folders have readable names, and two of a stage are told apart"
[ "$(readlink runs/pretrain)" = "$(basename runs/pretrain-*)" ] || fail "runs/pretrain leads to $(readlink runs/pretrain)"
"$REHYAT" inspect runs --json > inspected.json 2> inspect.log || { cat inspect.log; fail "inspect of the run"; }
python3 - inspected.json "$(readlink runs/finetune)" "$(readlink runs/finetune-control)" <<'EOT' || fail "the two finetune folders are not told apart"
import json, sys
rows = {r["stage"]: r for r in json.load(open(sys.argv[1]))["stages"]}
assert len(rows) == 10, sorted(rows)
hybrid, control = rows[sys.argv[2]], rows[sys.argv[3]]
assert hybrid["links"] == "finetune" and hybrid["differs"].startswith("hybrid 3 blocks rehyat("), hybrid
assert control["links"] == "finetune-control" and control["differs"] == "hybrid no block", control
EOT

echo "== nothing is written where all is complete"
state() { find runs -printf '%p %C@ %T@ %l\n' | sort; }
state > before.txt
for stage in prepare pretrain cache distill finetune sample export; do
  "$REHYAT" "$stage" -c "$config" > /dev/null 2> again.txt || { cat again.txt; fail "$stage, once more"; }
  grep -q "already complete" again.txt || { cat again.txt; fail "$stage is not found"; }
done
state > after.txt
diff before.txt after.txt || fail "something was written though all was complete"

for stage in prepare pretrain cache distill finetune sample; do
  "$REHYAT" "$stage" -c "$config" run.dir=elsewhere --dry-run --json 2> dry.log > dry.json || { cat dry.log; fail "dry run of $stage"; }
done
[ ! -e elsewhere ] || fail "a dry run wrote something"
for stage in prepare pretrain cache distill finetune sample export verify; do "$REHYAT" "$stage" -c "$config" --dry-run --json > "dry-$stage.json" 2> /dev/null || fail "dry run of $stage"; done
grep -q "$(python3 -c 'import json; n = json.load(open("dry-sample.json"))["needs"]["steps_per_video"]; print(f"sample 0: {n}/{n} steps")')" sample.log || { cat sample.log; fail "the dry run and the progress of sample count other steps"; }
grep -q "$(python3 -c 'import json; n = json.load(open("dry-cache.json"))["needs"]["steps"]; print(f": {n}/{n} steps")')" cache.log || { cat cache.log; fail "the dry run and the progress of cache count other steps"; }
"$REHYAT" cache -c "$config" cache.quota=1kB --dry-run > refused.txt 2> refused.log || fail "a complete stage is planned as if it were not"
"$REHYAT" cache -c "$config" cache.seeds=3 cache.quota=1kB --dry-run > refused.txt 2> refused.log && fail "a dry run of what is refused ends well"
"$REHYAT" cache -c "$config" cache.seeds=3 cache.quota=1kB > /dev/null 2> real.log && fail "a cache over its quota"
[ "$(grep "^rehyat: " refused.log)" = "$(grep "^rehyat: " real.log)" ] && grep -q "refused .*cache.quota" refused.txt || { cat refused.log real.log; fail "the dry run refuses in other words"; }
[ "$(find runs -maxdepth 1 -type d -name 'cache-*' | wc -l)" -eq 1 ] || fail "a refused cache left a folder"
"$REHYAT" finetune -c "$config" --dry-run --json > dry.json
python3 -c 'import json, sys
needs = json.load(open("dry.json"))["needs"]
assert needs["gpu_hours"] > 0 and needs["memory_per_gpu"]["total"] > 0 and needs["disk_bytes"] > 0, needs' || fail "a dry run without its numbers"
for stage in prepare pretrain cache distill finetune; do
  grep -q "$stage" runs/$stage-*/log.txt || fail "$stage left no log"
  python3 -c 'import json, sys
for start in json.load(open(sys.argv[1])):
  assert all(start["environment"][k] for k in ("rehyat", "libtorch", "mpi", "hdf5", "video", "ranks")), start' "$(echo runs/$stage-*/environment.json | cut -d" " -f1)" || fail "$stage saved no versions"
done
grep -q "pretrain, step .* of .*: loss .* left" runs/pretrain-*/log.txt || fail "no line a step in the log"

python3 - dry.json runs/finetune-*/log.txt <<'EOT' || fail "the dry run and the log count a step otherwise"
import json, re, sys
steps, tflops = re.search(r"finetune: (\d+) steps of ([^ ]+) TFLOP each", "".join(open(f).read() for f in sys.argv[2:])).groups()
counted = json.load(open(sys.argv[1]))["needs"]["tflops"]
print("TFLOP of the dry run and of the log:", counted, int(steps) * float(tflops))
sys.exit(abs(counted - int(steps) * float(tflops)) > 1e-4 * counted)
EOT

for ranks in 1 2 4; do
  echo "== $ranks ranks"
  mkdir -p "ranks$ranks"
  cp -r runs/pretrain-* "ranks$ranks/"
  for stage in prepare cache distill; do
    $MPIRUN -n "$ranks" "$REHYAT" "$stage" -c "$config" "run.dir=ranks$ranks" > /dev/null 2> "ranks$ranks/$stage.log" || { cat "ranks$ranks/$stage.log"; fail "$stage on $ranks ranks"; }
  done
  for file in runs/distill-*/phi-*.safetensors runs/cache-*/manifest.json runs/cache-*/trajectory-*.h5 runs/prepare-*/manifest.json runs/prepare-*/shard-*.h5; do
    cmp "$file" "ranks$ranks/${file#runs/}" || fail "$ranks ranks wrote another ${file#runs/}"
  done
done
for ranks in 1 2 4; do
  echo "== online on $ranks ranks"
  mkdir -p "online$ranks"
  cp -r runs/prepare-* runs/pretrain-* "online$ranks/"
  $MPIRUN -n "$ranks" "$REHYAT" distill -c "$config" "run.dir=online$ranks" distill.source=online distill.online.rounds=3 \
    distill.online.trajectories=2 > /dev/null 2> "online$ranks.log" || { cat "online$ranks.log"; fail "online on $ranks ranks"; }
  [ -z "$(find "online$ranks" -name 'trajectory-*')" ] || fail "online distillation wrote activations"
  for file in online1/distill-*/phi-*.safetensors; do
    cmp "$file" "online$ranks/${file#online1/}" || fail "online on $ranks ranks wrote another ${file#online1/}"
  done
done
[ "$(find online1 -name 'phi-*.safetensors' | wc -l)" -eq 3 ] || fail "online distillation left no maps"
python3 - runs/finetune-*/stage.json runs/finetune-*/elapsed.json <<'EOT' || fail "the time taken is not kept"
import json, sys
for name in sys.argv[1:]:
    content = json.load(open(name)); assert content.get("content", content)["seconds"] > 0, name
EOT
echo "== finetune on 2 ranks"
$MPIRUN -n 2 "$REHYAT" finetune -c "$config" run.dir=ranks2 --json > two.json 2> two.log || { cat two.log; fail "finetune on 2 ranks"; }
python3 - finetune.json two.json <<'EOT' || fail "finetune on 2 ranks differs from 1"
import json, sys
one, two = (json.load(open(f))["validation_loss"] for f in sys.argv[1:])
print("validation loss on 1 and 2 ranks:", one, two)
sys.exit(abs(one - two) > 1e-5 * abs(one))
EOT
echo "pipeline: all as expected"
