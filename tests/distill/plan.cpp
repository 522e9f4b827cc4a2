#include <gtest/gtest.h>

#include <fstream>

#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "distill/collect.h"
#include "distill/distill_case.h"

namespace rehyat::distill {
namespace {

using testing::cache_config;
using testing::expect_error;
using testing::small_config;
using testing::TempFolder;

CachePlan plan(const CacheConfig& config, std::size_t prompts, const std::filesystem::path& folder,
               const std::vector<std::int64_t>& latent = testing::kLatentSize) {
  return plan_cache(small_config().architecture(), config, prompts, {0, 1}, latent, folder);
}

TEST(CachePlan, ACacheThatDistillationCannotUseIsRefused) {
  const TempFolder folder;
  expect_error<UserError>([&] { plan(cache_config(), 1, folder.path()); },
                          {"found 1 prompt,", "at least two", "cache.prompts"});
  expect_error<UserError>([&] { plan(cache_config(), 0, folder.path()); }, {"found 0 prompts"});
  CacheConfig all = cache_config();
  all.validation_share = 0;
  expect_error<UserError>([&] { plan(all, 9, folder.path()); }, {"cache.validation_share", "expected above 0"});
  EXPECT_EQ(plan(cache_config(), 2, folder.path()).trajectories, 2);
}

TEST(CachePlan, HoldsOutAtLeastOnePromptAndNeverAll) {
  CacheConfig config = cache_config();
  for (const double share : {0.001, 0.5, 0.9}) {
    config.validation_share = share;
    for (const std::size_t count : {2U, 3U, 40U}) {
      const auto held = held_out_prompts(config, count, 3);
      const auto number = std::count(held.begin(), held.end(), true);
      EXPECT_GE(number, 1);
      EXPECT_LT(number, static_cast<std::ptrdiff_t>(count));
    }
  }
}

TEST(CachePlan, AStartThatGoesOnNeedsRoomForWhatIsLeftAlone) {
  const TempFolder folder;
  const auto free = static_cast<double>(std::filesystem::space(folder.path()).available);
  CacheConfig config = cache_config();
  config.quota = std::int64_t{1} << 62;
  // Two trajectories of 0.6 of the free space each.
  const std::vector<std::int64_t> slice = {1, 200, 200};
  const auto one = static_cast<double>(point_bytes(small_config().architecture(), config, 1, 2, slice));
  const std::vector<std::int64_t> latent = {static_cast<std::int64_t>(0.6 * free / one) + 1, 200, 200};
  expect_error<UserError>([&] { plan(config, 2, folder.path(), latent); }, {"free, expected", "activation cache"});
  std::ofstream(folder / "trajectory-000000.h5") << "done";
  const CachePlan rest = plan(config, 2, folder.path(), latent);
  EXPECT_EQ(rest.left * 2, rest.bytes);
}

TEST(DistillConfig, SettingsWithoutEffectAreRefused) {
  const auto load = [](const char* text) {
    return config::load<DistillConfig>(config::Document::from_text(text, "run.yaml"));
  };
  EXPECT_EQ(load("source: online\nonline: {rounds: 3, memory: 2GB}\n").online->rounds, 3);
  EXPECT_EQ(load("keep_on_device: 0\n").keep_on_device, 0);
  EXPECT_EQ(load("keep_on_host: 2GB\n").keep_on_host, 2'000'000'000);
  EXPECT_EQ(load("keep_on_host: null\n").keep_on_host, std::nullopt);
  expect_error<UserError>([&] { load("online: {rounds: 3}\n"); }, {"online", "source cache"});
  expect_error<UserError>([&] { load("final_lr_share: 0.1\n"); }, {"final_lr_share", "constant"});
}

}  // namespace
}  // namespace rehyat::distill
