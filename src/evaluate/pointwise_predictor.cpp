#include "evaluate/pointwise_predictor.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"

namespace rehyat::evaluate {
namespace {

constexpr std::int64_t kLatents = 256, kPlaces = 1024;
constexpr std::int64_t kAtOnce = 1 << 14;  // values whose distances to the support are held at a time

/// `wanted` of the numbers below `count`, ascending; all where there are no more.
std::vector<std::int64_t> draw(Rng& rng, std::int64_t count, std::int64_t wanted) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(count));
  std::iota(all.begin(), all.end(), 0);
  if (count <= wanted) return all;
  for (std::int64_t i = 0; i < wanted; ++i) {  // the start of a Fisher-Yates shuffle
    const auto other = i + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(count - i)));
    std::swap(all[static_cast<std::size_t>(i)], all[static_cast<std::size_t>(other)]);
  }
  all.resize(static_cast<std::size_t>(wanted));
  std::ranges::sort(all);
  return all;
}

/// [C, n] to at most `values` columns of the same distribution, [C, K] float64.
at::Tensor quantiles(const at::Tensor& samples, std::int64_t values) {
  const at::Tensor sorted = std::get<0>(samples.to(at::kDouble).sort(1));
  const std::int64_t count = sorted.size(1);
  if (count <= values) return sorted;
  const at::Tensor share = (at::arange(values, at::kDouble) + 0.5) / static_cast<double>(values);
  return sorted.index_select(1, (share * static_cast<double>(count)).to(at::kLong).clamp_max(count - 1));
}

}  // namespace

PointwisePredictor::PointwisePredictor(std::int64_t count, const std::function<at::Tensor(std::int64_t)>& latent,
                                       std::uint64_t seed, std::int64_t values) {
  require(count > 0 && values > 0,
          [&] { return cat("[pointwise_predictor] found ", count, " latents, expected at least one"); });
  Rng choice(seed, "pointwise.latents");
  std::array<std::vector<at::Tensor>, 2> samples;
  for (const std::int64_t i : draw(choice, count, kLatents)) {
    const at::Tensor x = latent(i);
    Rng places(seed, "pointwise.places", {static_cast<std::uint64_t>(i)});
    const std::array<at::Tensor, 2> parts = {x.narrow(1, 0, 1).flatten(1), x.narrow(1, 1, x.size(1) - 1).flatten(1)};
    for (std::size_t kind = 0; kind < parts.size(); ++kind) {
      const at::Tensor chosen = at::tensor(draw(places, parts[kind].size(1), kPlaces), at::kLong);
      samples[kind].push_back(parts[kind].index_select(1, chosen));
    }
  }
  for (std::size_t kind = 0; kind < samples.size(); ++kind)
    support_[kind] = quantiles(at::cat(samples[kind], 1), values);
}

at::Tensor PointwisePredictor::velocity(const at::Tensor& x, double sigma) const {
  const std::int64_t channels = support_[0].size(0);
  require(x.dim() == 4 && x.size(0) == channels && (x.size(1) == 1 || support_[1].size(1) > 0), [&] {
    return cat("[pointwise_predictor] x: found shape ", shape_string(x.sizes().vec()), ", expected [", channels,
               ", T, H, W]", support_[1].size(1) > 0 ? "" : " with T = 1, as in training");
  });
  require(sigma > 0 && sigma <= 1,
          [&] { return cat("[pointwise_predictor] sigma: found ", sigma, ", expected 0 < sigma <= 1"); });
  const at::Tensor value = x.to(at::kDouble);
  at::Tensor mean = at::empty_like(value);
  for (std::size_t kind = 0; kind < support_.size(); ++kind) {
    const std::int64_t first = kind == 0 ? 0 : 1, slices = kind == 0 ? 1 : x.size(1) - 1;
    for (std::int64_t c = 0; c < channels && slices > 0; ++c) {
      const at::Tensor support = support_[kind][c];
      std::vector<at::Tensor> parts;
      for (const at::Tensor& part : value[c].narrow(0, first, slices).flatten().split(kAtOnce)) {
        const at::Tensor distance = part.unsqueeze(1) - (1 - sigma) * support.unsqueeze(0);
        parts.push_back(at::mv((distance.square() * (-0.5 / (sigma * sigma))).softmax(1), support));
      }
      mean[c].narrow(0, first, slices).copy_(at::cat(parts).view({slices, x.size(2), x.size(3)}));
    }
  }
  return ((value - mean) / sigma).to(at::kFloat);
}

}  // namespace rehyat::evaluate
