#include <gtest/gtest.h>

#include <map>

#include "distill/distill_case.h"
#include "models/attention/tap.h"
#include "sampling/generate.h"

/// A teacher's walk ends with its last kept point.
namespace rehyat::distill {
namespace {

using testing::small_wan;
using testing::walk_of;

TeacherWalk short_walk(const models::WanTransformer& teacher) {
  TeacherWalk walk = walk_of(teacher);
  walk.config.sampler.steps = 5;
  walk.blocks = {1, 2};  // what block 0 sees is counted
  return walk;
}

/// What the second block of a walk is given at each of all evaluations of its whole trajectory.
std::vector<at::Tensor> whole_trajectory(const TeacherWalk& walk, const Trajectory& trajectory) {
  sampling::Request request;
  request.sampler = walk.config.sampler;
  request.guidance = walk.config.guidance;
  request.shape = {4, walk.latent[0], walk.latent[1], walk.latent[2]};
  request.seed = walk.seed;
  request.purpose = trajectory.purpose;
  request.sample = static_cast<std::uint64_t>(trajectory.number);
  std::vector<at::Tensor> inputs;
  const models::TapScope tap(walk.teacher, {2}, [&](std::int64_t, const at::Tensor& input, const at::Tensor&) {
    inputs.push_back(input[0].clone());
  });
  sampling::generate(walk.teacher, request, walk.prompts.embedding(trajectory.prompt), walk.prompts.empty);
  return inputs;
}

TEST(TeacherWalk, RunsNothingAfterItsLastPointAndTheSamePointsBefore) {
  const models::WanTransformer teacher = small_wan();
  TeacherWalk walk = short_walk(teacher);
  std::map<std::int64_t, bool> ends;  // in the middle of a step, at its end
  for (std::int64_t number = 0; number < 4; ++number) {
    const Trajectory trajectory = cache_trajectory(walk.config, number);
    const WalkLength length = walk_length(walk.config, walk.seed, trajectory);
    const std::vector<data::CachePoint> points = kept_points(walk.config, walk.seed, trajectory);
    std::int64_t passes = 0, steps = 0;
    std::map<std::int64_t, at::Tensor> kept;
    {
      const models::TapScope count(teacher, {0}, [&](std::int64_t, const at::Tensor&, const at::Tensor&) { ++passes; });
      walk.run(
          trajectory,
          [&](std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor&) {
            if (block == 2) kept[point] = input.clone();
          },
          [&] { ++steps; });
    }
    EXPECT_EQ(passes, length.evaluations);
    EXPECT_EQ(passes, points.back().step * 2 + (points.back().conditional ? 1 : 2));
    EXPECT_EQ(steps, length.steps);
    ends[passes % 2] = true;
    const std::vector<at::Tensor> all = whole_trajectory(walk, trajectory);
    ASSERT_EQ(all.size(), 10U);
    ASSERT_EQ(kept.size(), points.size());
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto at = static_cast<std::size_t>(2 * points[i].step + (points[i].conditional ? 0 : 1));
      EXPECT_TRUE(at::equal(kept.at(static_cast<std::int64_t>(i)), all[at])) << number;
    }
  }
  EXPECT_EQ(ends.size(), 2U);
}

TEST(TeacherWalk, ItsLengthIsKnownBeforehand) {
  CacheConfig config = testing::cache_config();
  config.sampler.steps = 50;
  config.seeds = 4;
  for (const std::int64_t keep : {1, 10, 1000}) {
    config.keep_per_trajectory = keep;
    const WalkLength walks = cache_walks(config, 3, 400);
    EXPECT_NEAR(static_cast<double>(walks.evaluations) / (400 * mean_evaluations(config)), 1, 0.05) << keep;
    EXPECT_GE(2 * walks.steps, walks.evaluations);
    EXPECT_LT(2 * walks.steps, walks.evaluations + 400);
  }
  EXPECT_EQ(mean_evaluations(config), 100);  // all are kept
  config.guidance = 1;
  EXPECT_EQ(cache_walks(config, 3, 4).evaluations, 4 * 50);
  EXPECT_EQ(cache_trajectory(config, 11).prompt, 2U);
}

TEST(TeacherWalk, OnlineCountsItsRoundsAndTheHeldOutPoints) {
  const CacheConfig config = testing::cache_config();
  DistillConfig distill = testing::distill_config(12);
  distill.online = OnlineConfig{.rounds = 50, .trajectories = 3, .memory = 1 << 24};
  // A round for each of 12 iterations, and two held-out trajectories for three samples.
  const WalkLength walks = online_walks(config, distill, 8);
  EXPECT_LE(walks.steps, (12 * 3 + 2) * 3);
  EXPECT_GE(walks.steps, 12 * 3 + 2);
  WalkLength expected;
  for (std::int64_t i = 0; i < 2; ++i) expected += walk_length(config, 8, {"online.held_out", i, 0});
  for (std::int64_t i = 0; i < 36; ++i) expected += walk_length(config, 8, {"online", i, 1});
  EXPECT_EQ(walks.evaluations, expected.evaluations);
}

}  // namespace
}  // namespace rehyat::distill
