#include "models/hybrid_files.h"

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/hybrid.h"
#include "tensor/tensor_source.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;

constexpr std::int64_t kHybridFormat = 1;

/// Numbers in the feature maps of q and k.
double numbers_in(const ops::FeatureMapConfig& phi, std::int64_t heads, std::int64_t head_width) {
  if (phi.kind != ops::FeatureMapKind::poly_mlp) return 2.0 * static_cast<double>(heads * head_width * head_width);
  const auto out = static_cast<double>(phi.feature_width(head_width)), in = static_cast<double>(head_width);
  const double hidden = phi.hidden > 0 ? static_cast<double>(phi.hidden) : out;
  double numbers = 0;
  for (std::int64_t i = 0; i < phi.layers; ++i)
    numbers += ((i == 0 ? in : hidden) + 1) * (i + 1 == phi.layers ? out : hidden);
  return 2 * static_cast<double>(heads) * numbers;
}

}  // namespace

HybridFiles HybridFiles::in_folder(const std::filesystem::path& folder) {
  return {folder / "hybrid.json", folder / "hybrid.safetensors"};
}

HybridFiles HybridFiles::beside(const std::filesystem::path& file) {
  const std::string stem = (file.parent_path() / file.stem()).string();
  return {stem + ".hybrid.json", stem + ".hybrid.safetensors"};
}

void save_hybrid(const HybridFiles& files, const VideoTransformer& model) {
  const BlockMap blocks = block_map_of(model);
  if (blocks.empty()) {
    // What a hybrid model left here would convert the blocks again.
    std::filesystem::remove(files.settings);
    std::filesystem::remove(files.weights);
    return;
  }
  // Feature maps stay in float32: they are small, and their powers need the range.
  write_tensors(files.weights, model->tensors(Weights::feature_maps), hybrid_metadata(blocks), at::kFloat);
  write_file_atomic(files.settings, json({{"format", kHybridFormat}, {"blocks", to_json(blocks)}}).dump(2) + "\n");
}

void load_hybrid(const HybridFiles& files, const VideoTransformer& model, const ops::AttentionKinds& kinds) {
  if (!std::filesystem::exists(files.settings)) return;
  const std::string where = files.settings.string();
  const json hybrid = read_json_object(files.settings);
  require(hybrid.contains("format") && hybrid["format"] == kHybridFormat,
          [&] { return cat(where, ": found another format, expected ", kHybridFormat); });
  const BlockMap blocks = block_map_from_json(hybrid.value("blocks", json()), where, kinds);
  const auto weights = open_safetensors({files.weights}, files.weights.string());
  double numbers = 0;
  for (const auto& [block, attention] : blocks) {
    require(block >= 0 && block < model->block_count(),
            [&] { return cat(where, ": found block ", block, ", expected 0 to ", model->block_count() - 1); });
    const Architecture& sizes = model->architecture();
    numbers += numbers_in(attention.phi, sizes.heads, sizes.head_width());
  }
  require_as_large(numbers, *weights, where);
  for (const auto& [block, attention] : blocks) model->attention(block)->install(attention);
  check_hybrid_metadata(safetensors::Reader(files.weights).metadata(), blocks, files.weights.string(), kinds);
  assign_exactly(model->tensors(Weights::feature_maps), *weights);
}

}  // namespace rehyat::models
