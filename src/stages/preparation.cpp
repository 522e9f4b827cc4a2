#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/dataset/prepare.h"
#include "files/json.h"
#include "stages/experiment.h"
#include "stages/prepared.h"

/// The stage `prepare`, and how later ones find its dataset.
namespace rehyat::stages {

using json = nlohmann::ordered_json;

void Experiment::read_clips() {
  clips_ = data::list_clips(config_.data, world_);
  world_.together([&] { checksums_ = std::make_unique<ChecksumMemory>(config_.run.dir / "checksums.json"); });
  data::share_checksums(*clips_, *checksums_, world_);
}

Stage Experiment::find(Stage (Experiment::*stage)()) {
  std::optional<Stage> found;
  std::string data;
  world_.together([&] {
    if (world_.rank() != 0) return;
    found = (this->*stage)();
    const std::optional<data::Identity>& known = dataset_identity_ ? dataset_identity_ : prepare_identity_;
    if (known) data = known->dump();  // neither where the stage has no need of a dataset
  });
  data = world_.broadcast(data, 0);
  if (!data.empty()) dataset_identity_ = parse_json(data, "the dataset's identity");
  world_.together([&] {
    if (!found) found = (this->*stage)();
  });
  return *found;
}

Stage Experiment::prepare_stage() {
  if (!prepare_identity_) {
    if (!checksums_) checksums_ = std::make_unique<ChecksumMemory>(config_.run.dir / "checksums.json");
    if (!clips_) clips_ = data::list_clips(config_.data);
    prepare_identity_ = data::dataset_identity(
        {config_.data, *clips_, *encoders_.codec, *encoders_.text, config_.run.seed}, *checksums_);
    clip_marks_ = data::clip_marks(*clips_, *checksums_);
  }
  return Stage(config_.run.dir, "prepare", *prepare_identity_);
}

Stage Experiment::dataset_stage() {
  if (!dataset_identity_) {
    const std::string section = data::section_key(config_.data, *encoders_.codec, *encoders_.text, config_.run.seed);
    dataset_identity_ = recall_dataset(config_.run.dir, section);
  }
  return dataset_identity_ ? Stage(config_.run.dir, "prepare", *dataset_identity_) : prepare_stage();
}

json Experiment::prepare() {
  const Stage made = prepare_stage();
  const json summary = run(made, {"manifest.json"}, [&](const Stage& stage) {
    world_.together([&] {
      if (world_.rank() != 0) return;
      checksums_->save();
      data::save_clip_marks(stage.folder() / "clips.json", clip_marks_);
      const std::string other = nearest_dataset(config_.run.dir, stage.identity(), clip_marks_);
      if (!other.empty()) log::info("prepare: a new dataset, for ", other);
    });
    return data::prepare({config_.data, *clips_, *encoders_.codec, *encoders_.text, config_.run.seed},
                         data::dataset_folder(stage.folder(), stage.identity()), world_);
  });
  forget_encoders();  // the stages that come next need the memory
  world_.together([&] {
    if (world_.rank() == 0)
      remember_dataset(config_.run.dir,
                       data::section_key(config_.data, *encoders_.codec, *encoders_.text, config_.run.seed),
                       made.folder());
  });
  dataset_identity_ = prepare_identity_;
  dataset_.reset();
  return summary;
}

const data::LatentDataset& Experiment::dataset() {
  if (!dataset_) {
    const Stage stage = dataset_stage();
    require(stage.complete(), [&] {
      const std::string other = nearest_dataset(config_.run.dir, stage.identity(), clip_marks_);
      return cat(stage.folder().string(),
                 ": the stage 'prepare' is not complete; run `rehyat prepare` with this config "
                 "first",
                 other.empty() ? "" : "; ", other);
    });
    dataset_ = std::make_unique<data::LatentDataset>(stage.folder(), stage.identity());
  }
  return *dataset_;
}

}  // namespace rehyat::stages
