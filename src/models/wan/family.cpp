#include "models/wan/family.h"

#include <array>
#include <cassert>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/wan/pipeline_files.h"
#include "models/wan/weights.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kFamily = "wan";

constexpr std::array<std::pair<const char*, WanLayout>, 3> kFormats = {{
    {"diffusers", WanLayout::diffusers},
    {"original", WanLayout::original},
    {"comfyui", WanLayout::comfyui},
}};

/// Where an export puts each.
std::filesystem::path place_of(WanLayout layout) {
  switch (layout) {
    case WanLayout::diffusers:
      return "transformer";
    case WanLayout::original:
      return "original";
    case WanLayout::comfyui:
      return std::filesystem::path("comfyui") / "model.safetensors";
  }
  return {};
}

WanLayout layout_of(const std::string& format) {
  if (format.empty()) return WanLayout::diffusers;
  for (const auto& [name, layout] : kFormats) {
    if (format == name) return layout;
  }
  throw UserError({"format", cat('"', excerpt(format), '"'), "diffusers, original or comfyui", ""});
}

WanConfig config_of(const json& settings) {
  return config::from_json<WanConfig>(settings, kFamily);
}

}  // namespace

std::string WanFamily::name() const {
  return kFamily;
}

bool WanFamily::recognises(const std::filesystem::path& path) const {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored)) return path.extension() == ".safetensors";
  if (is_wan_pipeline(path)) return true;
  if (!std::filesystem::exists(path / "config.json", ignored)) return false;
  try {
    const json kind = read_json_object(path / "config.json").value("_class_name", json());
    return kind.is_null() || kind == "WanTransformer3DModel" || kind == "WanModel";
  } catch (const std::exception&) {
    return false;
  }
}

bool WanFamily::has_architecture(const std::filesystem::path& path) const {
  std::error_code ignored;
  if (!is_wan_pipeline(path)) return recognises(path);
  return std::filesystem::exists(path / kPipelineTransformer / "config.json", ignored);
}

std::vector<PublishedArchitecture> WanFamily::published() const {
  WanConfig large;  // as its config.json says; what is not named here is as in the 1.3B model
  large.dim = 5120, large.layers = 40, large.heads = 40, large.ffn_dim = 13'824;
  const auto named = [](const char* name, WanConfig config) {
    return PublishedArchitecture{name, config.architecture(), kFamily, config::to_json(config)};
  };
  return {named("wan2.1-t2v-1.3b", {}), named("wan2.1-t2v-14b", large)};
}

ModelFiles WanFamily::find(const std::filesystem::path& weights) const {
  return find_wan(weights);
}

Architecture WanFamily::read_architecture(const std::filesystem::path& path) const {
  return read_wan_config(path).architecture();
}

VideoTransformer WanFamily::load(const std::filesystem::path& path, const LoadOptions& options) const {
  return load_model(path, options);
}

void WanFamily::save(const std::filesystem::path& path, const VideoTransformer& model,
                     const SaveOptions& options) const {
  const auto wan = std::dynamic_pointer_cast<WanTransformerImpl>(model.ptr());
  assert(wan);
  save_model(path, WanTransformer(wan),
             {.layout = layout_of(options.format), .type = options.type, .max_shard_bytes = options.max_shard_bytes});
}

std::vector<ModelFormat> WanFamily::formats() const {
  std::vector<ModelFormat> out;
  for (const auto& [name, layout] : kFormats) out.push_back({name, place_of(layout)});
  return out;
}

bool WanFamily::is_whole(const std::filesystem::path& path) const {
  return has_model(path);
}

std::string WanFamily::fingerprint(const std::filesystem::path& path) const {
  return model_fingerprint(path);
}

json WanFamily::settings(const config::Section& given) const {
  return config::to_json(given.load<WanConfig>());
}

json WanFamily::with_layers(json settings, std::int64_t layers) const {
  settings["layers"] = layers;
  return settings;
}

Architecture WanFamily::architecture(const json& settings) const {
  return config_of(settings).architecture();
}

VideoTransformer WanFamily::make(const json& settings) const {
  return WanTransformer(config_of(settings));
}

}  // namespace rehyat::models
