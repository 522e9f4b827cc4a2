#include "evaluate/held_out.h"

#include "core/progress.h"
#include "core/rng.h"
#include "diffusion/flow_matching.h"
#include "evaluate/pointwise_predictor.h"
#include "tensor/random.h"

namespace rehyat::evaluate {

using finetune::FlowSample;

namespace {

/// The loss of the pointwise predictor over these points, on this rank alone.
double loss_without_context(const data::LatentDataset& dataset, const std::vector<FlowSample>& points,
                            std::uint64_t seed) {
  if (points.empty()) return 0;
  const PointwisePredictor predictor(
      dataset.size(data::Split::train), [&](std::int64_t i) { return dataset.get(data::Split::train, i).latents; },
      seed);
  double total = 0;
  for (const FlowSample& p : points) {
    const at::Tensor v = predictor.velocity(diffusion::noised(p.x0, p.noise, p.sigma), p.sigma);
    total += (v - diffusion::velocity(p.x0, p.noise)).square().mean().item<double>();
  }
  return total / static_cast<double>(points.size());
}

}  // namespace

HeldOutLosses held_out_losses(const std::string& title, const std::vector<Candidate>& candidates,
                              const data::LatentDataset& dataset, const finetune::FlowTrainingConfig& config,
                              std::uint64_t seed, const comm::Communicator& world) {
  Progress progress(title, static_cast<std::int64_t>(candidates.size()) + 1, "models");
  std::vector<FlowSample> points;
  HeldOutLosses out;
  world.all_or_none([&] {
    points = finetune::validation_points(dataset, config, seed);
    if (world.rank() == 0) out.pointwise = loss_without_context(dataset, points, seed);
  });
  out.pointwise = world.all_gather(out.pointwise).front();
  progress.advance(1, "no context");
  for (const Candidate& candidate : candidates) {
    models::VideoTransformer model = candidate.open();
    const auto compute = compute_type(config.precision, model->parameters().front().device());
    out.models.push_back(validation_loss(model, points, compute, world));
    progress.advance(1, candidate.name);
  }
  progress.finish();
  return out;
}

double validation_loss(const models::VideoTransformer& model, const std::vector<FlowSample>& points,
                       at::ScalarType compute, const comm::Communicator& world) {
  return finetune::validation_losses(model, points, compute, world).mean().item<double>();
}

double pointwise_loss(const data::LatentDataset& dataset, const finetune::FlowTrainingConfig& config,
                      std::uint64_t seed, const comm::Communicator& world) {
  double loss = 0;
  world.all_or_none([&] {
    if (world.rank() == 0)
      loss = loss_without_context(dataset, finetune::validation_points(dataset, config, seed), seed);
  });
  return world.all_gather(loss).front();
}

std::vector<FlowSample> noised_clips(const data::LatentDataset& dataset, std::int64_t count, double sigma,
                                     std::uint64_t seed) {
  std::vector<FlowSample> out;
  if (dataset.size(data::Split::validation) == 0) return out;
  for (const std::int64_t window : finetune::held_out_windows(dataset, count, seed)) {
    Rng rng(seed, "validation.noised", {out.size()});
    const data::LatentSample sample = dataset.get(data::Split::validation, window);
    out.push_back({sample.latents, randn(rng, sample.latents.sizes()), sample.text, sigma, sample.caption});
  }
  return out;
}

at::Tensor denoised(const models::VideoTransformer& model, const FlowSample& sample, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  const at::Tensor v = finetune::velocities(model, {sample}, {.compute = compute})[0].to(at::kCPU);
  return diffusion::noised(sample.x0, sample.noise, sample.sigma) - sample.sigma * v;
}

}  // namespace rehyat::evaluate
