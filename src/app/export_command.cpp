#include <algorithm>
#include <chrono>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "app/stages.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "models/model_registry.h"
#include "tensor/io.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using models::Weights;
using stages::Experiment;

at::ScalarType type_of(const stages::ExportConfig& config) {
  return config.dtype == "bf16" ? at::kBFloat16 : config.dtype == "f16" ? at::kHalf : at::kFloat;
}

/// Where a format goes in the stage's folder.
std::filesystem::path place_of(const models::ModelFamily& family, const std::string& format,
                               const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const models::ModelFormat& known : family.formats()) {
    if (known.name == format) return folder / known.place;
    names.push_back(known.name);
  }
  throw UserError({"export.formats", cat('"', format, '"'), join(names, ", "), ""});
}

/// The tensors of one part, as they should come back after being stored as `type`.
void compare(const models::VideoTransformer& model, const models::VideoTransformer& again, Weights part,
             at::ScalarType type, const std::filesystem::path& path) {
  const auto expected = model->tensors(part), found = again->tensors(part);
  require(expected.size() == found.size(), [&] {
    return cat(path.string(), ": found ", found.size(), " tensors after reading back, expected ", expected.size());
  });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor want = expected[i].second.detach().to(at::kCPU, type);
    require(expected[i].first == found[i].first && at::equal(want, found[i].second), [&] {
      return cat(path.string(), ": tensor '", expected[i].first,
                 "' differs after reading back; the disk may be failing");
    });
  }
}

/// Read back and compare: what was written is what was meant, the feature maps and settings included.
void check_written(const models::VideoTransformer& model, const models::ModelRegistry& families,
                   const std::filesystem::path& path, at::ScalarType type) {
  const models::VideoTransformer again = families.load(path, {.type = std::nullopt});
  require(models::block_map_of(again) == models::block_map_of(model) && again->architecture() == model->architecture(),
          [&] {
            return cat(path.string(),
                       ": found other sizes or other attention after reading back, expected those of the ",
                       "model; the disk may be failing");
          });
  compare(model, again, Weights::teacher, type, path);
  compare(model, again, Weights::feature_maps, at::kFloat, path);  // feature maps stay in float32
}

bool files_exist(const Experiment& experiment, const models::ModelFamily& family, const stages::Stage& stage) {
  const auto& formats = experiment.config().export_.formats;
  return std::all_of(formats.begin(), formats.end(), [&](const std::string& format) {
    return family.is_whole(place_of(family, format, stage.folder()));
  });
}

const models::ModelFamily& family_of(Experiment& experiment) {
  return experiment.families().named(experiment.architecture().family);
}

void export_model(Context& context) {
  Experiment experiment = load_experiment(context);
  if (context.arguments.dry_run) {
    const stages::Stage stage = experiment.export_stage();
    const json needs = requirements(experiment, "export");
    const bool complete = stage.complete() && files_exist(experiment, family_of(experiment), stage);
    context.result(
        {{"stage", "export"}, {"folder", stage.folder().string()}, {"complete", complete}, {"needs", needs}},
        cat("export: ", complete ? "complete in " : "would work in ", stage.folder().string(), "\n", needs.dump(2)));
    return;
  }
  const json result = run_export(experiment);
  std::vector<std::string> paths;
  for (const auto& item : result.at("files").items()) paths.push_back(item.value());
  context.result(result, cat("export: ", join(paths, ", "), ", the ", result.at("model").get<std::string>(),
                             " model in ", result.at("dtype").get<std::string>(), ", ", human_bytes(result.at("bytes")),
                             ", read back and compared"));
}

}  // namespace

json run_export(Experiment& experiment) {
  const stages::Stage stage = experiment.export_stage();
  const stages::ExportConfig& config = experiment.config().export_;
  const comm::Communicator& world = experiment.world();
  const models::ModelFamily& family = family_of(experiment);
  bool complete = false;
  world.together([&] { complete = stage.complete() && files_exist(experiment, family, stage); });
  if (complete) {
    log::info("export: already complete in ", stage.folder().string());
    return stage.summary();
  }
  const auto start = std::chrono::steady_clock::now();
  const models::VideoTransformer model = experiment.load(config.model);
  const std::int64_t bytes = requirements(experiment, "export").at("disk_bytes");
  const auto lock = experiment.open(stage);
  json summary;
  world.together([&] {
    if (world.rank() == 0) {
      require_space(stage.folder(), static_cast<std::uint64_t>(bytes), "the exported model");
      for (const std::string& format : config.formats) {
        const models::SaveOptions options = {
            .format = format, .type = type_of(config), .max_shard_bytes = config.max_shard};
        const std::filesystem::path path = place_of(family, format, stage.folder());
        family.save(path, model, options);
        check_written(model, experiment.families(), path, options.type);
      }
    }
    json files = json::object();
    for (const std::string& format : config.formats) files[format] = place_of(family, format, stage.folder()).string();
    summary = {{"folder", files[config.formats.front()]},  // where the first format is
               {"files", files},
               {"dtype", config.dtype},
               {"model", stages::to_string(config.model)},
               {"bytes", bytes},
               {"verified", true},
               {"seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()}};
    if (world.rank() == 0) stage.finish(summary);
  });
  return summary;
}

Command export_command() {
  Command command;
  command.name = "export";
  command.summary = "write a model of the run in diffusers', the original or ComfyUI's layout, plus its hybrid part";
  command.example =
      "rehyat export -c configs/demo.yaml export.dtype=bf16 export.model=finetuned\n"
      "  rehyat export -c configs/demo.yaml export.formats=[diffusers,comfyui] export.max_shard=2GB";
  command.run = export_model;
  return command;
}

}  // namespace rehyat::app
