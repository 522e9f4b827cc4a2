#include "stages/config.h"

#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "diffusion/flow_matching.h"

namespace rehyat::stages {
namespace {

ExperimentConfig load(const std::string& text) {
  return config::load<ExperimentConfig>(config::Document::from_text(
      "model: { architecture: { dim: 24, heads: 2 } }\ndata: { videos: clips }\n" + text, "run.yaml"));
}

TEST(ExperimentConfig, TrainingAndCacheTakeTheShiftOfSampling) {
  ExperimentConfig config = load("sample: { sampler: { shift: 3 } }\npretrain: { flow: { shift: 1 } }\n");
  config.resolve();
  EXPECT_EQ(config.cache.sampler.shift, 3.0);
  EXPECT_EQ(config.finetune.flow.shift, 3.0);
  EXPECT_EQ(config.pretrain.flow.shift, 1.0);  // said by the run
  const auto shown = config::to_json(config);
  EXPECT_EQ(shown["cache"]["sampler"]["shift"], 3.0);
  EXPECT_EQ(shown["finetune"]["flow"]["shift"], 3.0);
  ExperimentConfig plain = load("");
  plain.resolve();
  EXPECT_EQ(plain.sample.sampler.shift, diffusion::kDefaultShift);
  EXPECT_EQ(plain.cache.sampler.shift, diffusion::kDefaultShift);
  // What is shown can be read again.
  const auto again = config::from_json<ExperimentConfig>(config::to_json(plain), "resolved.yaml");
  EXPECT_EQ(config::to_json(again), config::to_json(plain));
}

TEST(ExperimentConfig, TheFormIsRecurrentWhereTheVideoCanBeSampledChunkByChunk) {
  const auto form = [](const std::string& sample, const std::string& hybrid) {
    const ExperimentConfig config = load("sample: { " + sample + " }\nhybrid: { " + hybrid + " }\n");
    return config.sample.resolved_form(models::resolve(config.hybrid, 2), 2);
  };
  const auto parallel = models::AttentionForm::parallel, recurrent = models::AttentionForm::recurrent;
  const std::string rehyat = "attention: { kind: rehyat }";
  EXPECT_EQ(form("", rehyat), recurrent);
  EXPECT_EQ(form("sampler: { kind: euler_ancestral }", rehyat), parallel);
  EXPECT_EQ(form("", "blocks: [1], " + rehyat), parallel);
  EXPECT_EQ(form("", "attention: { kind: rehyat, causal: false }"), parallel);
  EXPECT_EQ(form("",
                 "groups: [{ blocks: [0], attention: { kind: rehyat, tc: 2 } }, { blocks: [1], "
                 "attention: { kind: rehyat, tc: 3 } }]"),
            parallel);
  EXPECT_EQ(form("form: parallel", rehyat), parallel);
  EXPECT_EQ(form("form: recurrent", "blocks: [1], " + rehyat), recurrent);
}

TEST(ExperimentConfig, KeysWithoutEffectAreRefusedByTheirNames) {
  const auto refused = [](const std::string& text, const std::vector<std::string>& parts) {
    testing::expect_error<UsageError>([&] { load(text); }, parts);
  };
  refused("finetune: { final_lr_share: 0.1 }", {"run.yaml:3:", "'finetune'", "final_lr_share: found 0.1"});
  refused("pretrain: { flow: { levels: uniform, spread: 1 } }", {"run.yaml:3:", "flow", "spread: found 1"});
  refused("distill: { online: { rounds: 2 } }", {"run.yaml:3:", "'distill'", "online"});
  refused("distill: { ema_decay: 1 }", {"run.yaml:3:", "ema_decay"});
  refused("cache: { precision: f16 }", {"run.yaml:3:", "'cache.precision'", "bf16"});
}

}  // namespace
}  // namespace rehyat::stages
