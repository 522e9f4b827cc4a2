#!/usr/bin/env bash
# One page of what the program does on this GPU: every mode of bench beside other programs, where the time goes by kernel, what
# the recipe costs, and finetuning in bf16 beside float32. A part that fails or cannot run here is named and left out.
set -uo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)

usage() {
  cat <<'EOT'
Usage: scripts/gpu_page.sh --rehyat PROGRAM [--page PAGE.md] [--out FOLDER] [--before FOLDER] [--quick] [--only PARTS]
                           [--help] [-- KEY=VALUE ...]

  --rehyat PROGRAM  the program; bench_vae is looked for beside it
  --page PAGE.md    the page (default FOLDER/page.md)
  --out FOLDER      tables, logs, profiles and numbers (default gpu-page); --before of a later call reads them
  --before FOLDER   what an earlier call left, for columns of what was before
  --quick           fewer patterns and lengths, and nothing that compiles for a minute
  --only PARTS      some of profile,price,curves,peers, separated by commas
  KEY=VALUE         settings for the curves' config, as scripts/precision_curves.py takes them; without one, no curves

Takes ten minutes on an H100, with --quick four; --only profile,price,curves and then --only peers with the same --out is the
same in two calls. Exit code: 0 a page was written, 2 bad usage, 1 nothing was measured.
EOT
}

fail_usage() {
  echo "gpu_page: $1; see scripts/gpu_page.sh --help" >&2
  exit 2
}

rehyat="" page="" out=gpu-page before="" only=profile,price,curves,peers quick=() settings=()
while [ $# -gt 0 ]; do
  case "$1" in
    --rehyat|--page|--out|--before|--only)
      [ $# -ge 2 ] || fail_usage "$1 needs a value"
      case "$1" in
        --rehyat) rehyat=$2 ;;
        --page) page=$2 ;;
        --out) out=$2 ;;
        --before) before=$2 ;;
        --only) only=$2 ;;
      esac
      shift ;;
    --quick) quick=(--quick) ;;
    --help|-h) usage; exit 0 ;;
    --) shift; settings=("$@"); break ;;
    *) fail_usage "unknown argument '$1'" ;;
  esac
  shift
done
[ -x "$rehyat" ] || fail_usage "--rehyat: found '$rehyat', expected the program"
[ -z "$before" ] || [ -d "$before" ] || fail_usage "--before: found no folder '$before'"
for part in ${only//,/ }; do
  [[ " profile price curves peers " == *" $part "* ]] || fail_usage "--only: found '$part', expected profile, price, curves, peers"
done
mkdir -p "$out" || exit 1
page=${page:-$out/page.md}
tables=(attention distill forward step price curves)  # behind those of the peers; also what an earlier call left in --out

wanted() { [[ ",$only," == *",$1,"* ]]; }
run() {  # run LOG SECONDS COMMAND...
  local log=$out/$1 limit=$2 started=$SECONDS
  shift 2
  if timeout "$limit" "$@" > "$log.log" 2>&1; then
    echo "gpu_page: $(basename "$log") took $((SECONDS - started)) s"
    return 0
  fi
  echo "gpu_page: $(basename "$log") failed after $((SECONDS - started)) s: $(tail -n 1 "$log.log")"
  return 1
}
profile() {  # profile NAME TITLE MODE ARGUMENT...: one measured run of a mode, by kernel
  local name=$1 title=$2 older=()
  shift 2
  [ -z "$before" ] || [ ! -s "$before/$name.csv" ] || older=(--before "$before/$name.csv")
  # Whatever ncu says, the file tells whether there is a profile in it.
  timeout 90 ncu --csv --profile-from-start off --clock-control none --metrics gpu__time_duration.sum \
    "$rehyat" bench "$@" --warmup 1 --repeats 1 > "$out/$name.csv" 2> "$out/$name.ncu.log"
  if ! python3 "$here/tests/bench/kernel_table.py" "$out/$name.csv" --title "$title, by kernel" ${older[@]+"${older[@]}"} \
    > "$out/$name.md" 2> "$out/$name.log"; then
    echo "gpu_page: profile of $name: $(tail -n 1 "$out/$name.log")"
  fi
}

hybrid=(--attention rehyat --tc 3 --to 1)
if wanted profile; then
  if command -v ncu > /dev/null; then
    profile attention "The attention of one block, (3, 1), forward and backward" attention --tc 3 --to 1 \
      --row "rehyat(tc=3,to=1,causal,joint), forward + backward"
    profile distill "A step of distillation of one block" distill "${hybrid[@]}"
    profile forward "A forward pass of two blocks, both converted" forward "${hybrid[@]}" --layers 2
    profile step "A finetuning step of two blocks, one converted" step "${hybrid[@]}" --layers 2 --converted 1
  else
    echo "gpu_page: profile: found no ncu, expected Nsight Compute"
  fi
fi
if wanted price; then
  lengths=81,161,321,641
  [ ${#quick[@]} -eq 0 ] || lengths=81,161
  run price 280 python3 "$here/scripts/recipe_price.py" --rehyat "$rehyat" --work "$out/price-work" --lengths "$lengths" \
    --out "$out/price.md" --json "$out/price.json"
fi
if wanted curves && [ ${#settings[@]} -gt 0 ]; then
  run curves 120 python3 "$here/scripts/precision_curves.py" --rehyat "$rehyat" --out "$out/curves.md" "${settings[@]}"
fi
parts=()
for table in "${tables[@]}"; do
  [ ! -s "$out/$table.md" ] || parts+=("$out/$table.md")
done
status=0
if wanted peers; then
  older=()
  [ -z "$before" ] || [ ! -s "$before/peers.json" ] || older=(--before "$before/peers.json")
  run peers 420 python3 "$here/tests/bench/peers.py" --rehyat "$rehyat" --folder "$out" --goals "$here/tests/bench/goals.json" \
    --json "$out/peers.json" --out "$page" ${older[@]+"${older[@]}"} ${quick[@]+"${quick[@]}"} \
    --append ${parts[@]+"${parts[@]}"} || status=1
elif [ ${#parts[@]} -gt 0 ]; then
  cat "${parts[@]}" > "$page"
else
  status=1
fi
[ ! -s "$page" ] || cat "$page"
exit "$status"
