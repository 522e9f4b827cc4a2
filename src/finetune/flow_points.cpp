#include "finetune/flow_points.h"

#include <algorithm>

#include "core/rng.h"
#include "tensor/random.h"

namespace rehyat::finetune {

std::vector<std::int64_t> held_out_windows(const data::LatentDataset& dataset, std::int64_t count, std::uint64_t seed) {
  std::vector<std::string> names;
  std::vector<std::vector<std::int64_t>> clips;
  for (std::int64_t i = 0; i < dataset.size(data::Split::validation); ++i) {
    const std::string& clip = dataset.clip(data::Split::validation, i);
    const auto at = static_cast<std::size_t>(std::find(names.begin(), names.end(), clip) - names.begin());
    if (at == names.size()) {
      names.push_back(clip);
      clips.emplace_back();
    }
    clips[at].push_back(i);
  }
  for (std::size_t c = 0; c < clips.size(); ++c) Rng(seed, "validation.windows", {c}).shuffle(clips[c]);
  Rng(seed, "validation.clips").shuffle(clips);
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const auto& windows = clips[i % clips.size()];
    out.push_back(windows[i / clips.size() % windows.size()]);
  }
  return out;
}

std::vector<FlowSample> validation_points(const data::LatentDataset& dataset, const FlowTrainingConfig& config,
                                          std::uint64_t seed) {
  std::vector<FlowSample> points;
  if (dataset.size(data::Split::validation) == 0) return points;
  for (const std::int64_t window : held_out_windows(dataset, config.validation_samples, seed)) {
    Rng rng(seed, "validation.point", {points.size()});
    const data::LatentSample sample = dataset.get(data::Split::validation, window);
    FlowSample point{sample.latents, {}, sample.text, 0, sample.caption};
    point.sigma = diffusion::draw_sigma(config.flow, rng);
    point.noise = randn(rng, sample.latents.sizes());
    points.push_back(point);
  }
  return points;
}

FlowBatch joined(const std::vector<FlowSample>& batch) {
  std::vector<at::Tensor> x, text, target;
  std::vector<float> timesteps;
  for (const FlowSample& s : batch) {
    x.push_back(diffusion::noised(s.x0, s.noise, s.sigma));
    text.push_back(s.text);
    target.push_back(diffusion::velocity(s.x0, s.noise));
    timesteps.push_back(static_cast<float>(diffusion::kTimesteps * s.sigma));
  }
  return {at::stack(x), at::tensor(timesteps), at::stack(text), at::stack(target)};
}

at::Tensor velocities(const models::VideoTransformer& model, const FlowBatch& batch,
                      const models::ForwardOptions& options) {
  const auto device = model->parameters().front().device();
  return model->forward(batch.x.to(device), batch.timesteps.to(device), batch.text.to(device), options).to(at::kFloat);
}

at::Tensor velocities(const models::VideoTransformer& model, const std::vector<FlowSample>& batch,
                      const models::ForwardOptions& options) {
  return velocities(model, joined(batch), options);
}

at::Tensor sample_losses(const models::VideoTransformer& model, const FlowBatch& batch,
                         const models::ForwardOptions& options) {
  const at::Tensor v = velocities(model, batch, options);
  return (v - batch.target.to(v.device())).square().flatten(1).mean(1);
}

at::Tensor sample_losses(const models::VideoTransformer& model, const std::vector<FlowSample>& batch,
                         const models::ForwardOptions& options) {
  return sample_losses(model, joined(batch), options);
}

at::Tensor validation_losses(const models::VideoTransformer& model, const std::vector<FlowSample>& points,
                             at::ScalarType compute, const comm::Communicator& world) {
  const at::NoGradGuard no_grad;
  at::Tensor losses = at::zeros({static_cast<std::int64_t>(points.size())}, at::kDouble);
  world.all_or_none([&] {
    for (std::size_t i = static_cast<std::size_t>(world.rank()); i < points.size();
         i += static_cast<std::size_t>(world.size())) {
      losses[static_cast<std::int64_t>(i)] = sample_losses(model, {points[i]}, {.compute = compute}).item<double>();
    }
  });
  world.all_reduce_sum(losses);
  return losses;
}

}  // namespace rehyat::finetune
