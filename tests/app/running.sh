#!/usr/bin/env bash
# What happens to a run while it runs: it is asked to stop, it fails, another one starts beside it, some ranks fail.
set -euo pipefail
rm -rf "$WORK"; mkdir -p "$WORK"; cd "$WORK"
"$MAKE_CLIPS" clips 4
config=$SOURCE/tiny.yaml
fail() { echo "FAILED: $*" >&2; cat err.txt >&2 2> /dev/null; exit 1; }
run() { "$REHYAT" "$1" -c "$config" "${@:2}"; }
# wait_for PID COMMAND...: until it succeeds, or the process has ended.
wait_for() {
  local pid=$1
  shift
  until "$@" > /dev/null 2>&1; do kill -0 "$pid" 2> /dev/null || return 1; sleep 0.02; done
}
there() { compgen -G "$1" > /dev/null; }
written() { grep -qs "$1" $2; }

run prepare > /dev/null 2> err.txt || fail "prepare"

echo "== a training is asked to stop"
"$REHYAT" pretrain -c "$config" pretrain.iterations=100000 > /dev/null 2> err.txt & pid=$!
wait_for "$pid" written "step 3 of" "runs/pretrain-*/log.txt" || fail "pretrain does not run"
echo "== and another run starts beside it"
code=0; run pretrain pretrain.iterations=100000 > /dev/null 2> beside.txt || code=$?
[ "$code" -eq 1 ] && grep -q "^rehyat: .*another run at work there (process $pid on " beside.txt || { cat beside.txt; fail "two runs worked in one folder: $code"; }
kill -TERM "$pid"; code=0; wait "$pid" || code=$?
[ "$code" -eq 75 ] || fail "pretrain: exit code $code after SIGTERM, expected 75"
[ "$(grep -c 'asked to stop; the run stops after the present step' err.txt)" -eq 1 ] || fail "no answer to the signal"
grep -q "stopped after step .*start the same command again" runs/pretrain-*/log.txt || fail "the log file does not tell why it ends"
grep -q "resolved config:" runs/pretrain-*/log.txt && grep -q "global_batch: 4" runs/pretrain-*/log.txt || fail "no resolved config in the log file"
grep -q "iterations: 100000" err.txt && fail "the resolved config is on the terminal below its level"
echo "== it goes on with settings of speed and memory, and begins anew with another of those that decide"
# started SETTINGS... TEXT: starts the training, waits for a line of its log, stops it.
started() {
  "$REHYAT" pretrain -c "$config" pretrain.iterations=100000 "${@:1:$#-1}" > /dev/null 2> err.txt & pid=$!
  wait_for "$pid" written "${!#}" err.txt || fail "no line '${!#}' with ${*:1:$#-1}"
  kill -TERM "$pid"; code=0; wait "$pid" || code=$?
  [ "$code" -eq 75 ] || fail "exit code $code after SIGTERM, expected 75"
}
started pretrain.micro_batch=1 run.threads=2 pretrain.log_every=7 "resuming after step"
started pretrain.lr=1.0e-3 "begins anew in a new folder, for runs/pretrain-.* (stopped after step .*pretrain.lr: found 0.002, expected 0.001)"
rm -r runs/pretrain-*

echo "== a training that fails"
code=0; run pretrain pretrain.lr=1e25 pretrain.warmup=0 > /dev/null 2> err.txt || code=$?
[ "$code" -eq 1 ] || fail "exit code $code, expected 1"
grep -q "failed: .*expected finite numbers" runs/pretrain-*/log.txt || fail "the error is not in the log file"
rm -r runs/pretrain-*

run pretrain --log-level debug > /dev/null 2> err.txt || fail "pretrain"
grep -q "debug.*resolved config" err.txt && grep -q "debug.*saved the checkpoint" err.txt || fail "--log-level debug says nothing more"
for stage in cache distill finetune; do run "$stage" > /dev/null 2> err.txt || fail "$stage"; done

echo "== ranks that see other files than rank 0"
run sample > /dev/null 2> err.txt || fail "sample"
mkdir far && cp -r runs far/ && rm -r far/runs/sample-*
# shellcheck disable=SC2016
apart() { timeout 100 $MPIRUN -n 2 bash -c '[ "${OMPI_COMM_WORLD_RANK:-${PMI_RANK:-0}}" = 0 ] || cd far; exec "$@"' _ "$REHYAT" sample -c "$config" > /dev/null 2> err.txt; }
apart || fail "sample, where rank 1 does not see the videos: exit code $?"
grep -q "already complete" err.txt || fail "the videos were made again because rank 1 does not see them"
cp -r runs/sample-* far/runs/ && rm runs/sample-*/video-0.mp4
apart || fail "sample, where rank 1 sees a video that rank 0 does not: exit code $?"
there "runs/sample-*/video-0.mp4" || fail "the video that rank 0 does not see was not made"
rm -r runs/sample-*

echo "== sample is asked to stop"
"$REHYAT" sample -c "$config" sample.sampler.steps=10000 > /dev/null 2> err.txt & pid=$!
wait_for "$pid" there "runs/sample-*/identity.json" || fail "sample does not run"
kill -INT "$pid"; code=0; wait "$pid" || code=$?
[ "$code" -eq 75 ] && grep -q "sample stopped; start the same command again" err.txt || fail "sample: exit code $code after SIGINT, expected 75"
rm -r runs/sample-*

echo "== commands that do not poll end by the signal"
mkfifo pipe.yaml  # opened for reading, and never written to: the command waits
for command in verify export report; do
  "$REHYAT" "$command" -c pipe.yaml > /dev/null 2> err.txt & pid=$!
  wait_for "$pid" grep -q "rehyat" "/proc/$pid/comm" || fail "$command does not run"
  sleep 1  # MPI starts meanwhile, and before it a signal would end the program too
  kill -TERM "$pid"; code=0; wait "$pid" || code=$?
  [ "$code" -eq 143 ] || fail "$command: exit code $code after SIGTERM, expected 143"
done

echo "== mistakes on several ranks are told once"
code=0; $MPIRUN -n 4 "$REHYAT" prepare -c "$config" distill.itertions=3 > /dev/null 2> err.txt || code=$?
[ "$code" -eq 2 ] && [ "$(grep -c '^rehyat: ' err.txt)" -eq 1 ] && grep -q "^rehyat: rank 0: .*distill.iterations" err.txt || fail "a typo on 4 ranks: exit code $code"
code=0; $MPIRUN -n 4 "$REHYAT" prepare -c "$config" data.videos=nowhere > /dev/null 2> err.txt || code=$?
[ "$code" -eq 1 ] && [ "$(grep -c '^rehyat: ' err.txt)" -eq 1 ] || fail "a missing folder on 4 ranks: exit code $code"
code=0; $MPIRUN -n 2 "$REHYAT" pretrain -c "$config" run.dir=fresh > /dev/null 2> err.txt || code=$?
[ "$code" -eq 1 ] && [ "$(grep -c '^rehyat: ' err.txt)" -eq 1 ] || fail "a stage before its time on 2 ranks: exit code $code"
echo "running: all as expected"
