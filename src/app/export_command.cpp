#include "app/command.h"
#include "app/load_experiment.h"
#include "core/strings.h"
#include "models/wan/weights.h"
#include "tensor/io.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// Where each format goes in the stage's folder.
std::filesystem::path place_of(models::WanLayout layout, const std::filesystem::path& folder) {
  switch (layout) {
    case models::WanLayout::diffusers:
      return folder / "transformer";
    case models::WanLayout::original:
      return folder / "original";
    case models::WanLayout::comfyui:
      return folder / "comfyui" / "model.safetensors";
  }
  return folder;
}

models::WanLayout layout_of(const std::string& format) {
  return format == "original"  ? models::WanLayout::original
         : format == "comfyui" ? models::WanLayout::comfyui
                               : models::WanLayout::diffusers;
}

/// Reads back and compares: what was written is what was meant.
void check_written(const std::filesystem::path& path, const models::WanTransformer& model, at::ScalarType type) {
  const models::WanTransformer again = models::load_model(path, models::LoadOptions{.type = std::nullopt});
  const auto expected = model->tensors(models::WanTransformerImpl::Which::base),
             found = again->tensors(models::WanTransformerImpl::Which::base);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const at::Tensor want = expected[i].second.detach().to(at::kCPU, type);
    require(expected[i].first == found[i].first && at::equal(want, found[i].second), [&] {
      return cat(path.string(), ": tensor '", expected[i].first,
                 "' differs after reading back; the disk may be failing");
    });
  }
}

void export_model(Context& context) {
  pipeline::Experiment experiment = load_experiment(context);
  const pipeline::ExportConfig& config = experiment.config().export_;
  const pipeline::Stage stage(
      experiment.config().run.dir, "export",
      {{"model", experiment.finetune_stage().fingerprint()}, {"settings", config::to_json(config)}});
  models::WanTransformer model = experiment.load(pipeline::WhichModel::finetuned);
  if (context.arguments.dry_run) {
    context.result({{"folder", stage.folder().string()}}, cat("export: would write ", stage.folder().string()));
    return;
  }
  models::SaveOptions options;
  options.type = config.dtype == "bf16" ? at::kBFloat16 : config.dtype == "f16" ? at::kHalf : at::kFloat;
  options.max_shard_bytes = config.max_shard;
  json files = json::object();
  for (const std::string& format : config.formats) files[format] = place_of(layout_of(format), stage.folder()).string();
  context.world.together([&] {
    if (context.world.rank() != 0) return;
    for (const std::string& format : config.formats) {
      options.layout = layout_of(format);
      const std::filesystem::path path = place_of(options.layout, stage.folder());
      models::save_model(path, model, options);
      check_written(path, model, options.type);
    }
    stage.open();
    stage.finish({{"files", files}, {"dtype", config.dtype}});
  });
  // `folder` is where the first format is.
  context.result(
      {{"folder", files[config.formats.front()]}, {"files", files}, {"dtype", config.dtype}, {"verified", true}},
      cat("export: ", stage.folder().string(), " (", join(config.formats, ", "), ", ", config.dtype,
          "), read back and compared"));
}

}  // namespace

Command export_command() {
  Command command;
  command.name = "export";
  command.summary = "write the finetuned model in diffusers', the original or ComfyUI's layout, plus its hybrid part";
  command.example = "rehyat export -c configs/demo.yaml export.dtype=bf16 export.formats=[diffusers,comfyui]";
  command.run = export_model;
  return command;
}

}  // namespace rehyat::app
