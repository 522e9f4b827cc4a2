#include "finetune/flow_task.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "comm/idle_ranks.h"
#include "core/error.h"
#include "core/strings.h"
#include "models/hybrid.h"
#include "tensor/random.h"

namespace rehyat::finetune {
namespace {

/// "480x832x81" of latents [C,T,H,W].
std::string shape_name(const at::Tensor& latents, const models::VideoGeometry& geometry) {
  const auto video = geometry.video({latents.size(1), latents.size(2), latents.size(3)});
  return cat(video[1], 'x', video[2], 'x', video[0]);
}

/// What the names of trained parameters begin with.
std::vector<std::string> trained_prefixes(const models::VideoTransformer& model, Trainable trainable) {
  if (trainable == Trainable::all) return {""};
  std::vector<std::string> out;
  for (const auto& item : models::block_map_of(model)) {
    const std::string attention = model->attention_name(item.first);
    switch (trainable) {
      case Trainable::blocks:
        out.push_back(attention.substr(0, attention.rfind('.') + 1));
        break;
      case Trainable::attention:
        out.push_back(attention + ".");
        break;
      default:
        out.push_back(attention + ".phi_");
    }
  }
  return out;
}

/// The trained parameters, which want gradients from now on; no other does.
std::vector<train::NamedParameter> choose_trained(const models::VideoTransformer& model, Trainable trainable,
                                                  at::ScalarType compute) {
  const std::vector<std::string> prefixes = trained_prefixes(model, trainable);
  const std::vector<Replica*> replicas = models::replicas_of(*model);
  const auto replica_of = [&](const at::Tensor& tensor) {
    const auto found = std::find_if(replicas.begin(), replicas.end(),
                                    [&](const Replica* replica) { return replica->weight().is_same(tensor); });
    return found == replicas.end() ? nullptr : *found;
  };
  std::vector<train::NamedParameter> out;
  for (const auto& item : model->named_parameters()) {
    const bool trained = std::any_of(prefixes.begin(), prefixes.end(),
                                     [&](const std::string& prefix) { return item.key().starts_with(prefix); });
    item.value().requires_grad_(trained);
    if (trained) out.push_back({item.key(), item.value(), replica_of(item.value()), compute});
  }
  require(!out.empty(), [] {
    return "[train] trainable: found no parameter of that kind in the model, expected at least one; convert a block, "
           "or use trainable=all";
  });
  return out;
}

}  // namespace

FlowTask::FlowTask(models::VideoTransformer model, const data::LatentDataset& dataset,
                   const models::VideoGeometry& geometry, const FlowTrainingConfig& config, std::uint64_t seed,
                   const std::string& stage, const comm::Communicator& world)
    : model_(std::move(model)),
      parameters_(choose_trained(model_, config.trainable,
                                 compute_type(config.precision, model_->parameters().front().device()))),
      dataset_(dataset),
      geometry_(geometry),
      config_(config),
      seed_(seed),
      stream_(stage + ".sample"),
      world_(world),
      feed_(
          model_->parameters().front().device(), [this](Turn turn) { return samples(turn); },
          [this](Turn turn) { return after(turn); }, [this] { world_.poll(); }) {
  forward_.compute = compute_type(config.precision, model_->parameters().front().device());
  forward_.recompute = config.decided_recompute();
  // Contiguous shares; they may differ by one, and a rank may have none.
  begin_ = config.global_batch * world.rank() / world.size();
  end_ = config.global_batch * (world.rank() + 1) / world.size();
  comm::warn_of_idle_ranks({cat('[', stage, ']'), config.global_batch, "samples a step", stage + ".global_batch"},
                           world);
  world.all_or_none([&] {
    validation_ = validation_points(dataset, config, seed);
    require(!validation_.empty(), [] {
      return "[train] found no held-out clip, expected at least one; raise data.validation_share or add videos";
    });
  });
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

std::pair<std::int64_t, std::int64_t> FlowTask::share(Turn turn) const {
  const std::int64_t from = begin_ + turn.micro_batch * config_.micro_batch;
  return {from, std::min(from + config_.micro_batch, end_)};
}

std::vector<FlowSample> FlowTask::samples(Turn turn) const {
  std::vector<FlowSample> out;
  const auto [from, to] = share(turn);
  for (std::int64_t i = from; i < to; ++i) out.push_back(draw(turn.step, i));
  return out;
}

std::optional<Turn> FlowTask::after(Turn turn) const {
  const Turn same_step{turn.step, turn.micro_batch + 1};
  const auto [from, to] = share(same_step);
  if (from < to) return same_step;
  if (turn.step + 1 >= config_.train.iterations) return std::nullopt;
  return Turn{turn.step + 1, 0};
}

at::Tensor FlowTask::loss(std::int64_t step, std::int64_t micro_batch) {
  const Turn turn{step, micro_batch};
  const auto [from, to] = share(turn);
  // A rank without a sample still takes part; no parameter has a gradient of it.
  if (from >= to) return at::zeros({}, parameters_.front().tensor.options()).requires_grad_(true);
  return sample_losses(model_, feed_.get(turn), forward_).sum() / static_cast<double>(config_.global_batch);
}

nlohmann::ordered_json FlowTask::validate() {
  const at::Tensor losses = validation_losses(model_, validation_, forward_.compute, world_);
  nlohmann::ordered_json out = {{"validation_loss", losses.mean().item<double>()}};
  if (dataset_.buckets() == 1) return out;
  std::map<std::string, std::vector<double>> buckets;
  for (std::size_t i = 0; i < validation_.size(); ++i)
    buckets[shape_name(validation_[i].x0, geometry_)].push_back(losses[static_cast<std::int64_t>(i)].item<double>());
  for (const auto& [name, values] : buckets)
    out["validation_loss_" + name] =
        std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return out;
}

}  // namespace rehyat::finetune
