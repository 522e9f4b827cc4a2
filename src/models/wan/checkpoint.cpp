#include "models/wan/checkpoint.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr const char* kConfigFile = "config.json";
constexpr const char* kPrefix = "model.diffusion_model.";
constexpr std::int64_t kHeadWidth = 128;

/// Pieces of names, diffusers' and the original's; a piece ends at a dot or at the end of the name.
constexpr std::array<std::pair<const char*, const char*>, 8> kOutside = {{
    {"condition_embedder.time_embedder.linear_1.", "time_embedding.0."},
    {"condition_embedder.time_embedder.linear_2.", "time_embedding.2."},
    {"condition_embedder.time_proj.", "time_projection.1."},
    {"condition_embedder.text_embedder.linear_1.", "text_embedding.0."},
    {"condition_embedder.text_embedder.linear_2.", "text_embedding.2."},
    {"proj_out.", "head.head."},
    {"scale_shift_table", "head.modulation"},
    {"patch_embedding.", "patch_embedding."},
}};
constexpr std::array<std::pair<const char*, const char*>, 12> kInBlock = {{
    {"scale_shift_table", "modulation"},
    {"attn1.to_q.", "self_attn.q."},
    {"attn1.to_k.", "self_attn.k."},
    {"attn1.to_v.", "self_attn.v."},
    {"attn1.to_out.0.", "self_attn.o."},
    {"attn2.to_q.", "cross_attn.q."},
    {"attn2.to_k.", "cross_attn.k."},
    {"attn2.to_v.", "cross_attn.v."},
    {"attn2.to_out.0.", "cross_attn.o."},
    {"norm2.", "norm3."},
    {"ffn.net.0.proj.", "ffn.0."},
    {"ffn.net.2.", "ffn.2."},
}};
constexpr std::array<std::pair<const char*, const char*>, 2> kNorms = {{
    {"attn1.norm_", "self_attn.norm_"},
    {"attn2.norm_", "cross_attn.norm_"},
}};

template <typename Table>
bool replace_front(std::string& name, const Table& table) {
  for (const auto& [from, to] : table) {
    if (!name.starts_with(from)) continue;
    name = to + name.substr(std::string_view(from).size());
    return true;
  }
  return false;
}

/// Tensors that only models conditioned on images, videos, cameras, poses or sound have, in either naming.
constexpr std::array<std::string_view, 16> kConditioned = {
    "img_emb.",        "image_embedder.", ".k_img.",         ".v_img.",         ".norm_k_img.",  ".add_k_proj.",
    ".add_v_proj.",    "vace_",           "control_adapter", "ref_conv.",       "face_adapter.", "face_encoder.",
    "motion_encoder.", "pose_patch",      "cond_encoder.",   "casual_audio_enc"};

void refuse_conditioned(const TensorSource& source) {
  for (const std::string& name : source.names()) {
    const bool conditioned = std::any_of(kConditioned.begin(), kConditioned.end(),
                                         [&](std::string_view part) { return name.find(part) != std::string::npos; });
    require(!conditioned, [&] {
      return cat(source.where(name), ": found the tensor '", name,
                 "' of a model that is conditioned on more than text, expected a text-to-video transformer; use a "
                 "T2V checkpoint");
    });
  }
}

std::pair<WanLayout, WanConfig> read_folder_config(const std::filesystem::path& folder) {
  require(std::filesystem::is_directory(folder), [&] {
    return folder.string() +
           ": found no such folder or file, expected a folder with config.json and weights, or a .safetensors file; "
           "check the path";
  });
  const json values = read_json_object(folder / kConfigFile);
  const std::string where = (folder / kConfigFile).string();
  const bool original = values.value("_class_name", json()) == "WanModel" ||
                        (values.contains("num_heads") && !values.contains("num_attention_heads"));
  if (original) return {WanLayout::original, from_original_json(values, where)};
  return {WanLayout::diffusers, from_diffusers_json(values, where)};
}

/// The shape of a tensor in a single file, checked for its rank.
std::vector<std::int64_t> shape_of(const WanCheckpoint& c, const std::string& name, std::size_t rank) {
  require(c.tensors->contains(c.prefix + name), [&] {
    const bool theirs = c.tensors->contains("condition_embedder.time_proj.weight");
    return cat(c.tensors->path(), ": found no tensor '", c.prefix, name,
               "', expected the original names of a Wan model",
               theirs ? "; these are diffusers' names: give the folder with its config.json" : "");
  });
  std::vector<std::int64_t> shape = c.tensors->shape(c.prefix + name);
  require(shape.size() == rank, [&] {
    return cat(c.tensors->path(), ": tensor '", c.prefix, name, "': found shape ", shape_string(shape), ", expected ",
               rank, " sizes");
  });
  return shape;
}

std::int64_t count_blocks(const WanCheckpoint& c) {
  const std::string blocks = c.prefix + "blocks.";
  std::int64_t count = 0;
  for (const std::string& name : c.tensors->names()) {
    if (!name.starts_with(blocks)) continue;
    std::int64_t block = -1;
    std::from_chars(name.data() + blocks.size(), name.data() + name.size(), block);
    count = std::max(count, block + 1);
  }
  require(count >= 1 && count <= 10'000,
          [&] { return cat(c.tensors->path(), ": found ", count, " blocks, expected 1 to 10,000"); });
  return count;
}

/// What a single file says of itself: a WanModel's config, alone or as "transformer" of a larger one, or plain keys.
json described(const safetensors::Metadata& metadata, const std::string& where) {
  json out = json::object();
  const auto parse = [&](const std::string& key, const std::string& text) {
    return parse_json(text, cat(where, ": metadata '", key, "'"));
  };
  if (const auto found = metadata.find("config"); found != metadata.end()) {
    json whole = parse("config", found->second);
    if (whole.is_object() && whole.contains("transformer")) whole = json(whole["transformer"]);
    for (const char* key : {"num_heads", "eps", "text_len"}) {
      if (whole.is_object() && whole.contains(key)) out[key] = whole[key];
    }
  }
  for (const char* key : {"num_heads", "eps", "text_len"}) {
    if (const auto found = metadata.find(key); found != metadata.end()) out[key] = parse(key, found->second);
  }
  return out;
}

WanConfig infer_config(const WanCheckpoint& c, const safetensors::Metadata& metadata) {
  const std::string where = c.tensors->path();
  const auto patch = shape_of(c, "patch_embedding.weight", 5);
  const auto out = shape_of(c, "head.head.weight", 2);
  require(patch[2] == 1 && patch[3] == patch[4] && patch[3] >= 1 && out[0] % (patch[3] * patch[4]) == 0, [&] {
    return cat(where, ": found patches ", shape_string({patch[2], patch[3], patch[4]}), " and ", out[0],
               " outputs a patch, expected patches [1, p, p] and a multiple of p * p");
  });
  json values = described(metadata, where);
  const std::int64_t dim = patch[0];
  if (!values.contains("num_heads")) {
    require(dim % kHeadWidth == 0, [&] {
      return cat(where, ": found a width of ", dim, ", expected a multiple of ", kHeadWidth,
                 ", the usual width of a head; say num_heads in the file's metadata");
    });
    values["num_heads"] = dim / kHeadWidth;
  }
  values["dim"] = dim;
  values["num_layers"] = count_blocks(c);
  values["ffn_dim"] = shape_of(c, "blocks.0.ffn.0.weight", 2)[0];
  values["freq_dim"] = shape_of(c, "time_embedding.0.weight", 2)[1];
  values["text_dim"] = shape_of(c, "text_embedding.0.weight", 2)[1];
  values["in_dim"] = patch[1];
  values["out_dim"] = out[0] / (patch[3] * patch[4]);
  values["patch_size"] = {patch[2], patch[3], patch[4]};
  return from_original_json(values, where);
}

WanCheckpoint open_single(const std::filesystem::path& path) {
  WanCheckpoint c;
  c.layout = WanLayout::comfyui;
  c.tensors = open_safetensors({path}, path.string());
  refuse_conditioned(*c.tensors);
  for (const std::string& name : c.tensors->names()) {
    if (name.starts_with(kPrefix)) c.prefix = kPrefix;
  }
  if (!c.prefix.empty()) {
    // A whole checkpoint of ComfyUI's holds the other models too.
    for (const std::string& name : c.tensors->names()) {
      for (const char* other : {"text_encoders.", "cond_stage_model.", "first_stage_model.", "vae."}) {
        if (name.starts_with(other)) c.ignored.insert(name);
      }
    }
  }
  c.config = infer_config(c, safetensors::Reader(path).metadata());
  return c;
}

}  // namespace

std::string to_string(WanLayout layout) {
  return layout == WanLayout::diffusers ? "diffusers" : layout == WanLayout::original ? "original" : "comfyui";
}

std::string original_name(const std::string& diffusers_name) {
  constexpr std::string_view blocks = "blocks.";
  const std::size_t dot = diffusers_name.find('.', blocks.size());
  if (diffusers_name.starts_with(blocks) && dot != std::string::npos) {
    std::string rest = diffusers_name.substr(dot + 1);
    if (!replace_front(rest, kInBlock)) replace_front(rest, kNorms);
    return diffusers_name.substr(0, dot + 1) + rest;
  }
  std::string name = diffusers_name;
  replace_front(name, kOutside);
  return name;
}

std::string WanCheckpoint::name(const std::string& diffusers_name) const {
  return layout == WanLayout::diffusers ? diffusers_name : prefix + original_name(diffusers_name);
}

WanCheckpoint open_checkpoint(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) return open_single(path);
  WanCheckpoint c;
  std::tie(c.layout, c.config) = read_folder_config(path);
  c.tensors = open_weights(path, kDiffusersWeights);
  refuse_conditioned(*c.tensors);
  return c;
}

WanConfig read_wan_config(const std::filesystem::path& path) {
  return std::filesystem::is_regular_file(path) ? open_single(path).config : read_folder_config(path).second;
}

}  // namespace rehyat::models
