#include "comm/launch.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::comm {
namespace {

/// The variables by which a launcher numbers its processes.
struct LauncherVariables {
  const char* launcher;
  const char* size;
  const char* rank;
};

// Open MPI's own come first: under them srun and the like started only its daemons. Slurm's SLURM_NTASKS stands in a
// batch script too, where one process is meant, and is not among them.
constexpr std::array kLaunchers = {
    LauncherVariables{"Open MPI's mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"},
    LauncherVariables{"srun", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"},
    LauncherVariables{"flux", "FLUX_JOB_SIZE", "FLUX_TASK_RANK"},
    LauncherVariables{"jsrun", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_RANK"},
    LauncherVariables{"MVAPICH's launcher", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"},
    LauncherVariables{"the mpiexec of another MPI", "PMI_SIZE", "PMI_RANK"},
    LauncherVariables{"torchrun or another launcher of PyTorch", "WORLD_SIZE", "RANK"},
};
// These launchers tell the number of the process alone.
constexpr std::array kRanksAlone = {LauncherVariables{"aprun", "", "ALPS_APP_PE"},
                                    LauncherVariables{"a launcher with PMIx", "", "PMIX_RANK"}};

std::optional<int> count_in(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  if (found == environment.end()) return std::nullopt;
  const std::string& text = found->second;
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<Launch> named_launch(const Environment& environment) {
  for (const auto& [launcher, size, rank] : kLaunchers) {
    const std::optional<int> tasks = count_in(environment, size), number = count_in(environment, rank);
    const bool is_open_mpi = launcher == kLaunchers.front().launcher;
    if (!tasks || (*tasks < 2 && !is_open_mpi)) continue;
    // Scripts set WORLD_SIZE for launchers that they start later; RANK is a process's own.
    if (std::string_view(size) == "WORLD_SIZE" && !number) continue;
    const std::string own = number ? cat(", ", rank, '=', *number) : std::string();
    return Launch{launcher, *tasks, number.value_or(0), size, cat(size, '=', *tasks, own)};
  }
  for (const auto& [launcher, size, rank] : kRanksAlone) {
    const std::optional<int> number = count_in(environment, rank);
    if (number.value_or(0) > 0) return Launch{launcher, *number + 1, *number, rank, cat(rank, '=', *number)};
  }
  return std::nullopt;
}

/// A pair of variables that number processes, whoever set it.
std::optional<Launch> launch_of_unknown(const Environment& environment) {
  for (const auto& entry : environment) {
    const std::string& name = entry.first;
    for (const std::string_view rank : {"_RANK", "_PROCID", "_RANKID"}) {
      if (!name.ends_with(rank)) continue;
      const std::string prefix = name.substr(0, name.size() - rank.size());
      const std::optional<int> number = count_in(environment, name);
      if (prefix == "SLURM" || !number) continue;
      for (const char* size : {"_SIZE", "_WORLD_SIZE", "_NTASKS", "_NPROCS", "_NRANKS", "_NUM_TASKS", "_NUM_PROCS"}) {
        const std::string total = prefix + size;
        const int tasks = count_in(environment, total).value_or(0);
        if (tasks > 1 && *number < tasks)
          return Launch{"a launcher", tasks, *number, total, cat(total, '=', tasks, ", ", name, '=', *number)};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

Environment environment() {
  Environment out;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view entry = *at;
    const std::size_t equals = entry.find('=');
    if (equals != entry.npos) out.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return out;
}

std::optional<Launch> launch_of(const Environment& environment) {
  const std::optional<Launch> named = named_launch(environment);
  return named ? named : launch_of_unknown(environment);
}

bool can_meet(const Environment& environment) {
  return std::any_of(environment.begin(), environment.end(), [](const auto& entry) {
    const std::string& name = entry.first;
    return name.starts_with("PMI") || name.starts_with("OMPI_COMM_") || name.starts_with("MV2_COMM_") ||
           name.starts_with("JSM_");
  });
}

std::string lone_rank_sentence(const Launch& launch, const std::string& mpi) {
  const std::string mpirun = cat("mpirun -n ", launch.tasks, "` of ", mpi);
  const std::string way = launch.launcher == "srun"
                              ? cat("start it with `srun --mpi=pmix`, or from the batch script with `", mpirun)
                              : cat("start it with `", mpirun, " instead");
  return to_sentence({"MPI", "a world of 1 rank",
                      cat(launch.tasks, ", as many as ", launch.launcher, " started (", launch.evidence, ")"),
                      cat(way, "; where one process by itself is meant, unset ", launch.variable)});
}

}  // namespace rehyat::comm
