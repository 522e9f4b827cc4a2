#include "distill/block_task.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"

namespace rehyat::distill {

BlockTask::BlockTask(Student student, const PointSource& source, const DistillConfig& config, std::uint64_t seed)
    : student_(std::move(student)),
      source_(source),
      config_(config),
      seed_(seed),
      compute_(compute_type(config.precision, student_.rope.cos.device())) {
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

BlockTask::Constants BlockTask::constants(data::Split split, std::int64_t index, const models::Heads& heads) const {
  Constants out;
  out.target = source_.has_targets() ? source_.target(split, index, student_.block).to(heads.q.device()).unsqueeze(0)
                                     : models::softmax_attention(heads);  // as the teacher does it
  out.softmax = ops::softmax_branch(heads.q, heads.k, heads.v, student_.slices, student_.attention->attention().spec);
  return out;
}

BlockTask::Point BlockTask::point(data::Split split, std::int64_t index) {
  const at::NoGradGuard no_grad;
  Point out;
  const auto start = std::chrono::steady_clock::now();
  const at::Tensor input = source_.input(split, index, student_.block).to(student_.rope.cos.device()).unsqueeze(0);
  seconds_of_waiting_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  out.heads = student_.attention->heads(input.to(compute_), student_.rope);
  const auto found = split == data::Split::train ? constants_.find(index) : constants_.end();
  if (found != constants_.end()) {
    out.constants = found->second;
    return out;
  }
  out.constants = constants(split, index, out.heads);
  const std::int64_t bytes = out.constants.softmax.bytes() + static_cast<std::int64_t>(out.constants.target.nbytes());
  if (split == data::Split::train && constants_bytes_ + bytes <= config_.keep_softmax) {
    constants_.emplace(index, out.constants);
    constants_bytes_ += bytes;
  }
  return out;
}

at::Tensor BlockTask::answer(const Point& p) {
  return student_.attention->attend(p.heads, student_.slices, models::AttentionForm::parallel, p.constants.softmax);
}

at::Tensor BlockTask::loss(std::int64_t step, std::int64_t) {
  Rng rng(seed_, "distill.order", {static_cast<std::uint64_t>(student_.block), static_cast<std::uint64_t>(step)});
  const auto count = static_cast<std::uint64_t>(source_.size(data::Split::train));
  const Point p = point(data::Split::train, static_cast<std::int64_t>(rng.below(count)));
  return loss_of(config_.loss, answer(p), p.constants.target);
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
    // Spread over the split: neighbouring points are of the same trajectory.
    const Point p = point(data::Split::validation, i * available / count);
    // Without the linear branch every row is its softmax branch.
    total += relative_l1(window_only ? models::merge_heads(p.constants.softmax.o) : answer(p), p.constants.target);
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
