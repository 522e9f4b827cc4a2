#include "distill/block_task.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"

namespace rehyat::distill {

BlockTask::BlockTask(const Student& student, const PointSource& source, const DistillConfig& config, std::uint64_t seed,
                     std::function<void()> poll)
    : student_(student),
      source_(source),
      config_(config),
      seed_(seed),
      points_(student, source, compute_type(config.precision, student.rope.cos.device()),
              {config.keep_on_device.value_or(0), config.keep_on_host.value_or(0)}, std::move(poll)) {
  require(source.size(data::Split::train) > 0, [] {
    return "[distill] found a cache without training points, expected at least one; keep more of each trajectory";
  });
  for (auto& p : student_.attention->parameters()) p.requires_grad_(false);
  for (const auto& p : parameters()) p.tensor.requires_grad_(true);
}

std::vector<train::NamedParameter> BlockTask::parameters() {
  std::vector<train::NamedParameter> out;
  const models::SelfAttention& attention = student_.attention;
  for (const auto& [map, name] : {std::pair(attention->phi_q(), "phi_q."), std::pair(attention->phi_k(), "phi_k.")}) {
    if (!map) continue;
    for (const auto& item : map->named_parameters()) out.push_back({name + item.key(), item.value()});
  }
  return out;
}

std::int64_t BlockTask::training_point(std::int64_t step) const {
  Rng rng(seed_, "distill.order", {static_cast<std::uint64_t>(student_.block), static_cast<std::uint64_t>(step)});
  return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(source_.size(data::Split::train))));
}

at::Tensor BlockTask::loss(std::int64_t step, std::int64_t) {
  const auto later = [&](std::int64_t k) -> std::optional<BlockPoints::Key> {
    if (step + k >= config_.train.iterations) return std::nullopt;
    return BlockPoints::Key{data::Split::train, training_point(step + k)};
  };
  const Point point = points_.get({data::Split::train, training_point(step)}, later);
  return loss_of(config_.loss, answer(student_, point), point.target);
}

double BlockTask::mean_error(bool window_only) {
  const at::NoGradGuard no_grad;
  const std::int64_t available = source_.size(data::Split::validation),
                     count = std::min(available, config_.validation_samples);
  require(count > 0, [] {
    return "[distill] found a cache without held-out points, expected at least one; raise cache.validation_share";
  });
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto later = [&](std::int64_t k) -> std::optional<BlockPoints::Key> {
      if (i + k >= count) return std::nullopt;
      // Spread over the split: neighbouring points are of the same trajectory.
      return BlockPoints::Key{data::Split::validation, (i + k) * available / count};
    };
    const Point point = points_.get(*later(0), later);
    // Without the linear branch every row is its softmax branch.
    total += relative_l1(window_only ? models::merge_heads(point.softmax.o) : answer(student_, point), point.target);
  }
  return total / static_cast<double>(count);
}

double BlockTask::error() {
  return mean_error(false);
}

double BlockTask::window_only_error() {
  // Without a softmax branch there is no window: nothing is left. Without a linear one the window is all there is.
  const ops::AttentionKind& kind = *student_.attention->attention().spec.kind;
  return kind.has_softmax() ? mean_error(kind.has_linear()) : 1.0;
}

nlohmann::ordered_json BlockTask::validate() {
  return {{"error", error()}};
}

}  // namespace rehyat::distill
