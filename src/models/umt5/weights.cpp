#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"
#include "models/umt5/encoder.h"
#include "tensor/pth/pickle_source.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kOriginalBlock = "blocks.";

struct Pair {
  std::string_view original, ours;
};
constexpr Pair kTop[] = {{"token_embedding.weight", "shared.weight"},
                         {"norm.weight", "encoder.final_layer_norm.weight"}};
constexpr Pair kBlock[] = {{"norm1.weight", "layer.0.layer_norm.weight"},
                           {"attn.q.weight", "layer.0.SelfAttention.q.weight"},
                           {"attn.k.weight", "layer.0.SelfAttention.k.weight"},
                           {"attn.v.weight", "layer.0.SelfAttention.v.weight"},
                           {"attn.o.weight", "layer.0.SelfAttention.o.weight"},
                           {"pos_embedding.embedding.weight", "layer.0.SelfAttention.relative_attention_bias.weight"},
                           {"norm2.weight", "layer.1.layer_norm.weight"},
                           {"ffn.gate.0.weight", "layer.1.DenseReluDense.wi_0.weight"},
                           {"ffn.fc1.weight", "layer.1.DenseReluDense.wi_1.weight"},
                           {"ffn.fc2.weight", "layer.1.DenseReluDense.wo.weight"}};

/// Unknown names stay, to be refused by name later.
std::string from_original(const std::string& name) {
  for (const Pair& pair : kTop) {
    if (name == pair.original) return std::string(pair.ours);
  }
  if (!name.starts_with(kOriginalBlock)) return name;
  const std::size_t dot = name.find('.', kOriginalBlock.size());
  if (dot == std::string::npos) return name;
  const std::string number = name.substr(kOriginalBlock.size(), dot - kOriginalBlock.size());
  for (const Pair& pair : kBlock) {
    if (std::string_view(name).substr(dot + 1) == pair.original) return cat("encoder.block.", number, '.', pair.ours);
  }
  return name;
}

/// transformers' names, whatever the names of the file. A whole model's decoder is left out, and so is the vocabulary
/// that some single files carry along.
std::unique_ptr<TensorSource> in_our_names(std::unique_ptr<TensorSource> source) {
  const bool original = source->contains("token_embedding.weight");
  constexpr const char* alias = "encoder.embed_tokens.weight";
  const bool shared = source->contains("shared.weight");
  if (shared && source->contains(alias)) {
    require(source->shape(alias) == source->shape("shared.weight") &&
                at::equal(source->read(alias), source->read("shared.weight")),
            [&] {
              return cat(source->where(alias), ": found tensors '", alias,
                         "' and 'shared.weight' that differ, expected them equal");
            });
  }
  return renamed(std::move(source), [=](const std::string& name) -> std::string {
    if (original) return from_original(name);
    if (name == alias) return shared ? "" : "shared.weight";
    const bool other = name.starts_with("decoder.") || name == "lm_head.weight" || name == "spiece_model";
    return other ? "" : name;
  });
}

/// The original repository's name of the weights.
bool is_original(const std::string& name) {
  return name.starts_with("models_t5_") && (name.ends_with(".pth") || name.ends_with(".safetensors"));
}

Umt5Weights open_file(const fs::path& file) {
  const std::string extension = file.extension();
  require(extension == ".pth" || extension == ".pt" || extension == ".safetensors",
          [&] { return cat(file.string(), ": found a file of another kind, expected .pth, .pt or .safetensors"); });
  Umt5Weights out;
  out.tensors = in_our_names(extension == ".safetensors" ? open_safetensors({file}, file.string()) : open_pth(file));
  out.config = umt5_config_from_tensors(*out.tensors);
  return out;
}

}  // namespace

Umt5Weights open_umt5(const fs::path& path) {
  if (fs::is_regular_file(path)) return open_file(path);
  require(fs::is_directory(path), [&] {
    return path.string() + ": found no such file or folder, expected the weights of UMT5; check the path";
  });
  SourceNames sources = weight_sources(kTransformersWeights);
  sources.what = "the weights of UMT5";
  sources.unread = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename();
    if (is_original(name)) sources.ranks.front().push_back(name);
  }
  std::sort(sources.ranks.front().begin(), sources.ranks.front().end());
  const auto found = find_source(path, sources);
  if (found && is_original(found->filename())) return open_file(*found);
  const fs::path config = path / "config.json";
  require(fs::exists(config), [&] {
    return path.string() + ": found neither config.json nor models_t5_*.pth, expected the folder of a UMT5 encoder";
  });
  Umt5Weights out;
  out.config = umt5_config_from_json(read_json_object(config), config.string());
  out.tensors = in_our_names(open_weights(path, kTransformersWeights));
  return out;
}

}  // namespace rehyat::models
