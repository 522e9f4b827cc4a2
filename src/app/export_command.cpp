#include <chrono>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "app/stages.h"
#include "core/atomic_file.h"
#include "core/log.h"
#include "core/strings.h"
#include "models/wan/weights.h"
#include "tensor/io.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using pipeline::Experiment;
using Which = models::WanTransformerImpl::Which;

at::ScalarType type_of(const pipeline::ExportConfig& config) {
  return config.dtype == "bf16" ? at::kBFloat16 : config.dtype == "f16" ? at::kHalf : at::kFloat;
}

/// The tensors of one part, as they should come back after being stored as `type`.
void compare(const models::WanTransformer& model, const models::WanTransformer& again, Which part, at::ScalarType type,
             const std::filesystem::path& folder) {
  const auto expected = model->tensors(part), found = again->tensors(part);
  require(expected.size() == found.size(), [&] {
    return cat(folder.string(), ": found ", found.size(), " tensors after reading back, expected ", expected.size());
  });
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor want = expected[i].second.detach().to(at::kCPU, type).to(at::kFloat);
    require(expected[i].first == found[i].first && at::equal(want, found[i].second), [&] {
      return cat(folder.string(), ": tensor '", expected[i].first,
                 "' differs after reading back; the disk may be failing");
    });
  }
}

/// Read back and compare: what was written is what was meant, the feature maps and settings included.
void check_written(const models::WanTransformer& model, const std::filesystem::path& folder, at::ScalarType type) {
  const models::WanTransformer again = models::load_model(folder);
  require(models::block_map_of(again) == models::block_map_of(model) && again->config() == model->config(), [&] {
    return cat(folder.string(), ": found other sizes or other attention after reading back, expected those of the ",
               "model; the disk may be failing");
  });
  compare(model, again, Which::base, type, folder);
  compare(model, again, Which::phi, at::kFloat, folder);  // feature maps stay in float32
}

bool files_exist(const pipeline::Stage& stage) {
  const auto folder = stage.folder() / "transformer";
  return std::filesystem::exists(folder / "config.json") &&
         std::filesystem::exists(folder / "diffusion_pytorch_model.safetensors");
}

void export_model(Context& context) {
  Experiment experiment = load_experiment(context);
  if (context.arguments.dry_run) {
    const pipeline::Stage stage = experiment.export_stage();
    const json needs = requirements(experiment, "export");
    const bool complete = stage.complete() && files_exist(stage);
    context.result(
        {{"stage", "export"}, {"folder", stage.folder().string()}, {"complete", complete}, {"needs", needs}},
        cat("export: ", complete ? "complete in " : "would work in ", stage.folder().string(), "\n", needs.dump(2)));
    return;
  }
  const json result = run_export(experiment);
  context.result(result, cat("export: ", result.at("folder").get<std::string>(), ", the ",
                             result.at("model").get<std::string>(), " model in ", result.at("dtype").get<std::string>(),
                             ", ", human_bytes(result.at("bytes")), ", read back and compared"));
}

}  // namespace

json run_export(Experiment& experiment) {
  const pipeline::Stage stage = experiment.export_stage();
  const pipeline::ExportConfig& config = experiment.config().export_;
  const dist::Communicator& world = experiment.world();
  bool complete = false;
  world.together([&] { complete = stage.complete() && files_exist(stage); });
  if (complete) {
    log::info("export: already complete in ", stage.folder().string());
    return stage.summary();
  }
  const auto start = std::chrono::steady_clock::now();
  const std::filesystem::path folder = stage.folder() / "transformer";
  const models::WanTransformer model = experiment.load(config.model);
  const std::int64_t bytes = requirements(experiment, "export").at("disk_bytes");
  const auto lock = experiment.open(stage);
  json summary;
  world.together([&] {
    if (world.rank() == 0) {
      require_space(stage.folder(), static_cast<std::uint64_t>(bytes), "the exported model");
      models::save_model(folder, model, type_of(config));
      check_written(model, folder, type_of(config));
    }
    summary = {{"folder", folder.string()},
               {"dtype", config.dtype},
               {"model", pipeline::to_string(config.model)},
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
  command.summary = "write a model of the run in diffusers' layout plus its hybrid part";
  command.example = "rehyat export -c configs/demo.yaml export.dtype=bf16 export.model=finetuned";
  command.run = export_model;
  return command;
}

}  // namespace rehyat::app
