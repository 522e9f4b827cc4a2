#include "models/wan/transformer.h"

#include <cmath>

#include "core/error.h"
#include "core/strings.h"
#include "models/wan/vae_config.h"
#include "tensor/random.h"

namespace rehyat::models {
namespace {

/// [B] -> [B, width] in `type`: cosines first, frequencies 10000^{-2i/width}. In float32 exactly as diffusers computes
/// it, order of roundings included (near t = 1000 another order moves the angle by 3e-5); in `exact` float64 as the
/// original does.
at::Tensor sinusoid(const at::Tensor& timestep, std::int64_t width, at::ScalarType type, bool exact) {
  const std::int64_t half = width / 2;
  const auto wide = exact ? at::kDouble : at::kFloat;
  const at::Tensor exponent =
      at::arange(half, at::TensorOptions().dtype(wide).device(timestep.device())) * -std::log(10000.0);
  const at::Tensor frequency = (exponent / static_cast<double>(half)).exp();
  const at::Tensor angle = timestep.to(wide).unsqueeze(1) * frequency.unsqueeze(0);
  return at::cat({angle.cos(), angle.sin()}, 1).to(type);
}

}  // namespace

WanTransformerImpl::WanTransformerImpl(const WanConfig& config)
    : config_(config), architecture_(config.architecture()) {
  config.validate();
  ModuleGroup patch, embedder, time, text, all;
  patch_weight_ =
      patch->register_parameter("weight", at::empty({config.dim, config.in_channels, 1, config.patch, config.patch}));
  patch_bias_ = patch->register_parameter("bias", at::zeros({config.dim}));
  register_module("patch_embedding", patch);
  time_1_ = time->register_module("linear_1", Dense(config.freq_dim, config.dim, false));
  time_2_ = time->register_module("linear_2", Dense(config.dim, config.dim, false));
  embedder->register_module("time_embedder", time);
  time_proj_ = embedder->register_module("time_proj", Dense(config.dim, 6 * config.dim, false));
  text_1_ = text->register_module("linear_1", Dense(config.text_dim, config.dim));
  text_2_ = text->register_module("linear_2", Dense(config.dim, config.dim));
  embedder->register_module("text_embedder", text);
  register_module("condition_embedder", embedder);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    blocks_.emplace_back(config, i);
    all->register_module(std::to_string(i), blocks_.back());
  }
  register_module("blocks", all);
  proj_out_ = register_module("proj_out", Dense(config.dim, config.out_channels * config.patch * config.patch, false));
  table_ = register_parameter("scale_shift_table", at::zeros({1, 2, config.dim}));
}

void WanTransformerImpl::check(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text) const {
  require(latents.dim() == 5 && latents.size(1) == config_.in_channels && latents.numel() > 0, [&] {
    return cat("[wan] latents: found ", shape_string(latents.sizes().vec()), ", expected [B, ", config_.in_channels,
               ", T, H, W], none of them 0");
  });
  require(latents.size(3) % config_.patch == 0 && latents.size(4) % config_.patch == 0, [&] {
    return cat("[wan] latents: found ", latents.size(3), " x ", latents.size(4),
               ", expected height and width divisible by ", config_.patch, "; use a video size divisible by ",
               VaeConfig().spatial_stride() * config_.patch);
  });
  require(timestep.dim() == 1 && timestep.size(0) == latents.size(0), [&] {
    return cat("[wan] timestep: found ", shape_string(timestep.sizes().vec()), ", expected [", latents.size(0), "]");
  });
  require(text.dim() == 3 && text.size(0) == latents.size(0) && text.size(2) == config_.text_dim && text.size(1) >= 1,
          [&] {
            return cat("[wan] text: found ", shape_string(text.sizes().vec()), ", expected [", latents.size(0), ", L, ",
                       config_.text_dim, "]");
          });
}

at::Tensor WanTransformerImpl::embed_patches(const at::Tensor& latents, at::ScalarType compute) const {
  // A convolution whose stride is its kernel is a product over patches; inputs in the order (C, pt, ph, pw).
  const std::int64_t p = config_.patch;
  const at::Tensor patches =
      latents.unflatten(4, {-1, p}).unflatten(3, {-1, p}).permute({0, 2, 3, 5, 1, 4, 6}).flatten(4).flatten(1, 3);
  return at::linear(patches.to(compute), patch_weight_.flatten(1).to(compute), patch_bias_.to(compute));
}

at::Tensor WanTransformerImpl::embed_text(const at::Tensor& text, const ForwardOptions& options) const {
  const auto make = [&] { return text_2_->forward(at::gelu(text_1_->forward(text.to(options.compute)), "tanh")); };
  if (options.text == nullptr) return make();
  options.text->begin(text, options.compute);
  return options.text->words(make);
}

at::Tensor WanTransformerImpl::unpatch(const at::Tensor& x, const std::array<std::int64_t, 3>& grid) const {
  // Outputs in the order (pt, ph, pw, C).
  const std::int64_t p = config_.patch;
  return x.view({x.size(0), grid[0], grid[1], grid[2], p, p, config_.out_channels})
      .permute({0, 6, 1, 2, 4, 3, 5})
      .reshape({x.size(0), config_.out_channels, grid[0], grid[1] * p, grid[2] * p});
}

ops::RopeTables WanTransformerImpl::rope(const std::array<std::int64_t, 3>& latent, std::int64_t first_slice) const {
  const auto type = patch_weight_.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  return rope_.get(config_.head_width(), architecture_.grid(latent), type, patch_weight_.device(), first_slice);
}

at::Tensor WanTransformerImpl::forward(const at::Tensor& latents, const at::Tensor& timestep, const at::Tensor& text,
                                       const ForwardOptions& asked) {
  check(latents, timestep, text);
  const auto type = patch_weight_.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  ForwardOptions options = asked;
  if (type == at::kDouble) options.compute = at::kDouble;
  const std::array<std::int64_t, 3> size = {latents.size(2), latents.size(3), latents.size(4)};
  const std::array<std::int64_t, 3> grid = architecture_.grid(size);

  at::Tensor x = embed_patches(latents, options.compute).to(type);
  // In half precision the original is followed, otherwise diffusers.
  const bool half = options.compute == at::kBFloat16 || options.compute == at::kHalf;
  const at::Tensor wave = sinusoid(timestep, config_.freq_dim, type, half);
  const at::Tensor time = time_2_->forward(at::silu(time_1_->forward(wave)));
  const at::Tensor modulation = time_proj_->forward(at::silu(time)).unflatten(1, {6, -1});
  if (at::GradMode::is_enabled()) options.text = nullptr;
  const at::Tensor words = embed_text(text, options);
  const ops::RopeTables tables = rope(size, options.first_slice);
  std::int64_t index = 0;
  for (const Block& block : blocks_) {
    x = run_block(*block, options.recompute.of(index++, block_count()), {x, words, modulation},
                  [block = block.ptr(), tables, slices = grid[0], options](const std::vector<at::Tensor>& in,
                                                                           ops::AttentionMemory* memory) {
                    return block->forward(in[0], in[1], in[2], tables, slices, options.with(memory));
                  });
  }

  const auto ends = (table_.to(type) + time.unsqueeze(1)).chunk(2, 1);  // shift, scale
  const ops::RowNorm norm{.scale = ends[1], .shift = ends[0], .modulated = true, .eps = config_.eps, .type = type};
  return unpatch(proj_out_->forward(ops::norm_stream(x, norm).normed), grid);
}

void WanTransformerImpl::initialize(std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (auto& item : named_parameters()) {
    const std::string& name = item.key();
    at::Tensor& p = item.value();
    if (is_feature_map(name)) continue;
    Rng rng(seed, "model.init." + name);
    if (name.find("scale_shift_table") != std::string::npos) {
      p.copy_(randn(rng, p.sizes()) / std::sqrt(static_cast<double>(config_.dim)));
    } else if (p.dim() >= 2) {
      // Xavier; the output starts near 0, so that training starts from the mean.
      const double fan = static_cast<double>(p.size(0) + p.numel() / p.size(0));
      const double bound = std::sqrt(6 / fan) * (name == "proj_out.weight" ? 0.02 : 1.0);
      p.copy_((rand(rng, p.sizes()) * 2 - 1) * bound);
    } else if (name.find("norm") != std::string::npos && name.ends_with("weight")) {
      p.fill_(1);
    } else {
      p.zero_();
    }
  }
}

}  // namespace rehyat::models
