#include "models/wan/vae_weights.h"

#include <array>
#include <charconv>
#include <optional>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "tensor/pth/pickle_source.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr const char* kVaeConfigFile = "config.json";

using Names = std::vector<std::pair<std::string_view, std::string_view>>;

/// `name` with the prefix of the first pair that fits replaced by its second; nothing when none fits.
std::optional<std::string> replace_prefix(std::string_view name, const Names& names) {
  for (const auto& [from, to] : names)
    if (name.starts_with(from)) return std::string(to) + std::string(name.substr(from.size()));
  return std::nullopt;
}

/// The inside of a residual block; other layers have the same names in both namings.
std::string layer_name(std::string_view rest) {
  static const Names inside = {{"residual.0.", "norm1."},
                               {"residual.2.", "conv1."},
                               {"residual.3.", "norm2."},
                               {"residual.6.", "conv2."},
                               {"shortcut.", "conv_shortcut."}};
  return replace_prefix(rest, inside).value_or(std::string(rest));
}

/// "12.rest" -> 12 and "rest".
std::optional<std::pair<std::int64_t, std::string_view>> leading_number(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data() + text.size() || *end != '.' || number < 0) return std::nullopt;
  return std::pair{number, text.substr(static_cast<std::size_t>(end - text.data()) + 1)};
}

/// What follows "encoder." or "decoder." and has no number of its own.
std::optional<std::string> half_name(std::string_view rest) {
  static const Names heads = {{"conv1.", "conv_in."}, {"head.0.", "norm_out."}, {"head.2.", "conv_out."}};
  if (auto name = replace_prefix(rest, heads)) return name;
  static const Names middles = {{"middle.0.", "mid_block.resnets.0."},
                                {"middle.1.", "mid_block.attentions.0."},
                                {"middle.2.", "mid_block.resnets.1."}};
  for (const auto& [from, to] : middles)
    if (rest.starts_with(from)) return std::string(to) + layer_name(rest.substr(from.size()));
  return std::nullopt;
}

json read_config(const std::filesystem::path& path) {
  require(std::filesystem::exists(path), [&] {
    return cat(path.string(),
               ": found no such file, expected the config.json of a VAE; give its folder, or one "
               "safetensors file");
  });
  return read_json_object(path);
}

/// Numbers of the convolutions inside the stages, at both ends (27 taps each) and around the latents: less than a VAE
/// has, of the order of it.
double least_numbers(const VaeConfig& config) {
  const auto z = static_cast<double>(config.z_dim);
  double numbers =
      5 * z * z + 27 * (static_cast<double>(config.in_channels) * static_cast<double>(config.base_dim) +
                        static_cast<double>(config.out_channels) * static_cast<double>(config.decoder_base_dim));
  for (const std::int64_t base : {config.base_dim, config.decoder_base_dim}) {
    for (const std::int64_t multiple : config.dim_mult) {
      const double channels = static_cast<double>(base) * static_cast<double>(multiple);
      numbers += 2 * 27 * channels * channels * static_cast<double>(config.num_res_blocks);
    }
  }
  return numbers;
}

}  // namespace

std::string diffusers_vae_name(const std::string& original, std::int64_t num_res_blocks) {
  const std::string_view name = original;
  static const Names quant = {{"conv1.", "quant_conv."}, {"conv2.", "post_quant_conv."}};
  if (const auto found = replace_prefix(name, quant)) return *found;
  const bool encoder = name.starts_with("encoder.");
  if (!encoder && !name.starts_with("decoder.")) return "";
  const std::string half(name.substr(0, 8));
  const std::string_view rest = name.substr(8);
  if (const auto found = half_name(rest)) return half + *found;
  const std::string_view list = encoder ? "downsamples." : "upsamples.";
  if (!rest.starts_with(list)) return "";
  const auto numbered = leading_number(rest.substr(list.size()));
  if (!numbered) return "";
  const auto& [number, inside] = *numbered;
  if (encoder) return cat(half, "down_blocks.", number, ".", layer_name(inside));
  // A stage of the decoder: one residual block more than the encoder's, then the upsampler.
  const std::int64_t stage = number / (num_res_blocks + 2), place = number % (num_res_blocks + 2);
  const bool upsampler = place == num_res_blocks + 1;
  return cat(half, "up_blocks.", stage, upsampler ? ".upsamplers.0." : cat(".resnets.", place, "."),
             layer_name(inside));
}

WanVae load_vae(const VaeConfig& config, std::unique_ptr<TensorSource> source, const VaeOptions& options) {
  WanVae vae(config, options);
  // Only the original has a tensor of this name.
  if (source->contains("encoder.conv1.weight")) {
    source = renamed(std::move(source), [&](const std::string& name) {
      const std::string found = diffusers_vae_name(name, config.num_res_blocks);
      // A name that means nothing is kept, for the message about what is left over.
      return found.empty() ? name : found;
    });
  }
  assign_exactly(vae->tensors(), *source);
  return vae;
}

VaeConfig read_vae_config(const std::filesystem::path& path) {
  require(std::filesystem::exists(path), [&] {
    return path.string() + ": found no such file or folder, expected the weights of a VAE; check the path";
  });
  if (!std::filesystem::is_directory(path)) return {};
  return vae_config_from_json(read_config(path / kVaeConfigFile), (path / kVaeConfigFile).string());
}

WanVae load_vae(const std::filesystem::path& path, const VaeOptions& options) {
  // Read before the weights: a folder without it is not a VAE's.
  const VaeConfig config = read_vae_config(path);
  if (!std::filesystem::is_directory(path)) {
    const bool pickled = path.extension() == ".pth" || path.extension() == ".pt";
    return load_vae(config, pickled ? open_pth(path) : open_safetensors({path}, path.string()), options);
  }
  std::unique_ptr<TensorSource> source = open_weights(path, kDiffusersWeights);
  require_as_large(least_numbers(config), *source, (path / kVaeConfigFile).string());
  return load_vae(config, std::move(source), options);
}

void save_vae(const std::filesystem::path& folder, const WanVae& vae) {
  make_folder(folder);
  // config.json is the marker of a whole folder: gone while the weights are replaced, written last.
  std::filesystem::remove(folder / kVaeConfigFile);
  write_tensors(folder / (kDiffusersWeights.stem + ".safetensors"), vae->tensors(), {{"format", "pt"}});
  write_file_atomic(folder / kVaeConfigFile, to_diffusers_json(vae->config()).dump(2) + "\n");
}

std::string vae_checksum(const WanVae& vae) {
  Hasher hasher;
  hasher.update(to_diffusers_json(vae->config()).dump());
  for (const auto& [name, tensor] : vae->tensors()) hasher.update(name).update(rehyat::hash_tensor(tensor));
  return hasher.digest();
}

}  // namespace rehyat::models
