#!/usr/bin/env bash
# bench forward and bench train on narrow models, and on one layer of the 1.3B's width: what they say and refuse.
set -uo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK" || exit 1
failures=0
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
small="--frames 9 --height 32 --width 48 --repeats 3 --warmup 1 --device cpu"
go() { # shellcheck disable=SC2086
  "$REHYAT" bench forward $small "$@" --json > out.txt 2> err.txt || { cat err.txt; fail "$*"; }
}
holds() { python3 -c "import json; r = json.load(open('out.txt')); assert $2, json.dumps(r, indent=1)" || fail "$1"; }
go --layers 1
holds "one layer" "(r['layers'], r['tokens'], r['repeats'], r['compute'], r['model']) == (1, 3 * 2 * 3, 3, 'Float', 'arbitrary')"
holds "times" "0 < r['seconds_min'] <= r['seconds_median'] <= r['seconds_max'] and r['tflop'] > 0 and r['peak_bytes'] > 1e8"
holds "the rate" "abs(r['tflop_per_s'] * r['seconds_median'] / r['tflop'] - 1) < 1e-9"
model=$SOURCE/../fixtures/transformer/width16
go --model "$model"
holds "a model as it is" "r['attention'] == 'softmax' and r['layers'] == 2 and r['form'] == 'parallel'"
for form in parallel recurrent; do
  go --model "$model" --attention rehyat --tc 2 --to 1 --form $form
  holds "converted, $form" "'rehyat' in r['attention'] and r['form'] == '$form'"
done
go --model "$model" --precision bf16 --batch 2
holds "half precision" "r['compute'] == 'BFloat16' and r['batch'] == 2"
# shellcheck disable=SC2086
"$REHYAT" bench forward $small --model "$model" > out.txt 2> err.txt || fail "the text"
grep -q "time .* s, the median of 3 passes after 1, .* s to .* s" out.txt && grep -q "work .*FLOP/s" out.txt && grep -q "memory .*B at most" out.txt || fail "the text says: $(cat out.txt)"

go_train() { # shellcheck disable=SC2086
  "$REHYAT" bench train $small "$@" --json > out.txt 2> err.txt || { cat err.txt; fail "train $*"; }
}
narrow="--architecture dim=24 --architecture heads=2 --architecture ffn_dim=48 --architecture text_dim=16"
for recompute in none selective full; do
  # shellcheck disable=SC2086
  go_train $narrow --layers 3 --attention rehyat --tc 2 --converted 2 --recompute $recompute
  holds "a step, $recompute" "r['recompute'] == '$recompute' and 'softmax' in r['attention'] and 'rehyat(tc=2' in r['attention'] and r['layers'] == 3"
  holds "its parts, $recompute" "0 < r['forward']['seconds_median'] <= r['seconds_median'] <= r['seconds_max'] and r['weight_bytes'] == r['gradient_bytes'] == 4 * r['parameters']"
  cp out.txt "$recompute.json"
done
python3 -c "
import json
none, full = (json.load(open(f + '.json')) for f in ('none', 'full'))
assert none['loss'] == full['loss'] and none['estimate']['activations'] >= full['estimate']['activations'], (none, full)" || fail "run again or kept"
# shellcheck disable=SC2086
"$REHYAT" bench train $small $narrow --layers 1 > out.txt 2> err.txt || fail "the text of train"
grep -q "backward .* at most" out.txt && grep -q "estimate .* activations" out.txt || fail "the text of train says: $(cat out.txt)"

refused() { # NAME CODE REGEX ARGUMENT...
  local name=$1 code=$2 regex=$3 status=0
  shift 3
  "$REHYAT" bench forward "$@" > out.txt 2> err.txt || status=$?
  if [ "$status" -ne "$code" ] || ! grep -Eq -- "$regex" err.txt; then cat err.txt; fail "$name: exit code $status, expected $code"; fi
}
refused "a name that nobody published" 1 "wan2.1-t2v-14b" --published wan2.1-t2v-15b
refused "two models" 2 "published beside" --published wan2.1-t2v-14b --family wan
refused "another bench" 2 "backward" backward
"$REHYAT" bench train --form recurrent --attention rehyat > out.txt 2> err.txt
[ $? -eq 2 ] && grep -q "form with train" err.txt || fail "a form of training"
refused "recomputing nothing" 2 "recompute with forward" --recompute full --layers 1
refused "a size that no such model has" 2 "widht" --architecture widht=3
refused "a family that is not known" 1 "family: found ltx" --family ltx
refused "layers of a model that has its own" 2 "layers beside --model" --layers 1 --model "$model"
refused "a pattern without the kind" 2 "--tc, --to or --converted alone" --tc 3
refused "a form without a choice" 2 "form alone" --form recurrent --layers 1
refused "frames that are not 4k + 1" 1 "4k|4 \* k|frames" --frames 8 --layers 1
refused "no such model" 1 "no_such_folder" --model no_such_folder
if ! command -v nvidia-smi > /dev/null; then refused "no GPU" 2 "no GPU" --device cuda --layers 1; fi
echo "bench: $failures failed"
[ "$failures" -eq 0 ]
