#include <algorithm>
#include <map>

#include "comm/root.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "export/model_export.h"
#include "files/atomic_file.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/run.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {
namespace {

struct ExportResult {
  std::string folder;                        ///< where the first format is
  std::map<std::string, std::string> files;  ///< folder or file of each format
  std::string dtype, model;
  std::int64_t bytes = 0;
  bool verified = false;  ///< read back and compared

  void fields(config::Fields& f) {
    f.add("folder", folder, "of the first format");
    f.add("files", files, "of each format");
    f.add("dtype", dtype, "of the weights");
    f.add("model", model, "of the run");
    f.add("bytes", bytes, "on the disk");
    f.add("verified", verified, "read back and compared");
  }
};

at::ScalarType export_type(const ExportConfig& config) {
  return config.dtype == "bf16" ? at::kBFloat16 : config.dtype == "f16" ? at::kHalf : at::kFloat;
}

class ExportStage : public StageOf<ExportResult> {
 public:
  std::string name() const override { return "export"; }
  StageHelp help() const override {
    return {.summary = "write a model of the run in diffusers', the original or ComfyUI's layout, plus its hybrid part",
            .example =
                "rehyat export -c configs/demo.yaml export.dtype=bf16 export.model=finetuned\n"
                "  rehyat export -c configs/demo.yaml export.formats=[diffusers,comfyui] export.max_shard=2GB"};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    const ExportConfig& config = run.config().export_;
    return {{"format", 2},
            {"model", run.models().fingerprint(config.model)},
            {"export", deciding("export", config::to_json(config))}};
  }
  std::vector<std::string> reads(Run& run) const override { return run.models().made_by(run.config().export_.model); }
  std::string link_name(Run& run) const override { return link_to(name(), run.config().export_.model, run); }
  bool is_goal(const std::set<std::string>& sections) const override { return sections.contains(name()); }
  bool intact(Run& run, const StageFolder& folder) const override {
    const std::vector<std::string>& formats = run.config().export_.formats;
    const models::ModelFamily& family = run.models().family();
    return std::all_of(formats.begin(), formats.end(), [&](const std::string& format) {
      return family.is_whole(exporter::place_of(family, format, folder.folder()));
    });
  }

  Needs needs(Run& run) const override {
    const ExportConfig& config = run.config().export_;
    const analysis::ModelCost cost = model_cost(run, blocks_of(run, config.model));
    const std::int64_t bytes = config.dtype == "f32" ? 4 : 2, copies = std::ssize(config.formats);
    Needs needs;
    needs.model = to_string(config.model);
    needs.model_parameters = cost.parameters;
    // Feature maps stay in float32; the headers are small.
    needs.disk_bytes = copies * ((cost.parameters - cost.phi_parameters) * bytes + cost.phi_parameters * 4 + (1 << 20));
    needs.host_memory_bytes = 2 * kWeightBytes * cost.parameters;
    needs.smaller_disk = "the number of export.formats";
    return needs;
  }

  void check(Run& run, const StageFolder& folder) const override {
    require_space(folder.folder(), static_cast<std::uint64_t>(*needs(run).disk_bytes), "the exported model");
  }

 protected:
  ExportResult make(Run& run, const StageFolder& folder) const override {
    const ExportConfig& config = run.config().export_;
    const models::VideoTransformer model = run.models().load(config.model);
    ExportResult out;
    out.dtype = config.dtype;
    out.model = to_string(config.model);
    out.bytes = *needs(run).disk_bytes;
    for (const std::string& each : config.formats)
      out.files[each] = exporter::place_of(run.models().family(), each, folder.folder()).string();
    out.folder = out.files[config.formats.front()];
    comm::on_root(run.world(), [&] {
      check(run, folder);
      for (const std::string& each : config.formats)
        exporter::write_checked(model, run.models().families(), each, out.files[each],
                                {.type = export_type(config), .max_shard_bytes = config.max_shard});
    });
    out.verified = true;
    return out;
  }

  std::string told(const Timed<ExportResult>& timed) const override {
    const ExportResult& result = timed.result;
    TextList list;
    for (const auto& [format, path] : result.files) list.add(format, path);
    list.add("weights", cat("the ", result.model, " model in ", result.dtype, ", ", human_bytes(result.bytes)));
    list.add("checked", "read back and compared");
    return list.text();
  }
};

}  // namespace

std::shared_ptr<const Stage> export_stage() {
  return std::make_shared<ExportStage>();
}

}  // namespace rehyat::stages
