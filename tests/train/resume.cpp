#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <sstream>

#include "core/child.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "train/loop.h"
#include "train/toy_task.h"

namespace rehyat::train {
namespace {

using testing::wait_for;

constexpr std::int64_t kSteps = 60;

TrainConfig config() {
  TrainConfig out;
  out.iterations = kSteps;
  out.lr = 0.02;
  out.schedule = Schedule::cosine;
  out.ema_decay = 0.95;
  out.checkpoint_every = 7;
  out.validate_every = 6;
  return out;
}

/// Trains in `folder`, in a process of its own.
pid_t start_training(const std::filesystem::path& folder, const std::function<void(std::int64_t)>& on_step = {}) {
  return testing::start_child([&] {
    install_stop_signals();
    const comm::Communicator alone;
    testing::ToyTask task(alone);
    train(task, config(), {.title = "toy", .folder = folder, .fingerprint = "f", .quiet = true, .on_step = on_step},
          alone);
  });
}

/// All that a finished training leaves, except for what a clock has measured.
std::string result_of(const std::filesystem::path& folder) {
  const auto last = folder / "checkpoints/step-00000060";
  std::ostringstream out;
  out << read_file(last / "state.json");
  for (const char* name : {"weights.safetensors", "optimizer.safetensors", "ema.safetensors"})
    out << '\n' << hash_file(last / name);
  std::istringstream lines(read_file(folder / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    auto values = nlohmann::ordered_json::parse(line);
    values.erase("ms");
    values.erase("data_ms");
    values.erase("samples_per_s");
    out << '\n' << values.dump();
  }
  return out.str();
}

class Resume : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    expected_folder = std::make_unique<testing::TempFolder>();
    ASSERT_EQ(wait_for(start_training(expected_folder->path())), 0);
  }
  static void TearDownTestSuite() { expected_folder.reset(); }
  static std::string expected() { return result_of(expected_folder->path()); }

  static inline std::unique_ptr<testing::TempFolder> expected_folder;
  testing::TempFolder folder_;
};

TEST_F(Resume, TheUninterruptedRunWroteEachStepOnce) {
  std::istringstream lines(read_file(*expected_folder / "metrics.jsonl"));
  std::int64_t steps = 0, validations = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto values = nlohmann::ordered_json::parse(line);
    if (values.contains("held_out")) {
      ++validations;
    } else {
      EXPECT_EQ(values.at("step"), ++steps);
    }
  }
  EXPECT_EQ(steps, kSteps);
  EXPECT_EQ(validations, kSteps / 6);
}

TEST_F(Resume, KilledAtRandomMomentsEndsAsIfNeverKilled) {
  const std::string wanted = expected();
  for (std::uint64_t round = 0; round < 5; ++round) {
    const testing::TempFolder folder;
    Rng rng(round, "test.kill");
    int kills = 0, code = 1;
    const auto slowly = [](std::int64_t) { ::usleep(500); };
    for (int attempt = 0; attempt < 8; ++attempt) {
      const pid_t child = start_training(folder.path(), slowly);
      ::usleep(static_cast<useconds_t>(rng.below(60'000)));
      ::kill(child, SIGKILL);
      code = wait_for(child);
      ASSERT_TRUE(code == 0 || code == -SIGKILL) << code;
      kills += code == -SIGKILL ? 1 : 0;
      if (code == 0) break;
    }
    if (code != 0) {
      ASSERT_EQ(wait_for(start_training(folder.path())), 0);
    }
    EXPECT_GT(kills, 0);
    EXPECT_EQ(result_of(folder.path()), wanted) << "round " << round;
  }
}

TEST_F(Resume, KilledAfterEveryStepOnceEndsAsIfNeverKilled) {
  // Between steps lie the metrics' line and, on some, validation and checkpoint.
  for (std::int64_t at = 1; at <= kSteps; at += 5) {
    const auto die = [at](std::int64_t step) {
      if (step == at) ::kill(::getpid(), SIGKILL);
    };
    // A step that a checkpoint lies before is reached again and again; each time from the start is enough once.
    const testing::TempFolder folder;
    ASSERT_EQ(wait_for(start_training(folder.path(), die)), -SIGKILL);
    ASSERT_EQ(wait_for(start_training(folder.path())), 0);
    EXPECT_EQ(result_of(folder.path()), expected()) << "killed after step " << at;
  }
}

TEST_F(Resume, AStopIsACheckpointAndExitCode75) {
  const auto stop = [](std::int64_t step) {
    if (step == 33) ::raise(SIGTERM);
  };
  ASSERT_EQ(wait_for(start_training(folder_.path(), stop)), 75);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "checkpoints/step-00000033/state.json"));
  ASSERT_EQ(wait_for(start_training(folder_.path())), 0);
  EXPECT_EQ(result_of(folder_.path()), expected());
}

TEST_F(Resume, AStopDuringTheLastStepIsADoneTraining) {
  const auto stop = [](std::int64_t step) {
    if (step == kSteps) ::raise(SIGTERM);
  };
  ASSERT_EQ(wait_for(start_training(folder_.path(), stop)), 0);
  EXPECT_EQ(result_of(folder_.path()), expected());
}

TEST_F(Resume, ADamagedNewestCheckpointCostsStepsNotTheResult) {
  const auto die = [](std::int64_t step) {
    if (step == 40) ::kill(::getpid(), SIGKILL);
  };
  ASSERT_EQ(wait_for(start_training(folder_.path(), die)), -SIGKILL);
  std::filesystem::resize_file(folder_ / "checkpoints/step-00000035/optimizer.safetensors", 100);
  ASSERT_EQ(wait_for(start_training(folder_.path())), 0);
  EXPECT_EQ(result_of(folder_.path()), expected());
}

}  // namespace
}  // namespace rehyat::train
