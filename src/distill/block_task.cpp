#include "distill/block_task.h"

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::distill {
namespace {

at::Tensor split_heads(const at::Tensor& y, std::int64_t heads) {
  return y.unflatten(-1, {heads, -1}).transpose(1, 2);
}

}  // namespace

BlockTask::BlockTask(std::int64_t block, models::SelfAttention student, ops::RopeTables rope, const PointSource& source,
                     const DistillConfig& config, std::uint64_t seed)
    : block_(block),
      slices_(source.latent()[0]),
      student_(std::move(student)),
      rope_(std::move(rope)),
      source_(source),
      config_(config),
      seed_(seed),
      compute_(compute_type(config.precision, rope_.cos.device())) {
  require(source.size(data::Split::train) > 0, [] {
    return "[distill] found a cache without training points, expected at least one; keep more of each trajectory";
  });
  for (auto& p : student_->parameters()) p.requires_grad_(false);
  for (const auto& p : parameters()) p.tensor.requires_grad_(true);
}

std::vector<train::NamedParameter> BlockTask::parameters() {
  std::vector<train::NamedParameter> out;
  for (const auto& [map, name] : {std::pair(student_->phi_q(), "phi_q."), std::pair(student_->phi_k(), "phi_k.")}) {
    if (!map) continue;
    for (const auto& item : map->named_parameters()) out.push_back({name + item.key(), item.value()});
  }
  return out;
}

BlockTask::Constants BlockTask::constants(data::Split split, std::int64_t index, const models::Heads& heads) const {
  Constants out;
  out.target =
      source_.has_targets()
          ? split_heads(source_.target(split, index, block_).to(heads.q.device()).unsqueeze(0), student_->head_count())
          : ops::softmax_attention(heads.q, heads.k, heads.v);  // as the teacher does it
  out.softmax = ops::softmax_branch(heads.q, heads.k, heads.v, slices_, student_->attention().spec);
  return out;
}

BlockTask::Point BlockTask::point(data::Split split, std::int64_t index) {
  const at::NoGradGuard no_grad;
  Point out;
  const at::Tensor input = source_.input(split, index, block_).to(rope_.cos.device()).unsqueeze(0);
  out.heads = student_->heads(input.to(compute_), rope_);
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

at::Tensor BlockTask::student(const Point& p) {
  return split_heads(student_->attend(p.heads, slices_, models::AttentionForm::parallel, p.constants.softmax),
                     student_->head_count());
}

at::Tensor BlockTask::loss(std::int64_t step, std::int64_t) {
  Rng rng(seed_, "distill.order", {static_cast<std::uint64_t>(block_), static_cast<std::uint64_t>(step)});
  const auto count = static_cast<std::uint64_t>(source_.size(data::Split::train));
  const Point p = point(data::Split::train, static_cast<std::int64_t>(rng.below(count)));
  return loss_of(config_.loss, student(p), p.constants.target);
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
    total += relative_l1(window_only ? p.constants.softmax.o : student(p), p.constants.target);
  }
  return total / static_cast<double>(count);
}

double BlockTask::error() {
  return mean_error(false);
}

double BlockTask::window_only_error() {
  // Without a softmax branch there is no window: nothing is left. Without a linear one the window is all there is.
  const ops::AttentionKind& kind = *student_->attention().spec.kind;
  return kind.has_softmax() ? mean_error(kind.has_linear()) : 1.0;
}

nlohmann::ordered_json BlockTask::validate() {
  return {{"error", error()}};
}

}  // namespace rehyat::distill
