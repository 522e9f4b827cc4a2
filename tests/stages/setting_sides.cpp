#include "stages/setting_sides.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <stdexcept>

#include "core/strings.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// Which settings make another stage of a stage.
namespace rehyat::stages {
namespace {

using testing::TempFolder;
using toy::toy_config;

constexpr Side kResult = Side::result, kSpeed = Side::speed, kRecord = Side::record, kPlace = Side::place,
               kLimit = Side::limit;

struct Known {
  Side side;
  std::string other = {};                        ///< another value, as YAML; empty where the setting is tried elsewhere
  std::map<std::string, std::string> with = {};  ///< settings without which it has no effect
};

/// Of pretrain, finetune and distill.
void add_training(std::map<std::string, Known>& out, const std::string& section) {
  const std::pair<const char*, Known> rows[] = {
      {"iterations", {kResult, "7"}},
      {"lr", {kResult, "0.5"}},
      {"schedule", {kResult, "cosine"}},
      {"warmup", {kResult, "3"}},
      {"final_lr_share", {kResult, "0.5", {{section + ".schedule", "linear"}}}},
      {"beta1", {kResult, "0.5"}},
      {"beta2", {kResult, "0.5"}},
      {"eps", {kResult, "0.5"}},
      {"weight_decay", {kResult, "0.5"}},
      {"clip_norm", {kResult, "0.5"}},
      {"ema_decay", {kResult, "0.5"}},
      {"precision", {kResult, "bf16"}},
      {"validation_samples", {kResult, "3"}},
      {"checkpoint_every", {kRecord, "7"}},
      {"keep_checkpoints", {kRecord, "7"}},
      {"validate_every", {kRecord, "7"}},
      {"log_every", {kRecord, "7"}}};
  for (const auto& [name, known] : rows) out.emplace(cat(section, ".", name), known);
  if (section == "distill") return;
  for (const auto& [name, known] : std::initializer_list<std::pair<const char*, Known>>{
           {"flow.shift", {kResult, "3.0"}},
           {"flow.levels", {kResult, "uniform"}},
           {"flow.mean", {kResult, "0.5"}},
           {"flow.spread", {kResult, "0.5"}},
           {"global_batch", {kResult, "5"}},
           {"caption_dropout", {kResult, "0.5"}},
           // A model that begins at random is trained whole.
           {"trainable", {kResult, section == "pretrain" ? "" : "attention"}},
           {"micro_batch", {kSpeed, "5"}},
           {"recompute", {kSpeed, "full"}},
           {"memory", {kSpeed, "45GB"}},
           {"offload", {kSpeed, "optimizer"}}})
    out.emplace(cat(section, ".", name), known);
}

/// Every setting of a config: one that is missing here, or is no more, fails the first test.
std::map<std::string, Known> known_settings() {
  std::map<std::string, Known> out = {
      {"run.dir", {kPlace}},
      {"run.seed", {kResult, "9"}},
      {"run.threads", {kSpeed, "3"}},
      {"run.gpu_tflops", {kLimit, "7"}},
      {"run.gpu_memory", {kLimit, "7GB"}},
      {"run.device", {kSpeed}},  // what it makes of `auto` precisions: see tests/stages/identity.cpp
      {"model.weights", {kPlace}},
      {"model.published", {kPlace}},
      {"model.vae", {kPlace}},
      {"model.text", {kPlace}},
      {"model.encoders", {kPlace, "embedded"}},
      {"model.family", {kResult}},
      {"model.architecture", {kResult}},
      {"model.vae_precision", {kResult}},  // of files: see tests/stages/encoders.cpp
      {"model.vae_weights_precision", {kResult}},
      {"model.vae_tiling.tile_height", {kResult}},
      {"model.vae_tiling.tile_width", {kResult}},
      {"model.vae_tiling.stride_height", {kResult}},
      {"model.vae_tiling.stride_width", {kResult}},
      {"model.vae_tiling.offload", {kSpeed}},
      {"model.text_precision", {kResult}},
      {"hybrid.blocks.list", {kResult, "[1]"}},
      {"hybrid.blocks.pattern", {kResult, "none"}},
      {"hybrid.blocks.count", {kResult, "2", {{"hybrid.blocks.pattern", "first"}, {"hybrid.blocks.count", "1"}}}},
      {"hybrid.blocks.step", {kResult, "3", {{"hybrid.blocks.pattern", "every"}}}},
      {"hybrid.groups", {kResult, "[{ blocks: [1], attention: { kind: linear } }]"}},
      {"data.videos", {kPlace, "elsewhere"}},
      {"data.captions", {kPlace, "captions.csv"}},
      {"data.allow_missing_captions", {kLimit, "true"}},
      {"data.max_bad_share", {kLimit, "0.5"}},
      {"data.clips_per_shard", {kRecord, "3"}},
      {"data.decode_threads", {kSpeed, "3"}},
      {"data.size", {kResult, "[32, 48]"}},
      {"data.frames", {kResult, "33"}},
      {"data.buckets", {kResult}},
      {"data.upscale", {kResult}},
      {"data.fps", {kResult, "7"}},
      {"data.stride", {kResult, "7"}},
      {"data.max_windows", {kResult, "7"}},
      {"data.short_clips", {kResult, "bounce"}},
      {"data.crops", {kResult, "1"}},
      {"data.flip", {kResult, "true"}},
      {"data.validation_share", {kResult, "0.5"}},
      {"distill.source", {kResult, "online"}},
      {"distill.loss", {kResult, "mse"}},
      {"distill.online.rounds", {kResult, "3", {{"distill.source", "online"}}}},
      {"distill.online.trajectories", {kResult, "3", {{"distill.source", "online"}}}},
      {"distill.online.memory", {kLimit, "3GB", {{"distill.source", "online"}}}},
      {"distill.keep_on_device", {kSpeed, "7"}},
      {"distill.keep_on_host", {kSpeed, "7"}},
      {"distill.threads", {kSpeed, "7"}},
      {"cache.prompts", {kPlace}},
      {"cache.max_prompts", {kResult, "7"}},
      {"cache.seeds", {kResult, "7"}},
      {"cache.sampler.kind", {kResult, "euler"}},
      {"cache.sampler.steps", {kResult, "7"}},
      {"cache.sampler.shift", {kResult, "7.0"}},
      {"cache.sampler.grid", {kResult, "original"}},
      {"cache.guidance", {kResult, "7"}},
      {"cache.keep_per_trajectory", {kResult, "7"}},
      {"cache.validation_share", {kResult, "0.5"}},
      {"cache.precision", {kResult, "bf16"}},
      {"cache.dtype", {kResult, "f32"}},
      {"cache.store_targets", {kResult, "true"}},
      {"cache.quota", {kLimit, "7GB"}},
      {"sample.prompts", {kResult, "[a dog]"}},
      {"sample.prompts_file", {kPlace}},
      {"sample.noise", {kPlace}},
      {"sample.negative_prompt", {kResult, "grey"}},
      {"sample.videos_per_prompt", {kResult, "7"}},
      {"sample.max_prompts", {kResult, "7"}},
      {"sample.sampler.kind", {kResult, "euler"}},
      {"sample.sampler.steps", {kResult, "7"}},
      {"sample.sampler.shift", {kResult, "7.0"}},
      {"sample.sampler.grid", {kResult, "original"}},
      {"sample.guidance", {kResult, "7"}},
      {"sample.precision", {kResult, "bf16"}},
      {"sample.model", {kResult, "teacher"}},
      {"sample.seed", {kResult, "7"}},
      {"sample.keep_frames", {kResult, "true"}},
      {"sample.form", {kSpeed, "parallel"}},
      {"export.formats", {kResult, "[comfyui]"}},
      {"export.dtype", {kResult, "bf16"}},
      {"export.model", {kResult, "teacher"}},
      {"export.max_shard", {kResult, "7GB"}},
      {"verify.model", {kResult, "teacher"}},
      {"verify.tolerance", {kResult, "0.5"}},
      {"report.title", {kResult, "another"}},
      {"report.prompts", {kResult, "7"}},
      {"report.commands", {kPlace, "commands.txt"}},
  };
  for (const char* section : {"pretrain", "finetune", "distill"}) add_training(out, section);
  for (const char* stage :
       {"prepare", "pretrain", "cache", "distill", "finetune", "control", "sample", "verify", "export", "report"})
    out.emplace(cat("report.budget.", stage), Known{kRecord, "7"});
  return out;
}

/// The attention of converted blocks belongs to its kind, which says its settings itself.
bool is_of_a_kind(const std::string& name) {
  return name.starts_with("hybrid.attention.");
}

/// The settings of the lines that `--help` makes of the config; sections have lines too.
std::vector<std::string> all_settings() {
  ExperimentConfig config;
  config::Fields fields;
  config.fields(fields);
  std::istringstream lines(config::documentation(fields));
  std::vector<std::string> out;
  for (std::string line, name; std::getline(lines, line);) {
    if (!(std::istringstream(line) >> name)) continue;
    if (!out.empty() && name.starts_with(out.back() + ".")) out.pop_back();
    out.push_back(name);
  }
  return out;
}

TEST(SettingSides, EverySettingHasItsSide) {
  std::map<std::string, Known> left = known_settings();
  for (const std::string& name : all_settings()) {
    if (is_of_a_kind(name)) {
      EXPECT_EQ(side_of(name), kResult) << name;
      continue;
    }
    ASSERT_EQ(left.count(name), 1u) << name << " is a setting without a side: decide it in setting_sides.cpp and here";
    EXPECT_EQ(side_of(name), left.at(name).side) << name;
    left.erase(name);
  }
  for (const auto& [name, known] : left) ADD_FAILURE() << name << " is no setting any more";
  EXPECT_THROW(side_of("pretrain.unheard_of"), std::logic_error);
  EXPECT_THROW(deciding("pretrain", {{"unheard_of", 1}}), std::logic_error);
}

/// Stands for `prepare`: made from what decides a dataset besides its videos.
class SettingsOfData : public toy::NoVideos {
 public:
  nlohmann::ordered_json identity(Run& run) const override {
    return {{"data", deciding("data", config::to_json(run.config().data))}, {"seed", run.config().run.seed}};
  }
};

class SettingsTried : public ::testing::Test {
 protected:
  /// Folders of all stages, with settings by their dotted names.
  std::map<std::string, std::string> folders(const std::map<std::string, std::string>& settings) {
    std::vector<std::string> overrides;
    for (const auto& [name, value] : settings) overrides.push_back(cat(name, "=", value));
    const std::string text = cat("run: { dir: ", folder_.path().string(),
                                 ", device: cpu }\nmodel: { architecture: { dim: 24, layers: 3, heads: 2, ",
                                 "ffn_dim: 48, freq_dim: 16, text_dim: 16, text_length: 8 } }\n",
                                 "data: { videos: clips, size: [32, 32], frames: 17 }\n");
    stages::Run run(config::load<ExperimentConfig>(config::Document::from_text(text, "toy.yaml", overrides)), world_,
                    registry_, families_);
    std::map<std::string, std::string> out;
    for (const auto& stage : registry_.all()) out[stage->name()] = run.folder(stage->name()).fingerprint();
    return out;
  }
  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::with_prepare(std::make_shared<SettingsOfData>());
};

TEST_F(SettingsTried, OnlyThoseThatDecideAResultMakeAnotherFolder) {
  for (const auto& [name, known] : known_settings()) {
    if (known.other.empty()) continue;
    std::map<std::string, std::string> settings = known.with;
    const auto before = folders(settings);
    settings[name] = known.other;
    EXPECT_EQ(folders(settings) != before, known.side == kResult) << name << " = " << known.other;
  }
}

TEST_F(SettingsTried, EachDecidesItsOwnStageAndThoseThatReadIt) {
  const auto changed = [&](const std::string& name, const std::string& value) {
    const auto before = folders({}), after = folders({{name, value}});
    std::vector<std::string> out;
    for (const auto& stage : registry_.all())
      if (before.at(stage->name()) != after.at(stage->name())) out.push_back(stage->name());
    return join(out, " ");
  };
  EXPECT_EQ(changed("finetune.lr", "0.5"), "finetune sample export verify report");
  EXPECT_EQ(changed("distill.lr", "0.5"), "distill finetune sample export verify report");
  EXPECT_EQ(changed("cache.seeds", "3"), "cache distill finetune sample export verify report");
  EXPECT_EQ(changed("sample.seed", "3"), "sample report");
  EXPECT_EQ(changed("export.dtype", "bf16"), "export");
}

}  // namespace
}  // namespace rehyat::stages
