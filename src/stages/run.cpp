#include "stages/run.h"

#include <algorithm>
#include <utility>

#include "comm/root.h"
#include "core/strings.h"
#include "export/model_export.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

ExperimentConfig resolved(ExperimentConfig config, const std::optional<PublishedModel>& published) {
  config.resolve(wants_gpu(config.run.device), published ? published->sampler : std::nullopt);
  return config;
}

std::optional<std::string> encoders_to_assume(const std::optional<PublishedModel>& published, Purpose purpose) {
  if (purpose == Purpose::work) return std::nullopt;
  return published ? published->encoders : std::string();
}

void add_with_what_it_reads(Run& run, const Stage& stage, std::vector<const Stage*>& out) {
  if (std::find(out.begin(), out.end(), &stage) != out.end()) return;
  for (const std::string& name : stage.reads(run)) add_with_what_it_reads(run, run.registry().at(name), out);
  out.push_back(&stage);
}

}  // namespace

Run::Run(ExperimentConfig config, const comm::Communicator& world, const Registry& registry,
         const models::ModelRegistry& families, Purpose purpose)
    : purpose_(purpose),
      notes_(config.run.dir),
      published_(published_model(config.model, families, notes_, purpose)),
      config_(resolved(std::move(config), published_)),
      world_(world),
      registry_(registry),
      device_(config_.run, world),
      models_(config_, published_, families, device_, encoders_, notes_, world,
              [this](std::string_view stage) { return folder(stage); }),
      encoders_(make_encoders(
          config_.model, models_.files(), models_.architecture(), families.encoders(), [this] { return device_.get(); },
          notes_, encoders_to_assume(published_, purpose))),
      prompts_(config_, encoders_, device_, notes_),
      dataset_(config_, encoders_, world),
      links_(config_.run.dir) {
  if (config_.model.architecture) config_.model.architecture.show(models_.new_model());
  config_.data.check_sizes({encoders_.codec->geometry(), models_.architecture().patch});
  std::vector<std::string>& formats = config_.export_.formats;
  if (formats.empty()) formats = {exporter::format_names(models_.family()).front()};
  for (const std::string& format : formats) exporter::place_of(models_.family(), format, "");
}

StageFolder Run::folder(std::string_view stage) {
  const auto known = folders_.find(stage);
  if (known != folders_.end()) return known->second;
  StageFolder found(config_.run.dir, std::string(stage), registry_.at(stage).identity(*this));
  return folders_.emplace(stage, std::move(found)).first->second;
}

void Run::find(const Stage& stage) {
  const json identities = comm::from_root<json>(world_, [&] {
    json out = json::object();
    for (const Stage* each : with_what_it_reads(*this, stage)) out[each->name()] = folder(each->name()).identity();
    return out;
  });
  for (const auto& [name, identity] : identities.items()) folders_.try_emplace(name, config_.run.dir, name, identity);
}

std::unique_ptr<Run> Run::control() const {
  ExperimentConfig other = config_;
  other.hybrid.groups.clear();
  other.hybrid.blocks.list = std::vector<std::int64_t>{};
  return std::make_unique<Run>(std::move(other), world_, registry_, models_.families(), purpose_);
}

std::vector<std::string> Run::missing() const {
  std::vector<std::string> out;
  if (published_) out = published_->missing;
  out.insert(out.end(), encoders_.missing.begin(), encoders_.missing.end());
  return out;
}

std::string link_to(const std::string& stage, TrainedModel of, Run& run) {
  if (of != TrainedModel::finetuned) return cat(stage, "-", to_string(of));
  return run.models().blocks().empty() ? cat(stage, "-control") : stage;
}

std::vector<const Stage*> with_what_it_reads(Run& run, const Stage& stage) {
  std::vector<const Stage*> out;
  add_with_what_it_reads(run, stage, out);
  return out;
}

}  // namespace rehyat::stages
