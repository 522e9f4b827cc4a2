#pragma once

#include <map>
#include <optional>
#include <string>

/// What launchers (mpirun, srun, torchrun and others) leave in the environment of the processes that they start.
namespace rehyat::comm {

using Environment = std::map<std::string, std::string>;

/// The environment of this process.
Environment environment();

/// One start of several processes, as the environment of one of them tells it.
struct Launch {
  std::string launcher;  ///< "srun"; where its variables belong to no launcher that has a name here, "a launcher"
  int tasks = 0;         ///< how many processes were started, at least
  int rank = 0;          ///< which of them this one is
  std::string variable;  ///< the one that says so: "SLURM_STEP_NUM_TASKS"
  std::string evidence;  ///< "SLURM_STEP_NUM_TASKS=4, SLURM_PROCID=2"
};

/// The start that this process belongs to; nothing where the process is by itself, as in a batch script. Recognises the
/// variables of launchers by name, and of others by their form: X_RANK (X_PROCID, X_RANKID) below X_SIZE (X_NTASKS and
/// its like) above 1.
std::optional<Launch> launch_of(const Environment& environment);

/// Whether a launcher left what an MPI library finds the other processes by. Without it each would be a world of its
/// own, or MPI would end the process without a word of ours.
bool can_meet(const Environment& environment);

/// The sentence for a process that MPI sees alone although its launcher started several.
std::string lone_rank_sentence(const Launch& launch, const std::string& mpi);

}  // namespace rehyat::comm
