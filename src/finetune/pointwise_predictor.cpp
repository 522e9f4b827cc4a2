#include "finetune/pointwise_predictor.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::finetune {

PointwisePredictor::PointwisePredictor(const std::vector<at::Tensor>& latents, std::int64_t quantiles) {
  require(!latents.empty() && quantiles > 1,
          [&] { return cat("[pointwise_predictor] found ", latents.size(), " latents, expected at least one"); });
  std::vector<at::Tensor> flat;
  for (const at::Tensor& latent : latents) flat.push_back(latent.flatten(1).to(at::kDouble));
  const at::Tensor sorted = std::get<0>(at::cat(flat, 1).sort(1));
  // The middle of each of `quantiles` equal shares, so that every x_k has the same weight.
  const at::Tensor share = (at::arange(quantiles, at::kDouble) + 0.5) / static_cast<double>(quantiles);
  support_ = sorted.index_select(1, (share * sorted.size(1)).to(at::kLong).clamp_max(sorted.size(1) - 1));
}

at::Tensor PointwisePredictor::velocity(const at::Tensor& x, double sigma) const {
  require(x.dim() == 4 && x.size(0) == support_.size(0), [&] {
    return cat("[pointwise_predictor] x: found shape ", shape_string(x.sizes().vec()), ", expected [", support_.size(0),
               ", T, H, W]");
  });
  require(sigma > 0 && sigma <= 1,
          [&] { return cat("[pointwise_predictor] sigma: found ", sigma, ", expected 0 < sigma <= 1"); });
  const at::Tensor value = x.flatten(1).to(at::kDouble);
  at::Tensor mean = at::empty_like(value);
  for (std::int64_t c = 0; c < value.size(0); ++c) {  // a channel at a time bounds the memory
    const at::Tensor distance = value[c].unsqueeze(1) - (1 - sigma) * support_[c].unsqueeze(0);
    const at::Tensor weight = (distance.square() * (-0.5 / (sigma * sigma))).softmax(1);
    mean[c] = at::mv(weight, support_[c]);
  }
  return ((value - mean) / sigma).to(at::kFloat).view_as(x);
}

}  // namespace rehyat::finetune
