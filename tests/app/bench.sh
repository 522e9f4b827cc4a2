#!/usr/bin/env bash
# Every mode of bench on narrow models, and bench forward on one layer of the 1.3B's width: what they say and refuse.
set -uo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK" || exit 1
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
small="--frames 9 --height 32 --width 48 --repeats 3 --warmup 1 --device cpu"
narrow="--architecture dim=24 --architecture heads=2 --architecture ffn_dim=48 --architecture text_dim=16"
model=$SOURCE/../fixtures/transformer/width16
go() { # MODE ARGUMENT...
  # shellcheck disable=SC2086
  "$REHYAT" bench "$1" $small "${@:2}" --json > out.txt 2> err.txt || { cat err.txt; fail "$*"; }
}
holds() { # NAME CONDITION: of the result r, its rows by name and the first row
  python3 -c "
import json
r = json.load(open('out.txt'))
rows = {row['name']: row for row in r['rows']}
row = r['rows'][0]
assert $2, json.dumps(r, indent=1)" || fail "$1"
}

go forward --layers 1
holds "one layer" "(r['bench'], r['layers'], r['tokens'], r['repeats'], r['compute'], r['model']) == ('forward', 1, 3 * 2 * 3, 3, 'Float', 'arbitrary')"
holds "times" "0 < row['seconds_min'] <= row['seconds_median'] <= row['seconds_max'] and row['tflop'] > 0 and row['peak_bytes'] > 1e8"
holds "the rate" "abs(row['tflop_per_s'] * row['seconds_median'] / row['tflop'] - 1) < 1e-9"
holds "shares of the ceilings" "abs(row['share_of_matmul'] * r['ceilings']['tflop_per_s'] / row['tflop_per_s'] - 1) < 1e-9 and abs(row['share_of_copy'] * r['ceilings']['bytes_per_s'] / row['bytes_per_s'] - 1) < 1e-9"
holds "the floor" "abs(row['to_floor'] * row['floor_seconds'] / row['seconds_median'] - 1) < 1e-9 and row['to_floor'] > 0.5"
holds "the MFU where no peak is named" "row['mfu'] == row['share_of_matmul'] and r['peak_tflop_per_s'] == r['ceilings']['tflop_per_s']"
go forward --layers 1 --peak-tflops 2.5
holds "the MFU of a published peak" "abs(row['mfu'] * 2.5 / row['tflop_per_s'] - 1) < 1e-9 and r['peak_tflop_per_s'] == 2.5"
go forward --model "$model"
holds "a model as it is" "r['attention'] == 'softmax' and r['layers'] == 2 and r['form'] == 'parallel'"
for form in parallel recurrent; do
  go forward --model "$model" --attention rehyat --tc 2 --to 1 --form $form
  holds "converted, $form" "'rehyat' in r['attention'] and r['form'] == '$form'"
done
go forward --model "$model" --precision bf16 --batch 2
holds "half precision" "r['compute'] == 'BFloat16' and r['batch'] == 2"
# shellcheck disable=SC2086
"$REHYAT" bench forward $small --model "$model" > out.txt 2> err.txt || fail "the text"
grep -q "3 repeats after 1" out.txt && grep -q "forward .*FLOP .* [kMG]B$" out.txt && grep -q "ceilings .*FLOP/s .*B/s" out.txt || fail "the text says: $(cat out.txt)"

for recompute in none selective full; do
  # shellcheck disable=SC2086
  go step $narrow --layers 3 --attention rehyat --tc 2 --converted 2 --recompute $recompute
  holds "a step, $recompute" "r['recompute'] == '$recompute' and 'softmax' in r['attention'] and 'rehyat(tc=2' in r['attention'] and r['layers'] == 3"
  holds "its parts, $recompute" "0 < rows['forward']['seconds_median'] <= row['seconds_median'] <= row['seconds_max'] and r['weight_bytes'] == r['gradient_bytes'] == 4 * r['parameters']"
  holds "what is run again, $recompute" "(row['share_of_matmul'] > row['mfu'] * 1.01) == ('$recompute' != 'none')"
  cp out.txt "$recompute.json"
done
python3 -c "
import json
none, full = (json.load(open(f + '.json')) for f in ('none', 'full'))
assert none['loss'] == full['loss'] and none['estimate']['activations'] >= full['estimate']['activations'], (none, full)" || fail "run again or kept"
# shellcheck disable=SC2086
go step $narrow --layers 3 --attention rehyat --tc 2 --converted 2 --recompute full --offload
holds "host memory" "r['offload'] and r['loss'] == $(python3 -c "import json; print(json.load(open('full.json'))['loss'])")"  # of a CPU, host memory is its own
# shellcheck disable=SC2086
go step $narrow --layers 3 --memory 1TB
holds "within much memory" "r['recompute'] == 'none'"
# shellcheck disable=SC2086
go step $narrow --layers 3 --memory 100kB
holds "within little" "r['recompute'] == 'full'"
# shellcheck disable=SC2086
go train $narrow --layers 1 --accumulate 3
holds "the older name, and three passes before an update" "r['bench'] == 'step' and r['accumulate'] == 3 and rows['forward']['tflop'] * 3 == row['tflop']"
# shellcheck disable=SC2086
"$REHYAT" bench step $small $narrow --layers 1 > out.txt 2> err.txt || fail "the text of step"
grep -q "backward .*FLOP" out.txt && grep -q "estimate .* activations" out.txt || fail "the text of step says: $(cat out.txt)"

# shellcheck disable=SC2086
go attention $narrow --tc 2 --normalizer lse
holds "attention beside softmax" "[row['pass'] for row in r['rows']] == ['forward', 'forward_backward'] * 2 and 'tc=2' in row['attention'] and 'lse' in row['attention'] and r['rows'][2]['attention'] == 'softmax'"
holds "its work" "all(row['tflop'] > 0 and row['to_floor'] > 0 for row in r['rows']) and r['rows'][3]['tflop'] == 3.5 * r['rows'][2]['tflop']"
# shellcheck disable=SC2086
go attention $narrow --grid
holds "twenty pairs" "len({row['attention'] for row in r['rows']}) == 21 and len(r['rows']) == 42"
# shellcheck disable=SC2086
go attention $narrow --attention uniform_hybrid --rate 3
holds "another kind" "'uniform_hybrid(rate=3' in row['attention']"
# shellcheck disable=SC2086
go phi $narrow
holds "a feature map" "[(row['composed'], row['pass']) for row in r['rows']] == [(c, p) for c in (False, True) for p in ('forward', 'forward_backward')] and r['features'] == 24"
# shellcheck disable=SC2086
go phi $narrow --row "the map, forward +"
holds "one row" "[row['name'] for row in r['rows']] == ['the map, forward + backward']"
# shellcheck disable=SC2086
go distill $narrow --points 2 --tc 1
holds "a step of distillation" "row['name'] == 'step' and r['points'] == 2 and r['loss'] > 0 and r['first_seconds'] > 0 and row['tflop'] > 0"
# shellcheck disable=SC2086
go recurrent $narrow --layers 2 --tc 2 --lengths 9,17 --steps 2
holds "chunk by chunk" "[(row['frames'], row['steps_of_chunks']) for row in r['rows']] == [(9, 4), (17, 6)] and r['state_bytes'] == 2 * r['state_bytes_per_step'] > 0"
holds "a chunk beside the video" "all(0 < row['seconds_median'] < row['video_seconds'] for row in r['rows'])"
# shellcheck disable=SC2086
go recurrent $narrow --layers 2 --lengths 9 --steps 1 --guidance 1 --form parallel
holds "as a whole" "row['form'] == 'parallel' and row['steps_of_chunks'] == 1"
# shellcheck disable=SC2086
go cache $narrow --layers 2 --points 2 --precision bf16
holds "a cache" "r['cache_bytes'] == 2 * 2 * 2 * 18 * 24 * 2 and set(rows) == {'write', 'read', 'one plain file, write', 'one plain file, read'}"
holds "its share of the disk" "all(row['share_of_disk'] > 0 and row['bytes_per_s'] > 0 for row in r['rows'])"
[ -z "$(find . -name 'rehyat-bench-*')" ] || fail "the cache was left behind: $(ls)"

refused() { # NAME CODE REGEX ARGUMENT...
  local name=$1 code=$2 regex=$3 status=0
  shift 3
  "$REHYAT" bench "$@" > out.txt 2> err.txt || status=$?
  if [ "$status" -ne "$code" ] || ! grep -Eq -- "$regex" err.txt; then cat err.txt; fail "$name: exit code $status, expected $code"; fi
}
refused "a name that nobody published" 1 "wan2.1-t2v-14b" forward --published wan2.1-t2v-15b
refused "two models" 2 "published beside" forward --published wan2.1-t2v-14b --family wan
refused "another bench" 2 "backward" backward
refused "a form of training" 2 "form with step" step --form recurrent --attention rehyat
refused "recomputing nothing" 2 "recompute with forward" forward --recompute full --layers 1
refused "a pattern that the mode does not have" 2 "tc with phi" phi --tc 3
refused "a grid of another kind" 2 "grid beside" attention --grid --attention linear
refused "a rate of another kind" 2 "rate alone" attention --rate 3
refused "a kind that is not known" 2 "attention" forward --attention flash
refused "one chunk size in every block" 1 "no recurrent form" recurrent --attention uniform_hybrid --layers 1 --frames 5 --height 32 --width 32 --device cpu
refused "a row that there is not" 1 "holds .sideways" phi --row sideways --frames 5 --height 32 --width 32 --device cpu
refused "a folder that is not there" 1 "no_such_folder" cache --folder no_such_folder --layers 1 --frames 5 --height 32 --width 32
refused "a size that no such model has" 2 "widht" forward --architecture widht=3
refused "a family that is not known" 1 "family: found ltx" forward --family ltx
refused "layers of a model that has its own" 2 "layers beside --model" forward --layers 1 --model "$model"
refused "a pattern without the kind" 2 "tc or --to alone" forward --tc 3
refused "a form without a choice" 2 "form alone" forward --form recurrent --layers 1
refused "frames that are not 4k + 1" 1 "4k|4 \* k|frames" forward --frames 8 --layers 1
refused "no such model" 1 "no_such_folder" forward --model no_such_folder
if ! command -v nvidia-smi > /dev/null; then refused "no GPU" 2 "no GPU" forward --device cuda --layers 1; fi
echo "bench: $failures failed"
[ "$failures" -eq 0 ]
