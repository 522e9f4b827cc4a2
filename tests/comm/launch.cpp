#include "comm/launch.h"

#include <gtest/gtest.h>

namespace rehyat::comm {
namespace {

struct Started {
  const char* what;
  Environment environment;
  std::string launcher;
  int tasks, rank;
};

const std::vector<Started> kStarted = {
    {"srun without PMI",
     {{"SLURM_JOB_ID", "77"},
      {"SLURM_STEP_ID", "0"},
      {"SLURM_STEP_NUM_TASKS", "4"},
      {"SLURM_NTASKS", "4"},
      {"SLURM_NPROCS", "4"},
      {"SLURM_PROCID", "2"},
      {"SLURM_LOCALID", "2"}},
     "srun",
     4,
     2},
    {"srun --mpi=pmi2",
     {{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "3"}, {"PMI_SIZE", "4"}, {"PMI_RANK", "3"}},
     "srun",
     4,
     3},
    {"torchrun",
     {{"WORLD_SIZE", "4"},
      {"RANK", "1"},
      {"LOCAL_RANK", "1"},
      {"LOCAL_WORLD_SIZE", "4"},
      {"GROUP_RANK", "0"},
      {"MASTER_ADDR", "127.0.0.1"},
      {"TORCHELASTIC_RUN_ID", "x"}},
     "torchrun",
     4,
     1},
    {"deepspeed, accelerate",
     {{"WORLD_SIZE", "8"}, {"RANK", "0"}, {"LOCAL_RANK", "0"}, {"CROSS_RANK", "0"}},
     "torchrun",
     8,
     0},
    {"MPICH's or Intel's mpiexec",
     {{"PMI_SIZE", "2"}, {"PMI_RANK", "1"}, {"MPI_LOCALNRANKS", "2"}},
     "another MPI",
     2,
     1},
    {"a variable that stands alone", {{"PMI_SIZE", "3"}}, "another MPI", 3, 0},
    {"MVAPICH", {{"MV2_COMM_WORLD_SIZE", "3"}, {"MV2_COMM_WORLD_RANK", "2"}}, "MVAPICH", 3, 2},
    {"flux", {{"FLUX_JOB_SIZE", "5"}, {"FLUX_TASK_RANK", "4"}}, "flux", 5, 4},
    {"jsrun", {{"JSM_NAMESPACE_SIZE", "6"}, {"JSM_NAMESPACE_RANK", "5"}}, "jsrun", 6, 5},
    {"PALS", {{"PALS_RANKID", "1"}, {"PALS_APID", "x"}, {"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}, "another MPI", 2, 1},
    {"aprun", {{"ALPS_APP_PE", "3"}}, "aprun", 4, 3},
    {"PMIx without a size", {{"PMIX_RANK", "1"}, {"PMIX_NAMESPACE", "x"}}, "PMIx", 2, 1},
    {"Open MPI", {{"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "1"}}, "Open MPI", 2, 1},
    {"one that nobody knows", {{"NEWLAUNCH_RANK", "1"}, {"NEWLAUNCH_SIZE", "3"}}, "a launcher", 3, 1},
    {"another", {{"X_Y_PROCID", "0"}, {"X_Y_NTASKS", "2"}}, "a launcher", 2, 0},
    {"horovod", {{"HOROVOD_RANK", "1"}, {"HOROVOD_SIZE", "2"}, {"HOROVOD_LOCAL_RANK", "1"}}, "a launcher", 2, 1},
};

TEST(Launch, SeveralProcessesAreRecognisedWhateverStartedThem) {
  for (const Started& started : kStarted) {
    const std::optional<Launch> launch = launch_of(started.environment);
    ASSERT_TRUE(launch.has_value()) << started.what;
    EXPECT_EQ(launch->tasks, started.tasks) << started.what;
    EXPECT_EQ(launch->rank, started.rank) << started.what;
    EXPECT_NE(launch->launcher.find(started.launcher), std::string::npos) << launch->launcher;
    EXPECT_TRUE(started.environment.contains(launch->variable)) << launch->variable;
    EXPECT_EQ(launch->evidence.find(launch->variable + "="), 0U) << launch->evidence;
  }
}

TEST(Launch, AProcessByItselfIsNoPartOfOne) {
  const std::vector<Environment> alone = {
      {},
      {{"PATH", "/bin"}, {"HOME", "/root"}},
      // A batch script of Slurm: four tasks may be started later.
      {{"SLURM_JOB_ID", "77"}, {"SLURM_NTASKS", "4"}, {"SLURM_NPROCS", "4"}, {"SLURM_PROCID", "0"}},
      {{"SLURM_STEP_NUM_TASKS", "1"}, {"SLURM_NTASKS", "1"}, {"SLURM_PROCID", "0"}},
      // A batch script of PBS, and of one that prepares torchrun.
      {{"PBS_JOBID", "1"}, {"PBS_NP", "16"}, {"PBS_TASKNUM", "1"}, {"PBS_NODENUM", "0"}},
      {{"WORLD_SIZE", "8"}, {"MASTER_ADDR", "here"}},
      {{"WORLD_SIZE", "1"}, {"RANK", "0"}},
      {{"PMI_SIZE", "1"}, {"PMI_RANK", "0"}},
      {{"ALPS_APP_PE", "0"}},
      {{"X_RANK", "many"}, {"X_SIZE", "3"}},
      {{"X_RANK", "7"}, {"X_SIZE", "3"}},
      {{"PAGE_RANK", "2"}},
      {{"SLURM_STEP_NUM_TASKS", ""}, {"PMI_SIZE", "-3"}, {"WORLD_SIZE", "99999999999999"}, {"RANK", "0"}},
  };
  for (std::size_t i = 0; i < alone.size(); ++i) EXPECT_FALSE(launch_of(alone[i]).has_value()) << i;
}

TEST(Launch, WhatOpenMpiSaysOfItselfCountsFirst) {
  // mpirun -n 1 inside of a step of several tasks, which are Open MPI's daemons.
  const auto one = launch_of({{"SLURM_STEP_NUM_TASKS", "4"},
                              {"SLURM_PROCID", "2"},
                              {"OMPI_COMM_WORLD_SIZE", "1"},
                              {"OMPI_COMM_WORLD_RANK", "0"}});
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->tasks, 1);
}

TEST(Launch, MpiCanMeetOnlyWhereALauncherLeftItTheMeans) {
  EXPECT_FALSE(can_meet({{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}}));
  EXPECT_FALSE(can_meet({{"WORLD_SIZE", "4"}, {"RANK", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT", "1"}}));
  EXPECT_TRUE(can_meet({{"SLURM_STEP_NUM_TASKS", "4"}, {"PMIX_NAMESPACE", "slurm.77.0"}}));
  EXPECT_TRUE(can_meet({{"PMI_RANK", "1"}}));
}

TEST(Launch, TheSentenceSaysWhatWasFoundAndWhatToDo) {
  const auto sentence = [](const Environment& environment) {
    return lone_rank_sentence(launch_of(environment).value(), "Open MPI v4.1.4");
  };
  EXPECT_EQ(sentence({{"SLURM_STEP_NUM_TASKS", "4"}, {"SLURM_PROCID", "2"}}),
            "MPI: found a world of 1 rank, expected 4, as many as srun started (SLURM_STEP_NUM_TASKS=4, "
            "SLURM_PROCID=2); start it with `srun --mpi=pmix`, or from the batch script with `mpirun -n 4` of Open MPI "
            "v4.1.4; where one process by itself is meant, unset SLURM_STEP_NUM_TASKS");
  EXPECT_EQ(
      sentence({{"WORLD_SIZE", "2"}, {"RANK", "0"}}),
      "MPI: found a world of 1 rank, expected 2, as many as torchrun or another launcher of PyTorch started "
      "(WORLD_SIZE=2, RANK=0); start it with `mpirun -n 2` of Open MPI v4.1.4 instead; where one process by itself "
      "is meant, unset WORLD_SIZE");
}

}  // namespace
}  // namespace rehyat::comm
