#include "distill/online.h"

#include <gtest/gtest.h>

#include <memory>

#include "comm/mpi_test_main.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "distill/collect.h"
#include "distill/distill_case.h"

namespace rehyat::distill {
namespace {

using testing::all_blocks;
using testing::distill_config;
using testing::every_attention;
using testing::expect_error;
using testing::small_wan;
using testing::TempFolder;
using testing::walk_of;
using testing::world;

DistillConfig online_config(std::int64_t rounds = 3, std::int64_t trajectories = 3) {
  DistillConfig out = distill_config();
  out.source = Source::online;
  out.online = OnlineConfig{.rounds = rounds, .trajectories = trajectories, .memory = 1 << 24};
  return out;
}

std::vector<BlockResult> run(const DistillConfig& config, const std::filesystem::path& folder,
                             const comm::Communicator& ranks, bool targets = false) {
  const models::WanTransformer teacher = small_wan();
  TeacherWalk walk = walk_of(teacher);
  walk.config.store_targets = targets;
  OnlinePoints points(walk, config, ranks);
  return distill({teacher, all_blocks(teacher, every_attention()[1]), config, 5, "f", folder}, points, ranks);
}

class Online : public ::testing::Test {
 protected:
  Online() : shared_(world().broadcast(temp_.path().string(), 0)) {}
  ~Online() override { world().barrier(); }
  TempFolder temp_, mine_;
  std::filesystem::path shared_;
};

TEST_F(Online, TheFilesDoNotDependOnTheNumberOfRanks) {
  for (const bool targets : {false, true}) {
    const std::string name = targets ? "targets" : "inputs";
    const auto alone = run(online_config(), mine_ / name, comm::Communicator(), targets);
    const auto together = run(online_config(), shared_ / name, world(), targets);
    EXPECT_EQ(testing::phi_files(shared_ / name), testing::phi_files(mine_ / name));
    ASSERT_EQ(together.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(together[i].distilled, alone[i].distilled);
      EXPECT_EQ(together[i].untrained, alone[i].untrained);
      EXPECT_LT(together[i].distilled, together[i].untrained);
    }
  }
}

TEST_F(Online, ARoundHasNewPointsAndCanBeMadeAgain) {
  const models::WanTransformer teacher = small_wan();
  OnlinePoints points(walk_of(teacher), online_config(), world());
  points.share_out({0, 1, 2});
  const std::int64_t block = world().rank() % 3;
  if (world().rank() > 2) {  // owns none, and takes part all the same
    for (const std::int64_t round : {0, 1, 0}) points.begin_round(round);
    return;
  }
  EXPECT_EQ(points.size(data::Split::validation), 4);  // two trajectories of two points for three samples
  std::vector<std::vector<at::Tensor>> rounds;
  for (const std::int64_t round : {0, 1, 0}) {
    points.begin_round(round);
    ASSERT_EQ(points.size(data::Split::train), 6);
    std::vector<at::Tensor> inputs;
    for (std::int64_t i = 0; i < 6; ++i) inputs.push_back(points.input(data::Split::train, i, block).clone());
    rounds.push_back(inputs);
  }
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_TRUE(at::equal(rounds[0][i], rounds[2][i]));
    for (std::size_t j = 0; j < 6; ++j) EXPECT_FALSE(at::allclose(rounds[0][i], rounds[1][j]));
    for (std::int64_t v = 0; v < 4; ++v)
      EXPECT_FALSE(at::allclose(rounds[0][i], points.input(data::Split::validation, v, block)));
  }
}

TEST_F(Online, APointGoesToTheOwnerOfItsBlockAlone) {
  const models::WanTransformer teacher = small_wan();
  TeacherWalk walk = walk_of(teacher);
  for (const bool targets : {false, true}) {
    walk.config.store_targets = targets;
    OnlinePoints points(walk, online_config(), world());
    points.share_out({0, 1, 2});
    points.begin_round(0);
    const int rank = world().rank(), size = world().size();
    // Two held-out trajectories and three of the round, of two points each, from the ranks in turn; [42,24] float32.
    std::int64_t walked_by_others = 0, owned = 0;
    for (const int trajectory : {0, 1, 0, 1, 2}) walked_by_others += trajectory % size == rank ? 0 : 1;
    for (const int block : {0, 1, 2}) owned += block % size == rank ? 1 : 0;
    EXPECT_EQ(points.received_bytes(), walked_by_others * 2 * owned * 42 * 24 * 4 * (targets ? 2 : 1));
    for (std::int64_t block = 0; block < 3; ++block) {
      if (block % size == rank) {
        EXPECT_EQ(points.input(data::Split::train, 5, block).numel(), 42 * 24);
      } else {
        EXPECT_THROW(points.input(data::Split::train, 5, block), std::out_of_range);
      }
    }
  }
}

TEST_F(Online, RanksWithoutATrajectoryOrABlockAreSaid) {
  const TempFolder folder;
  ::testing::internal::CaptureStderr();
  run(online_config(1, 3), shared_ / "idle", world());
  const std::string text = ::testing::internal::GetCapturedStderr();
  const bool uneven = world().rank() == 0 && 3 % world().size() != 0;
  EXPECT_EQ(text.find("found 3 trajectories a round on") != std::string::npos, uneven) << text;
  EXPECT_EQ(text.find("found 3 blocks to distil on") != std::string::npos, uneven && world().size() > 3) << text;
}

TEST_F(Online, RanksWithoutATrajectoryOfTheCacheAreSaid) {
  const models::WanTransformer teacher = small_wan();
  TeacherWalk walk = walk_of(teacher, 2);
  const MarkedFolder folder = data::cache_folder(shared_ / "cache", {{"test", 1}});
  std::unique_ptr<FolderLock> lock;
  if (world().rank() == 0) lock.reset(new FolderLock(folder.open()));
  world().barrier();
  const CachePlan plan = plan_cache(teacher->architecture(), walk.config, 2, walk.blocks, walk.latent, folder.path());
  world().barrier();  // all have looked before the first file is there
  ::testing::internal::CaptureStderr();
  collect_activations(walk, plan, folder, world());
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("[cache]: found 2 trajectories on") != std::string::npos,
            world().rank() == 0 && world().size() > 2)
      << text;
}

TEST_F(Online, MoreRoundsThanStepsAndNoStepsAtAllWork) {
  DistillConfig few = online_config(50, 1);
  few.train.iterations = 2;
  run(few, shared_ / "few", world());
  few.train.iterations = 0;
  const auto results = run(few, shared_ / "none", world());
  EXPECT_EQ(results[0].distilled, results[0].untrained);
}

TEST_F(Online, WhatDoesNotFitIsRefusedBeforeTheTeacherRuns) {
  const models::WanTransformer teacher = small_wan();
  DistillConfig small = online_config();
  small.online->memory = 1000;
  expect_error<UserError>([&] { OnlinePoints(walk_of(teacher), small, world()); },
                          {"distill.online.memory", "expected at most", "distill.online.trajectories"});
  expect_error<UserError>([&] { OnlinePoints(walk_of(teacher, 1), online_config(), world()); },
                          {"found 1 prompt", "at least two"});
}

}  // namespace
}  // namespace rehyat::distill
