#include "stages/models.h"

#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "distill/distill.h"

namespace rehyat::stages {

RunModels::RunModels(const ExperimentConfig& config, const std::optional<PublishedModel>& published,
                     const models::ModelRegistry& families, RunDevice& device, const RunEncoders& encoders,
                     InputNotes& notes, const comm::Communicator& world, FolderOf folder_of)
    : config_(config),
      published_(published),
      families_(families),
      device_(device),
      encoders_(encoders),
      notes_(notes),
      world_(world),
      folder_of_(std::move(folder_of)) {}

const models::ModelFamily& RunModels::family() {
  return families_.named(architecture().family);
}

const models::Architecture& RunModels::architecture() {
  if (architecture_) return *architecture_;
  if (!published_) {
    const models::ModelFamily& family = families_.named(config_.model.family);
    new_model_ = family.settings(config_.model.architecture);
    architecture_ = family.architecture(new_model_);
  } else {
    architecture_ = published_->architecture;
  }
  return *architecture_;
}

const nlohmann::ordered_json& RunModels::new_model() {
  architecture();
  return new_model_;
}

const models::BlockMap& RunModels::blocks() {
  if (!blocks_) blocks_ = models::resolve(config_.hybrid, architecture().layers);
  return *blocks_;
}

std::vector<std::int64_t> RunModels::converted() {
  std::vector<std::int64_t> out;
  for (const auto& item : blocks()) out.push_back(item.first);
  return out;
}

std::vector<std::int64_t> RunModels::latent() const {
  const data::DataConfig& data = config_.data;
  const auto latent = encoders_.codec->geometry().latent(data.frames, data.size[0], data.size[1]);
  return {latent.begin(), latent.end()};
}

std::vector<std::string> RunModels::made_by(TrainedModel which) const {
  if (which == TrainedModel::finetuned) return {"finetune"};
  std::vector<std::string> out;
  if (!published_) out.emplace_back("pretrain");
  if (which == TrainedModel::distilled) out.emplace_back("distill");
  return out;
}

std::string RunModels::fingerprint(TrainedModel which) {
  switch (which) {
    case TrainedModel::finetuned:
      return folder_of_("finetune").fingerprint();
    case TrainedModel::distilled:
      return folder_of_("distill").fingerprint();
    case TrainedModel::undistilled: {
      const nlohmann::ordered_json parts = {fingerprint(TrainedModel::teacher), models::to_json(blocks()), latent(),
                                            config_.run.seed};
      return hash_text(parts.dump()).substr(0, 16);
    }
    case TrainedModel::teacher:
      break;
  }
  if (!published_) return folder_of_("pretrain").fingerprint();
  if (!published_->missing.empty()) return "assumed";  // of a plan, whose folders have no name yet
  if (weights_fingerprint_.empty()) {
    const std::filesystem::path& path = published_->files.transformer;
    weights_fingerprint_ =
        notes_.said(weights_input(config_.model, family(), path), [&] { return families_.fingerprint(path); });
  }
  return weights_fingerprint_;
}

std::filesystem::path RunModels::teacher_folder() const {
  if (published_) {
    require(std::filesystem::exists(published_->files.transformer), [&] {
      return cat(config_.model.weights.string(),
                 ": found that the teacher is gone, expected it, since this stage runs ", "it; bring it back");
    });
    return published_->files.transformer;
  }
  const StageFolder folder = folder_of_("pretrain");
  folder.require_intact();
  return folder.folder() / "model";
}

models::VideoTransformer RunModels::load(TrainedModel which) {
  models::VideoTransformer model{nullptr};
  world_.all_or_none([&] {
    if (which == TrainedModel::finetuned) {
      const StageFolder folder = folder_of_("finetune");
      folder.require_intact();
      model = families_.load(folder.folder() / "model", {.device = device_.get()});
      return;
    }
    model = families_.load(teacher_folder(), {.device = device_.get()});
    if (which == TrainedModel::teacher) return;
    const auto size = latent();
    models::convert(model, blocks(), config_.run.seed, {size[0], size[1], size[2]});
    if (which == TrainedModel::undistilled) return;
    const StageFolder folder = folder_of_("distill");
    folder.require_intact();
    distill::load_feature_maps(model, blocks(), folder.folder(), folder.fingerprint());
  });
  return model;
}

}  // namespace rehyat::stages
