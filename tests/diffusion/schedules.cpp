#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "core/error.h"
#include "core/expect_error.h"
#include "diffusion/flow_matching.h"
#include "diffusion/samplers.h"

namespace rehyat::diffusion {
namespace {

class EveryGrid : public ::testing::TestWithParam<SigmaGrid> {};

TEST_P(EveryGrid, FallsFromNoiseTo0) {
  for (const std::int64_t steps : {1, 2, 3, 20, 50, 126, 200, 1000}) {
    for (const double shift : {1.0, 3.0, 8.0}) {
      const Schedule s = make_schedule(GetParam(), steps, shift);
      ASSERT_EQ(s.sigmas.size(), static_cast<std::size_t>(steps) + 1);
      ASSERT_EQ(s.timesteps.size(), static_cast<std::size_t>(steps));
      EXPECT_EQ(s.sigmas.back(), 0);
      EXPECT_LE(s.sigmas.front(), 1);
      for (std::size_t i = 0; i + 1 < s.sigmas.size(); ++i) ASSERT_GT(s.sigmas[i], s.sigmas[i + 1]);
      for (std::size_t i = 0; i < s.timesteps.size(); ++i) ASSERT_NEAR(s.timesteps[i], 1000 * s.sigmas[i], 1.0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Grids, EveryGrid,
                         ::testing::Values(SigmaGrid::diffusers, SigmaGrid::original, SigmaGrid::flow_match));

TEST(Schedules, TheDiffusersGridIsShiftedOnceAndItsTimestepsAreCut) {
  const Schedule s = make_schedule(SigmaGrid::diffusers, 50, 8);
  EXPECT_DOUBLE_EQ(s.sigmas[0], 1 - 1e-6);
  EXPECT_EQ(s.timesteps[0], 999);
  for (int i = 1; i < 50; ++i) {
    const double u = 1 - 0.999 * i / 50, sigma = 8 * u / (1 + 7 * u);
    EXPECT_NEAR(s.sigmas[static_cast<std::size_t>(i)], sigma, 1e-14);
    EXPECT_EQ(s.timesteps[static_cast<std::size_t>(i)], std::floor(1000 * sigma));
  }
}

TEST(Schedules, TheOriginalGridStartsAtTheFloat32NextTo0_999) {
  const Schedule s = make_schedule(SigmaGrid::original, 40, 5);
  const double start = static_cast<double>(0.999F);
  EXPECT_DOUBLE_EQ(s.sigmas[0], 5 * start / (1 + 4 * start));
  const double u = start * 30 / 40;
  EXPECT_NEAR(s.sigmas[10], 5 * u / (1 + 4 * u), 1e-14);
}

TEST(Schedules, TheFlowMatchGridIsShiftedTwiceAtItsEndAndKeepsFractions) {
  const Schedule s = make_schedule(SigmaGrid::flow_match, 50, 8);
  EXPECT_EQ(s.timesteps[0], 1000.0);
  EXPECT_NEAR(s.sigmas[49], shift_sigma(shift_sigma(0.001, 8), 8), 1e-8);  // the inner shift is float32's
  EXPECT_NE(s.timesteps[1], std::floor(s.timesteps[1]));
  EXPECT_EQ(make_schedule(SigmaGrid::flow_match, 1, 8).sigmas, (std::vector<double>{1, 0}));
}

TEST(Schedules, WholeTimestepsAreNotCutToTheOneBelow) {
  // 1000 sigma = 1000 - 9 i exactly; numpy's linspace(1, 0.001, 112) has 1000 - 9 i or a little more everywhere but at
  // the places that its order of operations rounds down.
  const Schedule s = make_schedule(SigmaGrid::diffusers, 111, 1);
  const double step = (0.001 - 1) / 111;
  for (int i = 1; i < 111; ++i)
    EXPECT_EQ(s.timesteps[static_cast<std::size_t>(i)], std::trunc(1000 * (i * step + 1.0))) << i;
}

TEST(Schedules, TimestepsRepeatOnFineGridsSoThatStepsMustBeNamedByNumber) {
  const auto distinct = [](std::int64_t steps) {
    const Schedule s = make_schedule(SigmaGrid::diffusers, steps, 8);
    return std::set<double>(s.timesteps.begin(), s.timesteps.end()).size();
  };
  EXPECT_EQ(distinct(125), 125U);
  EXPECT_LT(distinct(126), 126U);
  EXPECT_LT(distinct(200), 200U);
}

TEST(SamplerConfig, TheGridFollowsTheSamplerUnlessNamed) {
  SamplerConfig config;
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::diffusers);
  config.kind = SamplerKind::euler_ancestral;
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::flow_match);
  config.grid = "original";
  EXPECT_EQ(config.sigma_grid(), SigmaGrid::original);
}

TEST(SamplerConfig, IsReadStrictly) {
  const auto load = [](const char* text) {
    return config::load<SamplerConfig>(config::Document::from_text(text, "run.yaml"));
  };
  EXPECT_EQ(load("kind: euler\nsteps: 20\ngrid: diffusers\n").sigma_grid(), SigmaGrid::diffusers);
  testing::expect_error<UsageError>([&] { load("steps: 0\n"); }, {"run.yaml:1:8", "'steps'"});
  testing::expect_error<UsageError>([&] { load("kind: unipcc\n"); }, {"did you mean 'unipc'?"});
  testing::expect_error<UserError>([&] { load("grid: karras\n"); }, {"grid", "karras", "flow_match"});
  testing::expect_error<UsageError>([&] { load("shift: -1\n"); }, {"'shift'", "> 0"});
}

}  // namespace
}  // namespace rehyat::diffusion
