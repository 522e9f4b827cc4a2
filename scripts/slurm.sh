#!/usr/bin/env bash
# A template for a run on a Slurm cluster: copy it, fill in the lines marked EDIT, and submit it with sbatch.
#SBATCH --job-name=rehyat
#SBATCH --nodes=1                  # EDIT: one rank a GPU
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300        # five minutes before the end: the run saves itself and exits with code 75
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

config=${1:?usage: sbatch scripts/slurm.sh CONFIG.yaml [COMMAND] [dotted.key=value ...]}
command=${2:-run}
shift $(($# < 2 ? $# : 2))

# A batch script is copied elsewhere before it runs, so it is the folder of submission that counts.
cd "${SLURM_SUBMIT_DIR:?submit this script with sbatch}"
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}
# EDIT: module load openmpi

mpirun -n "$SLURM_NTASKS" --map-by "slot:PE=${SLURM_CPUS_PER_TASK:-1}" build/cuda/bin/rehyat "$command" -c "$config" "$@" &
launcher=$!
trap 'kill -USR1 "$launcher"' USR1  # mpirun hands SIGUSR1 on to the ranks

status=0
wait "$launcher" || status=$?
# A trapped signal ends the first wait before the launcher has ended.
if kill -0 "$launcher" 2>/dev/null; then
  status=0
  wait "$launcher" || status=$?
fi
if [ "$status" -eq 75 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
