#include "finetune/flow_task.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "core/error.h"
#include "core/strings.h"
#include "tensor/random.h"

namespace rehyat::finetune {
namespace {

/// `count` held-out windows by number: one of each clip, then a second of each that has one, and so on.
std::vector<std::int64_t> spread_over_clips(const data::LatentDataset& dataset, std::int64_t count,
                                            std::uint64_t seed) {
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

/// "480x832x81" of latents [C,T,H,W].
std::string shape_name(const at::Tensor& latents) {
  return cat(8 * latents.size(2), 'x', 8 * latents.size(3), 'x', 4 * (latents.size(1) - 1) + 1);
}

/// The model's velocities of a batch, [B,C,T,H,W], float32.
at::Tensor velocities(models::WanTransformer& model, const std::vector<FlowSample>& batch, at::ScalarType compute) {
  const auto device = model->parameters().front().device();
  std::vector<at::Tensor> x, text;
  std::vector<float> timesteps;
  for (const FlowSample& s : batch) {
    x.push_back(diffusion::noised(s.x0, s.noise, s.sigma));
    text.push_back(s.text);
    timesteps.push_back(static_cast<float>(diffusion::kTimesteps * s.sigma));
  }
  models::ForwardOptions options;
  options.compute = compute;
  return model->forward(at::stack(x).to(device), at::tensor(timesteps).to(device), at::stack(text).to(device), options)
      .to(at::kFloat);
}

/// Mean squared error of each sample of a batch, [B], float32.
at::Tensor sample_losses(models::WanTransformer& model, const std::vector<FlowSample>& batch, at::ScalarType compute) {
  std::vector<at::Tensor> target;
  for (const FlowSample& s : batch) target.push_back(diffusion::velocity(s.x0, s.noise));
  const at::Tensor v = velocities(model, batch, compute);
  return (v - at::stack(target).to(v.device())).square().flatten(1).mean(1);
}

}  // namespace

std::vector<FlowSample> validation_points(const data::LatentDataset& dataset, const FlowTrainingConfig& config,
                                          std::uint64_t seed) {
  std::vector<FlowSample> points;
  if (dataset.size(data::Split::validation) == 0) return points;
  for (const std::int64_t window : spread_over_clips(dataset, config.validation_samples, seed)) {
    Rng rng(seed, "validation.point", {points.size()});
    const data::LatentSample sample = dataset.get(data::Split::validation, window);
    FlowSample point{sample.latents, {}, sample.text, 0, sample.caption};
    point.sigma = diffusion::draw_sigma(config.flow, rng);
    point.noise = randn(rng, sample.latents.sizes());
    points.push_back(point);
  }
  return points;
}

std::vector<FlowSample> noised_clips(const data::LatentDataset& dataset, std::int64_t count, double sigma,
                                     std::uint64_t seed) {
  std::vector<FlowSample> out;
  if (dataset.size(data::Split::validation) == 0) return out;
  for (const std::int64_t window : spread_over_clips(dataset, count, seed)) {
    Rng rng(seed, "validation.noised", {out.size()});
    const data::LatentSample sample = dataset.get(data::Split::validation, window);
    out.push_back({sample.latents, randn(rng, sample.latents.sizes()), sample.text, sigma, sample.caption});
  }
  return out;
}

at::Tensor denoised(models::WanTransformer& model, const FlowSample& sample, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  const at::Tensor v = velocities(model, {sample}, compute)[0].to(at::kCPU);
  return diffusion::noised(sample.x0, sample.noise, sample.sigma) - sample.sigma * v;
}

at::Tensor validation_losses(models::WanTransformer& model, const std::vector<FlowSample>& points,
                             at::ScalarType compute, const comm::Communicator& world) {
  const at::NoGradGuard no_grad;
  at::Tensor losses = at::zeros({static_cast<std::int64_t>(points.size())}, at::kDouble);
  for (std::size_t i = static_cast<std::size_t>(world.rank()); i < points.size();
       i += static_cast<std::size_t>(world.size())) {
    losses[static_cast<std::int64_t>(i)] = sample_losses(model, {points[i]}, compute).item<double>();
  }
  world.all_reduce_sum(losses);
  return losses;
}

double validation_loss(models::WanTransformer& model, const std::vector<FlowSample>& points, at::ScalarType compute,
                       const comm::Communicator& world) {
  return validation_losses(model, points, compute, world).mean().item<double>();
}

double pointwise_loss(const data::LatentDataset& dataset, const std::vector<FlowSample>& points, std::uint64_t seed,
                      const comm::Communicator& world) {
  double total = 0;
  world.together([&] {
    if (world.rank() != 0 || points.empty()) return;
    const PointwisePredictor predictor(
        dataset.size(data::Split::train), [&](std::int64_t i) { return dataset.get(data::Split::train, i).latents; },
        seed);
    for (const FlowSample& p : points) {
      const at::Tensor v = predictor.velocity(diffusion::noised(p.x0, p.noise, p.sigma), p.sigma);
      total += (v - diffusion::velocity(p.x0, p.noise)).square().mean().item<double>();
    }
    total /= static_cast<double>(points.size());
  });
  return world.all_gather(total).front();
}

FlowTask::FlowTask(models::WanTransformer model, const data::LatentDataset& dataset, const FlowTrainingConfig& config,
                   std::uint64_t seed, const std::string& stage, const comm::Communicator& world)
    : model_(std::move(model)),
      dataset_(dataset),
      config_(config),
      seed_(seed),
      stream_(stage + ".sample"),
      compute_(compute_type(config.precision, model_->parameters().front().device())),
      world_(world) {
  // Contiguous shares; they may differ by one, and a rank may have none.
  begin_ = config.global_batch * world.rank() / world.size();
  end_ = config.global_batch * (world.rank() + 1) / world.size();
  validation_ = validation_points(dataset, config, seed);
  require(!validation_.empty(), [] {
    return "[train] found no held-out clip, expected at least one; raise data.validation_share or add videos";
  });
}

std::vector<train::NamedParameter> FlowTask::parameters() {
  std::vector<train::NamedParameter> out;
  for (const auto& item : model_->named_parameters()) {
    item.value().requires_grad_(true);
    out.push_back({item.key(), item.value()});
  }
  return out;
}

std::int64_t FlowTask::micro_batches() const {
  // The same on every rank: what the largest share needs.
  const std::int64_t largest = (config_.global_batch + world_.size() - 1) / world_.size();
  return (largest + config_.micro_batch - 1) / config_.micro_batch;
}

const std::vector<std::int64_t>& FlowTask::samples_of(std::int64_t step) const {
  // The bucket of a random sample: buckets without one never come.
  Rng rng(seed_, stream_ + ".bucket", {static_cast<std::uint64_t>(step)});
  const auto any = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(dataset_.size(data::Split::train))));
  return dataset_.of_bucket(data::Split::train, dataset_.bucket(data::Split::train, any));
}

FlowSample FlowTask::draw(std::int64_t step, std::int64_t index) const {
  Rng rng(seed_, stream_, {static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(index)});
  const std::vector<std::int64_t>& samples = samples_of(step);
  const data::LatentSample sample = dataset_.get(data::Split::train, samples[rng.below(samples.size())]);
  FlowSample out{sample.latents,
                 {},
                 rng.uniform() < config_.caption_dropout ? dataset_.empty_text() : sample.text,
                 0,
                 sample.caption};
  out.sigma = diffusion::draw_sigma(config_.flow, rng);
  out.noise = randn(rng, sample.latents.sizes());
  return out;
}

at::Tensor FlowTask::loss(std::int64_t step, std::int64_t micro_batch) {
  const std::int64_t from = begin_ + micro_batch * config_.micro_batch, to = std::min(from + config_.micro_batch, end_);
  // A rank without a sample still takes part: 0 times a parameter has a gradient of 0.
  if (from >= to) return model_->parameters().front().sum() * 0;
  std::vector<FlowSample> batch;
  for (std::int64_t i = from; i < to; ++i) batch.push_back(draw(step, i));
  return sample_losses(model_, batch, compute_).sum() / static_cast<double>(config_.global_batch);
}

nlohmann::ordered_json FlowTask::validate() {
  const at::Tensor losses = validation_losses(model_, validation_, compute_, world_);
  nlohmann::ordered_json out = {{"validation_loss", losses.mean().item<double>()}};
  if (dataset_.buckets() == 1) return out;
  std::map<std::string, std::vector<double>> buckets;
  for (std::size_t i = 0; i < validation_.size(); ++i)
    buckets[shape_name(validation_[i].x0)].push_back(losses[static_cast<std::int64_t>(i)].item<double>());
  for (const auto& [name, values] : buckets)
    out["validation_loss_" + name] =
        std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return out;
}

}  // namespace rehyat::finetune
