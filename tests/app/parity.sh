#!/usr/bin/env bash
# All three forms of attention against fixtures that a literal evaluation in Python made
# (scripts/make_attention_fixtures.py), the other components against what the original libraries made (scripts/fixtures),
# and fixtures that are wrong: none may pass, and each says what is wrong.
set -uo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK" || exit 1
fail() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }
count=0 failures=0
for fixture in "$SOURCE"/../fixtures/attention/*.safetensors; do
  # A score of 100 has an error of 1e-5 in float32.
  case "$fixture" in *extreme_float32*) tolerance=2e-4 ;; *float32*) tolerance=5e-6 ;; *) tolerance=1e-9 ;; esac
  for form in reference chunked recurrent; do
    if [ "$form" = recurrent ]; then case "$fixture" in *noncausal*|*uniform*|*linear*|*softmax*) continue ;; esac; fi
    "$REHYAT" verify --parity attention --fixture "$fixture" --form "$form" --tolerance "$tolerance" --json > out.json || { cat out.json; fail "$(basename "$fixture") $form"; }
    python3 -c 'import json; r = json.load(open("out.json")); print(r["form"], r["attention"], r["max_rel_error"]); assert r["max_rel_error"] >= 0 and r["finite"]' || fail "the result of $fixture"
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
# Transformer and samplers against diffusers (scripts/fixtures; parity_wan runs all of them), at the default tolerance.
compared() { # COMPONENT FIXTURE PYTHON-CONDITION [OPTION...]
  local component=$1 fixture=$2 condition=$3
  shift 3
  "$REHYAT" verify --parity "$component" --fixture "$SOURCE/../fixtures/$fixture" "$@" --json > out.json || { cat out.json; fail "$fixture"; }
  python3 -c "import json; r = json.load(open('out.json')); assert r['component'] == '$component' and r['finite'] and r['max_abs_error'] >= 0 and $condition, r" || fail "the result of $fixture"
  count=$((count + 1))
}
compared transformer transformer/gradients.safetensors "r['tolerance'] == 1e-5 and len(r['errors']) > 50" --weights "$SOURCE/../fixtures/transformer/gradients"
compared scheduler scheduler/unipc_diffusers_50_8.safetensors "r['tolerance'] == 2e-6 and r['settings']['class'] == 'unipc'"
compared vae.decode vae/small_decode_long.safetensors "r['tolerance'] in (1e-5, 2e-5)" --weights "$SOURCE/../fixtures/vae/small"
[ "$count" -ge 27 ] || fail "only $count comparisons"

good=$SOURCE/../fixtures/attention/rehyat_joint.safetensors
alter() { python3 "$SOURCE/fixtures.py" "$good" wrong.safetensors "$@"; }
parity() { "$REHYAT" verify --parity attention --fixture wrong.safetensors --json "$@" > out.json 2> err.txt; }
# refused NAME CODE REGEX [OPTION...]: of what `alter` made.
refused() {
  local name=$1 code=$2 regex=$3 status=0
  shift 3
  parity "$@" || status=$?
  if [ "$status" -ne "$code" ] || ! grep -Eq "$regex" err.txt; then fail "$name: exit code $status, expected $code:"; cat err.txt; else echo "ok: $name"; fi
}
passes() { # NAME PYTHON-CONDITION [OPTION...]
  local name=$1 condition=$2
  shift 2
  if parity "$@" && python3 -c "import json; r = json.load(open('out.json')); assert $condition, r"; then echo "ok: $name"; else cat err.txt; fail "$name"; fi
}

alter fill:dphi_k=1.5; refused "a wrong gradient" 1 "largest relative error"
alter nan:y; refused "NaN in the reference" 1 "NaN or infinite"
python3 -c 'import json; r = json.load(open("out.json")); assert r["finite"] is False and r["max_rel_error"] > 1e300, r' || fail "NaN: no number in the JSON"
alter nan:q; refused "NaN in an input" 1 "NaN or infinite|not finite|found"
alter shorten:k; refused "another shape" 1 "wrong.safetensors: tensor 'k': found F64 .*, expected F64 .*'q'"
alter shorten:phi_k; refused "another feature width" 1 "tensor 'phi_k'.*as of 'phi_q'"
alter shorten:dy; refused "shape of dy" 1 "tensor 'dy'"
alter shorten:dphi_q; refused "shape of a gradient" 1 "tensor 'dphi_q'.*as of 'phi_q'"
alter cast:v=F32; refused "another type" 1 "tensor 'v': found F32"
alter shorten:y; refused "shape of y" 1 "tensor 'y'"
alter drop:dy; refused "gradients without dy" 1 "gradient 'dq' but no tensor 'dy'"
alter drop:phi_q; refused "no features" 1 "no tensor 'phi_q'"
alter unset:slices; refused "no slices" 1 "no metadata 'slices'"
alter unset:kind; refused "no kind" 1 "no metadata 'kind'"
alter set:slices=1000; refused "slices that do not divide" 1 "'slices': found 1000, expected a divisor"
alter set:tc=two; refused "a pattern that is no number" 1 "'tc': found \"two\""
alter rename:dphi_k=dphik; passes "a misspelt gradient is named" "'dphik' in r['not_compared'] and 'dphi_k' in r['not_compared']['dphik']"
alter; passes "the recurrent form compares y alone, and says so" "list(r['errors']) == ['y'] and 'dq' in r['not_compared']" --form recurrent
alter drop:dq drop:dk drop:dv drop:dphi_q drop:dphi_k; passes "no gradients" "list(r['errors']) == ['y'] and 'dy' in r['not_compared']"
alter unset:normalizer; passes "what is assumed is named" "r['assumed'] == ['normalizer']"
alter; passes "the tolerance of float64" "r['tolerance'] == 1e-9 and r['dtype'] == 'Double'"
alter "cast:*=F32"; passes "the tolerance of float32" "r['tolerance'] == 1e-5 and r['dtype'] == 'Float'"
passes "a tolerance that is given wins" "r['tolerance'] == 0.5" --tolerance 0.5

usage() { # NAME REGEX ARGUMENT...
  local name=$1 regex=$2 status=0
  shift 2
  "$REHYAT" verify "$@" > out.json 2> err.txt || status=$?
  if [ "$status" -ne 2 ] || ! grep -Eq "$regex" err.txt; then fail "$name: exit code $status, expected 2:"; cat err.txt; else echo "ok: $name"; fi
}
usage "unknown component" "found \"attentoin\", expected one of: .*attention" --parity attentoin --fixture "$good"
usage "no fixture" "no fixture" --parity attention
usage "a config beside a fixture" "found -c" --parity attention --fixture "$good" -c x.yaml
usage "settings beside a fixture" "found settings" --parity attention --fixture "$good" run.seed=2
usage "a fixture without parity" "fixture without --parity" -c x.yaml --fixture "$good"
usage "a form without parity" "form without --parity" -c x.yaml --form recurrent
usage "weights without parity" "weights without --parity" -c x.yaml --weights y
usage "weights of what has none" "found --weights, expected a fixture alone" --parity attention --fixture "$good" --weights y
for component in transformer vae.encode vae.decode text; do usage "no weights of $component" "no weights" --parity $component --fixture "$good"; done
usage "a form of what has none" "found --form, expected no form" --parity scheduler --fixture "$good" --form recurrent
usage "a folder and a config" "found -c and --model" -c x.yaml --model y
usage "nothing to verify" "neither a config"
if ! command -v nvidia-smi > /dev/null; then usage "no GPU" "no GPU" --parity attention --fixture "$good" --device cuda; fi
echo "parity: $count comparisons, $failures failed"
[ "$failures" -eq 0 ]
