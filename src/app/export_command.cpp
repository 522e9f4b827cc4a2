#include "app/command.h"
#include "app/load_experiment.h"
#include "core/strings.h"
#include "models/wan/weights.h"
#include "tensor/io.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

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
  const at::ScalarType type = config.dtype == "bf16" ? at::kBFloat16 : config.dtype == "f16" ? at::kHalf : at::kFloat;
  const std::filesystem::path folder = stage.folder() / "transformer";
  context.world.together([&] {
    if (context.world.rank() != 0) return;
    const FolderLock lock = stage.open();
    models::save_model(folder, model, type);
    // Read back and compare: what was written is what was meant.
    const models::WanTransformer again = models::load_model(folder);
    const auto expected = model->tensors(models::WanTransformerImpl::Which::base),
               found = again->tensors(models::WanTransformerImpl::Which::base);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const at::Tensor want = expected[i].second.detach().to(at::kCPU, type).to(at::kFloat);
      require(expected[i].first == found[i].first && at::equal(want, found[i].second), [&] {
        return cat(folder.string(), ": tensor '", expected[i].first,
                   "' differs after reading back; the disk may be failing");
      });
    }
    stage.finish({{"folder", folder.string()}, {"dtype", config.dtype}});
  });
  context.result({{"folder", folder.string()}, {"dtype", config.dtype}, {"verified", true}},
                 cat("export: ", folder.string(), " (", config.dtype, "), read back and compared"));
}

}  // namespace

Command export_command() {
  Command command;
  command.name = "export";
  command.summary = "write the finetuned model in diffusers' layout plus its hybrid part";
  command.example = "rehyat export -c configs/demo.yaml export.dtype=bf16";
  command.run = export_model;
  return command;
}

}  // namespace rehyat::app
