#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>

#include "core/child.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "distill/collect.h"
#include "distill/distill_case.h"

namespace rehyat::distill {
namespace {

using testing::TempFolder;
using testing::wait_for;

/// Distils online in `folder`, in a process of its own.
pid_t start(const std::filesystem::path& folder) {
  return testing::start_child([&] {
    DistillConfig config = testing::distill_config(40);
    config.source = Source::online;
    config.online = OnlineConfig{.rounds = 4, .trajectories = 3, .memory = 1 << 24};
    const models::WanTransformer teacher = testing::small_wan();
    const comm::Communicator alone;
    OnlinePoints points(testing::walk_of(teacher), config, alone);
    distill({teacher, testing::all_blocks(teacher, testing::every_attention()[1]), config, 5, "f", folder}, points,
            alone);
  });
}

TEST(OnlineResume, KilledAtRandomMomentsEndsAsIfNeverKilled) {
  const TempFolder whole;
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(wait_for(start(whole.path())), 0);
  const double taken = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
  const std::string expected = testing::phi_files(whole.path());
  int kills = 0;
  for (std::uint64_t round = 0; round < 3; ++round) {
    const TempFolder folder;
    Rng rng(round, "test.kill");
    int code = -SIGKILL;
    for (int attempt = 0; attempt < 12 && code != 0; ++attempt) {
      const pid_t child = start(folder.path());
      // Whatever the machine's speed: before an undisturbed run would be done.
      ::usleep(static_cast<useconds_t>(taken * (0.1 + 0.5 * rng.uniform())));
      ::kill(child, SIGKILL);
      code = wait_for(child);
      ASSERT_TRUE(code == 0 || code == -SIGKILL) << code;
      kills += code == 0 ? 0 : 1;
    }
    if (code != 0) {
      ASSERT_EQ(wait_for(start(folder.path())), 0);
    }
    EXPECT_EQ(testing::phi_files(folder.path()), expected) << "round " << round;
  }
  EXPECT_GE(kills, 3);
}

TEST(OnlineResume, ABlockThatIsAheadWaitsForTheOthers) {
  // Block 2 has lost its checkpoints: rounds begin again for it, and the finished ones stay as they are.
  const TempFolder whole, folder;
  ASSERT_EQ(wait_for(start(whole.path())), 0);
  ASSERT_EQ(wait_for(start(folder.path())), 0);
  std::filesystem::remove_all(folder / "phi-00002");
  std::filesystem::remove_all(folder / "phi-00001/checkpoints/step-00000040");
  std::filesystem::remove(folder / "phi-00001/block.json");
  ASSERT_EQ(wait_for(start(folder.path())), 0);
  EXPECT_EQ(testing::phi_files(folder.path()), testing::phi_files(whole.path()));
}

/// Makes the cache of four trajectories in `folder`, in a process of its own; `meet` is called before each walk.
pid_t start_cache(const std::filesystem::path& folder, const std::function<void(std::size_t)>& meet = {}) {
  return testing::start_child([&] {
    const models::WanTransformer teacher = testing::small_wan();
    TeacherWalk walk = testing::walk_of(teacher);
    walk.prompts.embedding = [&, given = walk.prompts.embedding](std::size_t prompt) {
      if (meet) meet(prompt);
      return given(prompt);
    };
    const MarkedFolder cache = data::cache_folder(folder, {{"test", 1}});
    const auto lock = cache.open();
    const CachePlan plan =
        plan_cache(teacher->architecture(), walk.config, walk.prompts.count, walk.blocks, walk.latent, folder);
    collect_activations(walk, plan, cache, comm::Communicator());
  });
}

std::string cache_file(const std::filesystem::path& folder, int trajectory) {
  return read_file(folder / cat("trajectory-00000", trajectory, ".h5"));
}

TEST(CacheResume, AStopKeepsWhatWasWalkedToItsEnd) {
  const TempFolder whole, folder;
  ASSERT_EQ(wait_for(start_cache(whole.path())), 0);
  const auto stop = [](std::size_t prompt) {
    if (prompt == 0) install_stop_signals(false);
    if (prompt == 2) ::raise(SIGTERM);
  };
  ASSERT_EQ(wait_for(start_cache(folder.path(), stop)), 75);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(cache_file(folder.path(), i), cache_file(whole.path(), i)) << i;
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    files += entry.path().filename().string().starts_with("trajectory-") ? 1 : 0;
    EXPECT_EQ(entry.path().filename().string().find(".tmp"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(files, 2U);
  ASSERT_EQ(wait_for(start_cache(folder.path())), 0);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(cache_file(folder.path(), i), cache_file(whole.path(), i)) << i;
}

TEST(CacheResume, ADiskThatIsFullEndsTheWalkAndLosesNothingElse) {
  const TempFolder whole, folder;
  ASSERT_EQ(wait_for(start_cache(whole.path())), 0);
  const auto fill = [](std::size_t prompt) {
    if (prompt != 1) return;
    ignore_file_size_signal();
    const rlimit few{10'000, 10'000};  // bytes of a file
    setrlimit(RLIMIT_FSIZE, &few);
  };
  EXPECT_EQ(wait_for(start_cache(folder.path(), fill)), 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "trajectory-000001.h5"));
  ASSERT_EQ(wait_for(start_cache(folder.path())), 0);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(cache_file(folder.path(), i), cache_file(whole.path(), i)) << i;
}

}  // namespace
}  // namespace rehyat::distill
