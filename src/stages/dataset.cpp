#include "stages/dataset.h"

#include "comm/root.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/sources/path_pattern.h"
#include "stages/dataset_notes.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {
namespace {

/// Whether nothing is left of what data.videos names.
bool videos_are_gone(const std::filesystem::path& videos) {
  if (videos.empty() || std::filesystem::exists(videos)) return false;
  if (!data::is_pattern(videos)) return true;
  try {
    return data::expand_pattern(videos).empty();
  } catch (const UserError&) {
    return true;  // one of its alternatives names nothing
  }
}

}  // namespace

RunDataset::RunDataset(const ExperimentConfig& config, RunEncoders& encoders, const comm::Communicator& world)
    : config_(config), encoders_(encoders), world_(world) {}

std::string RunDataset::section() const {
  return data::section_key(config_.data, settings(), *encoders_.codec, *encoders_.text, config_.run.seed);
}

nlohmann::ordered_json RunDataset::settings() const {
  return deciding("data", config::to_json(config_.data));
}

void RunDataset::read_clips() {
  const bool known = comm::from_root<bool>(world_, [&] {
    if (clips_ || !videos_are_gone(config_.data.videos)) return false;
    identity_ = recall_dataset(config_.run.dir, section());
    if (identity_) log::info(config_.data.videos.string(), ": the videos are gone; the dataset made of them is used");
    return identity_.has_value();
  });
  if (known) return;
  clips_ = data::list_clips(config_.data, world_);
  world_.all_or_none([&] { checksums_ = std::make_unique<ChecksumMemory>(config_.run.dir / "checksums.json"); });
  data::share_checksums(*clips_, *checksums_, world_);
  world_.all_or_none([&] { identify(); });
}

data::DatasetInputs RunDataset::inputs() {
  return {config_.data, *clips_, *encoders_.codec, *encoders_.text, config_.run.seed};
}

void RunDataset::identify() {
  if (!checksums_) checksums_ = std::make_unique<ChecksumMemory>(config_.run.dir / "checksums.json");
  if (!clips_) clips_ = data::list_clips(config_.data);
  identity_ = data::dataset_identity(inputs(), settings(), *checksums_);
  marks_ = data::clip_marks(*clips_, *checksums_);
}

const data::Identity& RunDataset::identity() {
  if (!identity_) identity_ = recall_dataset(config_.run.dir, section());
  if (!identity_) identify();
  return *identity_;
}

std::string RunDataset::clip_changes(const std::filesystem::path& folder) {
  return marks_.empty() ? "" : data::clip_changes(folder / "clips.json", marks_);
}

data::PrepareResult RunDataset::prepare(const StageFolder& folder) {
  // Where the videos are gone, this says so.
  if (!clips_) clips_ = data::list_clips(config_.data, world_);
  if (!checksums_) world_.all_or_none([&] { identify(); });
  comm::on_root(world_, [&] {
    checksums_->save();
    data::save_clip_marks(folder.folder() / "clips.json", marks_);
  });
  dataset_.reset();
  return data::prepare_dataset(inputs(), data::dataset_folder(folder.folder(), folder.identity()), world_);
}

void RunDataset::remember() {
  remember_dataset(config_.run.dir, section(), identity());
}

const data::LatentDataset& RunDataset::open(const StageFolder& folder) {
  if (!dataset_) dataset_ = std::make_unique<data::LatentDataset>(folder.folder(), folder.identity());
  return *dataset_;
}

}  // namespace rehyat::stages
