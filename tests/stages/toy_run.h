#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/temp_folder.h"
#include "stages/builtin.h"
#include "stages/run.h"

/// A tiny experiment for tests, and stages that cost nothing.
namespace rehyat::stages::toy {

/// `more` are lines of YAML; the run works in the folder. Nothing is resolved yet.
inline ExperimentConfig toy_config(const std::filesystem::path& folder, const std::string& more = "") {
  const std::string text = "run: { dir: " + folder.string() +
                           ", device: cpu }\n"
                           "model: { architecture: { dim: 24, layers: 3, heads: 2, ffn_dim: 48, freq_dim: 16, "
                           "text_dim: 16, text_length: 8 } }\n"
                           "data: { videos: clips, size: [32, 32], frames: 17 }\n" +
                           more;
  return config::load<ExperimentConfig>(config::Document::from_text(text, "toy.yaml"));
}

/// Stands for `prepare` where no video is needed.
class NoVideos : public Stage {
 public:
  std::string name() const override { return "prepare"; }
  StageHelp help() const override { return {"nothing", "nothing"}; }
  nlohmann::ordered_json identity(Run& run) const override { return {{"seed", run.config().run.seed}}; }
  std::vector<std::string> reads(Run&) const override { return {}; }
  Needs needs(Run&) const override { return {}; }
  nlohmann::ordered_json work(Run&, const StageFolder&) const override { return nlohmann::ordered_json::object(); }
  std::string text(const nlohmann::ordered_json&) const override { return ""; }
};

/// The program's stages with this one for `prepare`.
inline Registry with_prepare(std::shared_ptr<const Stage> prepare) {
  Registry registry;
  registry.add(std::move(prepare));
  for (const auto& stage : {pretrain_stage(), cache_stage(), distill_stage(), finetune_stage(), sample_stage(),
                            export_stage(), verify_stage(), report_stage()})
    registry.add(stage);
  return registry;
}

/// The program's stages, but for the videos.
inline Registry without_videos() {
  return with_prepare(std::make_shared<NoVideos>());
}

}  // namespace rehyat::stages::toy
