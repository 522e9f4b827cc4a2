#include "models/wan/pipeline_files.h"

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"
#include "models/umt5/text_encoder.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPipelineIndex = "model_index.json";
constexpr const char* kPipelineClass = "WanPipeline";

nlohmann::ordered_json read_pipeline_index(const fs::path& index) {
  JsonLimits limits;
  limits.bytes = 1 << 20;
  limits.what = "a pipeline's index";
  return read_json_object(index, limits);
}

/// `path` where it exists, else nothing.
fs::path if_there(const fs::path& path) {
  return fs::exists(path) ? path : fs::path();
}

/// Throws UserError where a folder holds a pipeline's transformer and the weights of the original layout.
void refuse_both_layouts(const fs::path& folder) {
  std::string weights;
  for (const auto& rank : weight_sources(kDiffusersWeights).ranks)
    for (const std::string& name : rank)
      if (weights.empty() && fs::exists(folder / name)) weights = name;
  if (weights.empty()) return;
  find_source(folder,
              {"the transformer",
               {{"transformer", weights}},
               "",
               "name the one that is meant: model.weights=FOLDER/transformer (with model.vae and model.text), or "
               "move model_index.json and transformer away"});
}

SourceNames vae_sources() {
  return {"the VAE",
          {{"vae", "Wan2.1_VAE.pth", "Wan2.1_VAE.pt", "Wan2.1_VAE.safetensors"}},
          "",
          "name the one that is meant with model.vae"};
}

/// What lies in the folder; where that is in doubt, nothing and the doubt.
fs::path find_or_doubt(const fs::path& folder, const SourceNames& names, std::string& doubt) {
  try {
    return find_source(folder, names).value_or(fs::path());
  } catch (const UserError& error) {
    doubt = error.what();
    return {};
  }
}

ModelFiles of_pipeline(const fs::path& folder, const fs::path& index) {
  const auto parts = read_pipeline_index(index);
  const auto kind = parts.value("_class_name", nlohmann::ordered_json());
  require(kind == kPipelineClass, [&] {
    return cat(index.string(), ": found a pipeline of the class ", excerpt(kind.dump()), ", expected \"",
               kPipelineClass, "\"");
  });
  const auto second = parts.find("transformer_2");
  const bool two = second != parts.end() && second->is_array() && !second->empty() && !(*second)[0].is_null();
  require(!two, [&] {
    return cat(index.string(), ": found a second transformer (transformer_2), expected one, as in Wan2.1");
  });
  require(fs::is_directory(folder / "transformer"), [&] {
    return cat((folder / "transformer").string(), ": found no such folder, expected the transformer that ",
               index.filename().string(), " names");
  });
  refuse_both_layouts(folder);
  ModelFiles files = {folder / "transformer", {}, {}, if_there(folder / "scheduler" / "scheduler_config.json")};
  files.vae = find_or_doubt(folder, vae_sources(), files.vae_doubt);
  if (!find_or_doubt(folder, text_encoder_sources(), files.text_doubt).empty()) files.text = folder;
  return files;
}

}  // namespace

ModelFiles find_wan(const fs::path& weights) {
  const fs::path index = weights / kPipelineIndex;
  if (fs::exists(index)) return of_pipeline(weights, index);
  ModelFiles files;
  files.transformer = weights;
  if (!fs::is_directory(weights)) return files;
  refuse_both_layouts(weights);
  files.vae = find_or_doubt(weights, vae_sources(), files.vae_doubt);
  if (!find_or_doubt(weights, text_encoder_sources(), files.text_doubt).empty()) files.text = weights;
  return files;
}

bool is_wan_pipeline(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kPipelineIndex, ignored)) return false;
  try {
    return read_pipeline_index(folder / kPipelineIndex).value("_class_name", nlohmann::ordered_json()) ==
           kPipelineClass;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace rehyat::models
