#include "train/reduce.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>

namespace rehyat::train {
namespace {

constexpr std::int64_t kBucketBytes = 25'000'000;

void reduce_bucket(const std::vector<at::Tensor>& gradients, const comm::Communicator& world) {
  std::vector<at::Tensor> flat;
  for (const at::Tensor& g : gradients) flat.push_back(g.reshape({-1}));
  at::Tensor bucket = at::cat(flat);
  world.all_reduce_sum(bucket);
  std::int64_t at = 0;
  for (const at::Tensor& g : gradients) {
    at::Tensor target = g;
    target.copy_(bucket.narrow(0, at, g.numel()).view_as(g));
    at += g.numel();
  }
}

std::vector<at::Tensor> gradients_of(const std::vector<NamedParameter>& parameters) {
  std::vector<at::Tensor> out;
  for (const NamedParameter& p : parameters) {
    if (p.tensor.grad().defined()) out.push_back(p.tensor.grad());
  }
  return out;
}

}  // namespace

void reduce_gradients(const std::vector<NamedParameter>& parameters, at::Tensor& loss,
                      const comm::Communicator& world) {
  const at::NoGradGuard no_grad;
  for (const NamedParameter& p : parameters) {
    if (!p.tensor.grad().defined()) p.tensor.mutable_grad() = at::zeros(p.tensor.sizes(), p.tensor.options());
  }
  if (world.size() == 1) return;
  std::vector<at::Tensor> bucket;
  std::int64_t bytes = 0;
  for (const NamedParameter& p : parameters) {
    bucket.push_back(p.tensor.grad());
    bytes += static_cast<std::int64_t>(p.tensor.grad().nbytes());
    if (bytes < kBucketBytes) continue;
    reduce_bucket(bucket, world);
    bucket.clear();
    bytes = 0;
  }
  if (!bucket.empty()) reduce_bucket(bucket, world);
  world.all_reduce_sum(loss);
}

at::Tensor gradient_norm(const std::vector<NamedParameter>& parameters) {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = gradients_of(parameters);
  if (gradients.empty()) return at::zeros({}, parameters.front().tensor.options().dtype(at::kDouble));
  return at::stack(at::_foreach_norm(gradients, 2)).to(at::kDouble).square().sum().sqrt();
}

void scale_gradients(const std::vector<NamedParameter>& parameters, double factor) {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> gradients = gradients_of(parameters);
  if (!gradients.empty()) at::_foreach_mul_(gradients, factor);
}

}  // namespace rehyat::train
