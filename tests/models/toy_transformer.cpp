#include "models/toy_transformer.h"

#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/dense.h"
#include "models/hybrid_files.h"
#include "ops/row_ops.h"
#include "tensor/random.h"
#include "tensor/tensor_source.h"

namespace rehyat::testing {
namespace {

using json = nlohmann::ordered_json;

constexpr double kEps = 1e-5;
constexpr const char* kSettings = "toy.json";
constexpr const char* kWeights = "toy.safetensors";
constexpr models::VideoGeometry kGeometry{.frames = 2, .height = 4, .width = 8, .channels = 6};
constexpr std::int64_t kPatchColumns = 3;

std::int64_t patch_numbers(const ToyConfig& c) {
  return c.patch_slices * kPatchColumns * kGeometry.channels;
}

/// x + gate * (attention(n) + mlp(n)), where n is x normalised and modulated by the condition.
class ToyBlockImpl : public torch::nn::Module {
 public:
  explicit ToyBlockImpl(const ToyConfig& c) {
    mixer_ = register_module("mixer", models::SelfAttention(c.width, c.heads, kEps));
    up_ = register_module("up", models::Dense(c.width, 2 * c.width));
    down_ = register_module("down", models::Dense(2 * c.width, c.width));
    modulation_ = register_module("modulation", models::Dense(c.width, 3 * c.width, false));
  }

  at::Tensor forward(const at::Tensor& x, const at::Tensor& condition, const ops::RopeTables& rope, std::int64_t index,
                     std::int64_t slices, const models::ForwardOptions& options) {
    const auto parts = modulation_->forward(at::silu(condition)).unsqueeze(1).chunk(3, 2);  // shift, scale, gate
    const ops::RowNorm norm{
        .scale = parts[1], .shift = parts[0], .modulated = true, .eps = kEps, .type = options.compute};
    const at::Tensor input = ops::norm_stream(x, norm).normed;
    const at::Tensor attended = mixer_->forward(input, rope, slices, options.of_block(index));
    const at::Tensor mixed = attended + down_->forward(at::silu(up_->forward(input)));
    return ops::gated_sum(x, mixed, parts[2]);
  }

  models::SelfAttention mixer() const { return mixer_; }

 private:
  models::SelfAttention mixer_{nullptr};
  models::Dense up_{nullptr}, down_{nullptr}, modulation_{nullptr};
};
TORCH_MODULE(ToyBlock);

class ToyTransformerImpl : public models::VideoTransformerImpl {
 public:
  explicit ToyTransformerImpl(const ToyConfig& config) : config_(config), architecture_(config.architecture()) {
    config.validate();
    in_ = register_module("in", models::Dense(patch_numbers(config), config.width));
    time_ = register_module("time", models::Dense(2, config.width, false));
    text_ = register_module("text", models::Dense(config.word_width, config.width, false));
    out_ = register_module("out", models::Dense(config.width, patch_numbers(config), false));
    for (std::int64_t i = 0; i < config.depth; ++i)
      blocks_.push_back(register_module(cat("layer_", i), ToyBlock(config)));
  }

  const models::Architecture& architecture() const override { return architecture_; }
  std::int64_t block_count() const override { return static_cast<std::int64_t>(blocks_.size()); }
  models::SelfAttention attention(std::int64_t block) const override {
    return blocks_.at(static_cast<std::size_t>(block))->mixer();
  }
  ops::RopeTables rope(const std::array<std::int64_t, 3>& latent, std::int64_t first_slice) const override {
    return ops::rope_tables(architecture_.head_width(), architecture_.grid(latent), type(), in_->weight.device(),
                            first_slice);
  }

  at::Tensor forward(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text,
                     const models::ForwardOptions& asked) override {
    const std::int64_t thickness = config_.patch_slices;
    require(latents.dim() == 5 && latents.size(1) == kGeometry.channels && latents.size(2) % thickness == 0 &&
                latents.size(4) % kPatchColumns == 0,
            [&] { return cat("[toy] latents: found ", shape_string(latents.sizes().vec())); });
    models::ForwardOptions options = asked;
    if (type() == at::kDouble) options.compute = at::kDouble;
    const std::array<std::int64_t, 3> size = {latents.size(2), latents.size(3), latents.size(4)};
    const auto grid = architecture_.grid(size);
    // [B,C,t,p,H,w,3] -> [B,t,H,w,C,p,3] -> [B,N,3pC]
    const at::Tensor patches = latents.unflatten(4, {-1, kPatchColumns})
                                   .unflatten(2, {-1, thickness})
                                   .permute({0, 2, 4, 5, 1, 3, 6})
                                   .flatten(4)
                                   .flatten(1, 3);
    at::Tensor x = in_->forward(patches.to(options.compute)).to(type());
    const at::Tensor angle = timestep.to(type()).unsqueeze(1) * (M_PI / 1000);
    const at::Tensor condition =
        time_->forward(at::cat({angle.cos(), angle.sin()}, 1)) + text_->forward(text.to(type()).mean(1));
    const ops::RopeTables tables = rope(size, options.first_slice);
    std::int64_t index = 0;
    for (const ToyBlock& block : blocks_) {
      const auto run = [block = block.ptr(), tables, index, slices = grid[0], options](
                           const std::vector<at::Tensor>& in, ops::AttentionMemory* memory) {
        return block->forward(in[0], in[1], tables, index, slices, options.with(memory));
      };
      x = models::run_block(*block, options.recompute.of(index, block_count()), {x, condition}, run);
      ++index;
    }
    x = out_->forward(at::layer_norm(x, {config_.width}, {}, {}, kEps));
    return x.view({x.size(0), grid[0], grid[1], grid[2], kGeometry.channels, thickness, kPatchColumns})
        .permute({0, 4, 1, 5, 2, 3, 6})
        .flatten(2, 3)
        .flatten(4);
  }

  void initialize(std::uint64_t seed) override {
    const at::NoGradGuard no_grad;
    for (auto& item : named_parameters()) {
      Rng rng(seed, "toy.init." + item.key());
      at::Tensor& p = item.value();
      if (models::is_feature_map(item.key())) continue;
      if (p.dim() == 2) {
        p.copy_(randn(rng, p.sizes()) / std::sqrt(static_cast<double>(p.size(1))));
      } else if (item.key().find("norm") == std::string::npos) {
        p.copy_(randn(rng, p.sizes()) * 0.1);
      }
    }
  }

  const ToyConfig& config() const { return config_; }

 private:
  at::ScalarType type() const { return in_->weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

  ToyConfig config_;
  models::Architecture architecture_;
  models::Dense in_{nullptr}, time_{nullptr}, text_{nullptr}, out_{nullptr};
  std::vector<ToyBlock> blocks_;
};
TORCH_MODULE(ToyTransformer);

ToyConfig read_config(const std::filesystem::path& folder) {
  return config::from_json<ToyConfig>(read_json_object(folder / kSettings), (folder / kSettings).string());
}

/// Each letter counted in the row of its word.
class LetterText : public models::TextEncoder {
 public:
  LetterText(std::int64_t words, std::int64_t width) : words_(words), width_(width) {}
  at::Tensor encode(const std::vector<std::string>& prompts) override {
    at::Tensor out = at::zeros({static_cast<std::int64_t>(prompts.size()), words_, width_});
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      std::int64_t word = 0;
      for (const char letter : prompts[i]) {
        if (letter == ' ') ++word;
        if (word < words_) out[static_cast<std::int64_t>(i)][word][static_cast<unsigned char>(letter) % width_] += 0.5;
      }
    }
    return out;
  }
  std::string fingerprint() const override { return "toy text"; }

 private:
  std::int64_t words_, width_;
};

}  // namespace

void ToyConfig::fields(config::Fields& f) {
  f.add("width", width, "of the residual stream").at_least(1);
  f.add("depth", depth, "blocks").at_least(1);
  f.add("heads", heads, "of the attention").at_least(1);
  f.add("words", words, "of a prompt").at_least(1);
  f.add("word_width", word_width, "numbers a word").at_least(1);
  f.add("patch_slices", patch_slices, "latent slices of a token").at_least(1);
}

void ToyConfig::validate() const {
  require(width % heads == 0 && width / heads % 2 == 0 && width / heads >= 6,
          [&] { return cat("found a width of ", width, " and ", heads, " heads, expected an even width of a head"); });
}

models::Architecture ToyConfig::architecture() const {
  const auto dense = [](std::int64_t in, std::int64_t out) { return in * out + out; };
  const double w = static_cast<double>(width);
  const std::int64_t patch = patch_numbers(*this);
  models::Architecture a;
  a.family = "toy";
  a.dim = width, a.layers = depth, a.heads = heads;
  a.text_width = word_width, a.text_tokens = words;
  a.channels = a.out_channels = kGeometry.channels;
  a.patch = {patch_slices, 1, kPatchColumns};
  a.block.parameters =
      4 * dense(width, width) + 2 * width + dense(width, 2 * width) + dense(2 * width, width) + dense(width, 3 * width);
  a.block.macs_per_token = 4 * w * w + 4 * w * w;
  a.block.macs_per_video = 3 * w * w;
  a.outside.parameters = dense(patch, width) + dense(2, width) + dense(word_width, width) + dense(width, patch);
  a.outside.macs_per_token = 2 * w * static_cast<double>(patch);
  a.outside.macs_per_video = w * static_cast<double>(2 + word_width);
  a.saved_by_block = {.compute = 11 * width, .wide = 7 * width};
  a.saved_outside = {.compute = 0, .wide = width};
  a.backward_working = {.compute = 5 * width, .wide = 4 * width};
  return a;
}

bool ToyFamily::recognises(const std::filesystem::path& path) const {
  return std::filesystem::exists(path / kSettings);
}

models::Architecture ToyFamily::read_architecture(const std::filesystem::path& path) const {
  return read_config(path).architecture();
}

models::VideoTransformer ToyFamily::load(const std::filesystem::path& path, const models::LoadOptions& options) const {
  ToyTransformer model(read_config(path));
  place_exactly(model->tensors(models::Weights::teacher), *open_safetensors({path / kWeights}, path.string()),
                options.type, options.device);
  models::load_hybrid(models::HybridFiles::in_folder(path), model, options.kinds);
  model->to(options.device);
  return model;
}

void ToyFamily::save(const std::filesystem::path& path, const models::VideoTransformer& model,
                     const models::SaveOptions& options) const {
  make_folder(path);
  std::filesystem::remove(path / kSettings);
  write_tensors(path / kWeights, model->tensors(models::Weights::teacher), {}, options.type);
  models::save_hybrid(models::HybridFiles::in_folder(path), model);
  const auto& config = std::dynamic_pointer_cast<ToyTransformerImpl>(model.ptr())->config();
  write_file_atomic(path / kSettings, config::to_json(config).dump());
}

std::string ToyFamily::fingerprint(const std::filesystem::path& path) const {
  if (!recognises(path)) return "";
  return Hasher().update(hash_file(path / kSettings)).update(hash_file(path / kWeights)).digest();
}

json ToyFamily::settings(const config::Section& given) const {
  return config::to_json(given.load<ToyConfig>());
}

json ToyFamily::with_layers(json settings, std::int64_t layers) const {
  settings["depth"] = layers;
  return settings;
}

models::Architecture ToyFamily::architecture(const json& settings) const {
  return config::from_json<ToyConfig>(settings, name()).architecture();
}

models::VideoTransformer ToyFamily::make(const json& settings) const {
  return ToyTransformer(config::from_json<ToyConfig>(settings, name()));
}

models::VideoGeometry ToyCodec::geometry() const {
  return kGeometry;
}

at::Tensor ToyCodec::encode(const at::Tensor& video) {
  const auto [slices, rows, columns] = kGeometry.latent(video.size(1), video.size(2), video.size(3));
  require((video.size(1) - 1) % kGeometry.frames == 0,
          [&] { return cat("[toy codec] found ", video.size(1), " frames, expected 2k + 1"); });
  const at::Tensor paired = at::cat({video.narrow(1, 0, 1), video}, 1);
  const at::Tensor blocks =
      paired.view({3, slices, kGeometry.frames, rows, kGeometry.height, columns, kGeometry.width}).mean({4, 6});
  const at::Tensor first = blocks.select(2, 0), second = blocks.select(2, 1);
  return at::cat({first + second, second - first}, 0).contiguous();
}

at::Tensor ToyCodec::decode(const at::Tensor& latents) {
  const auto halves = latents.chunk(2, 0);  // sum, difference
  const at::Tensor pairs = at::stack({(halves[0] - halves[1]) / 2, (halves[0] + halves[1]) / 2}, 2).flatten(1, 2);
  return pairs.narrow(1, 1, pairs.size(1) - 1)
      .repeat_interleave(kGeometry.height, 2)
      .repeat_interleave(kGeometry.width, 3);
}

models::Encoders ToyEncoders::open(const models::EncoderRequest& request) const {
  return {std::make_unique<ToyCodec>(),
          std::make_unique<LetterText>(request.model.text_tokens, request.model.text_width)};
}

}  // namespace rehyat::testing
