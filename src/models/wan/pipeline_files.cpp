#include "models/wan/pipeline_files.h"

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"

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
  require(fs::is_directory(folder / kPipelineTransformer), [&] {
    return cat((folder / kPipelineTransformer).string(), ": found no such folder, expected the transformer that ",
               index.filename().string(), " names");
  });
  return {folder / kPipelineTransformer, if_there(folder / "vae"),
          fs::is_directory(folder / "text_encoder") ? folder : fs::path(),
          if_there(folder / "scheduler" / "scheduler_config.json")};
}

}  // namespace

ModelFiles find_wan(const fs::path& weights) {
  const fs::path index = weights / kPipelineIndex;
  if (fs::exists(index)) return of_pipeline(weights, index);
  ModelFiles files;
  files.transformer = weights;
  if (!fs::is_directory(weights)) return files;
  files.vae = if_there(weights / "Wan2.1_VAE.pth");
  if (fs::is_directory(weights / "google" / "umt5-xxl")) files.text = weights;
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
