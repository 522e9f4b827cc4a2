#include "distill/block_task.h"

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"

namespace rehyat::distill {
namespace {

at::Tensor split_heads(const at::Tensor& y, std::int64_t heads) {
  return y.unflatten(-1, {heads, -1}).transpose(1, 2);
}

}  // namespace

BlockTask::BlockTask(std::int64_t block, models::SelfAttention student, ops::RopeTables rope,
                     const data::ActivationCache& cache, const DistillConfig& config, std::uint64_t seed)
    : block_(block),
      slices_(cache.latent()[0]),
      student_(std::move(student)),
      rope_(std::move(rope)),
      cache_(cache),
      config_(config),
      seed_(seed) {
  require(cache.size(data::Split::train) > 0, [] {
    return "[distill] found a cache without training points, expected at least one; keep more of each trajectory";
  });
  for (auto& p : student_->parameters()) p.requires_grad_(false);
  for (const auto& p : parameters()) p.tensor.requires_grad_(true);
}

std::vector<train::NamedParameter> BlockTask::parameters() {
  std::vector<train::NamedParameter> out;
  for (const auto& [map, name] : {std::pair(student_->phi_q(), "phi_q."), std::pair(student_->phi_k(), "phi_k.")}) {
    for (const auto& item : map->named_parameters()) out.push_back({name + item.key(), item.value()});
  }
  return out;
}

BlockTask::Point BlockTask::point(data::Split split, std::int64_t index) const {
  const at::NoGradGuard no_grad;
  const auto device = rope_.cos.device();
  const at::Tensor input = cache_.input(split, index, block_).to(device).unsqueeze(0);
  Point out;
  out.heads = student_->heads(input.to(at::kFloat), rope_);
  out.target = cache_.has_targets()
                   ? split_heads(cache_.target(split, index, block_).to(device).unsqueeze(0), student_->head_count())
                   : at::scaled_dot_product_attention(out.heads.q, out.heads.k, out.heads.v);
  return out;
}

at::Tensor BlockTask::loss(std::int64_t step, std::int64_t) {
  Rng rng(seed_, "distill.order", {static_cast<std::uint64_t>(block_), static_cast<std::uint64_t>(step)});
  const auto index = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(cache_.size(data::Split::train))));
  const Point p = point(data::Split::train, index);
  const at::Tensor y =
      split_heads(student_->attend(p.heads, slices_, models::AttentionForm::parallel), student_->head_count());
  return loss_of(config_.loss, y, p.target);
}

double BlockTask::mean_error(bool window_only) {
  const at::NoGradGuard no_grad;
  const std::int64_t available = cache_.size(data::Split::validation),
                     count = std::min(available, config_.validation_samples);
  require(count > 0, [] {
    return "[distill] found a cache without held-out points, expected at least one; raise cache.validation_share";
  });
  double total = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    // Spread over the split: neighbouring points are of the same trajectory.
    const Point p = point(data::Split::validation, i * available / count);
    at::Tensor y;
    if (window_only) {
      // No feature has any mass, so every row is its softmax branch.
      const at::Tensor none = at::zeros({1, student_->head_count(), p.heads.q.size(2), 1}, p.heads.q.options());
      y = ops::hybrid_attention(p.heads.q, p.heads.k, p.heads.v, none, none, slices_, student_->attention().spec);
    } else {
      y = split_heads(student_->attend(p.heads, slices_, models::AttentionForm::parallel), student_->head_count());
    }
    total += relative_l1(y, p.target);
  }
  return total / static_cast<double>(count);
}

double BlockTask::error() {
  return mean_error(false);
}

double BlockTask::window_only_error() {
  // A linear attention has no window: nothing is left without its branch.
  return student_->attention().spec.kind == ops::AttentionKind::linear ? 1.0 : mean_error(true);
}

nlohmann::ordered_json BlockTask::validate() {
  return {{"error", error()}};
}

}  // namespace rehyat::distill
