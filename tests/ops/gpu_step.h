#pragma once

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <functional>
#include <string>
#include <vector>

#include "core/rng.h"
#include "core/strings.h"
#include "tensor/random.h"

/// A step and its gradients on a GPU against the same step on the CPU in float64, on the same (rounded) inputs.
namespace rehyat::ops::testing {

using Tensors = std::vector<at::Tensor>;
using Step = std::function<Tensors(const Tensors&)>;

inline at::Tensor drawn(Rng& rng, at::IntArrayRef sizes, at::ScalarType type, double factor = 1, double level = 0) {
  return (randn(rng, sizes) * factor + level).to(at::kCUDA, type);
}

inline double error_of(const at::Tensor& found, const at::Tensor& exact) {
  const at::Tensor wide = found.to(at::kCPU, at::kDouble);
  return ((wide - exact).abs().max() / exact.abs().max().clamp_min(1e-12)).item<double>();
}

inline at::Tensor leaf(const at::Tensor& x, bool exact, bool wants) {
  const at::Tensor same = exact ? x.detach().to(at::kCPU, at::kDouble) : x.detach();
  return same.set_requires_grad(wants);
}

/// Results, then the gradients of the inputs that want one, for upstream gradients drawn once.
inline Tensors run_step(const Step& step, const Tensors& inputs, const std::vector<bool>& wants, bool exact) {
  Tensors leaves;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    leaves.push_back(inputs[i].defined() ? leaf(inputs[i], exact, wants[i]) : at::Tensor());
  const Tensors results = step(leaves);
  Tensors roots, upstream, found;
  Rng rng(5, "test.rows.upstream");
  for (const at::Tensor& y : results) {
    found.push_back(y.detach());
    const at::Tensor dy = randn(rng, y.sizes());
    if (!y.requires_grad()) continue;
    roots.push_back(y);
    upstream.push_back(exact ? dy.to(at::kDouble) : dy.to(at::kCUDA, y.scalar_type()));
  }
  if (!roots.empty()) torch::autograd::backward(roots, upstream);
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    if (leaves[i].defined() && wants[i]) found.push_back(leaves[i].grad());
  }
  return found;
}

/// Of numbers that were rounded to their own type once; upstream gradients in half precision differ from the exact
/// run's by a rounding of their own.
inline double tolerance_of(at::ScalarType type, at::ScalarType products) {
  if (products == at::kFloat) return 2e-5;
  if (type == at::kFloat) return products == at::kHalf ? 2e-3 : 1.2e-2;
  return products == at::kHalf ? 3e-3 : 2e-2;
}

inline void expect_step(const Step& step, const Tensors& inputs, const std::vector<bool>& wants,
                        at::ScalarType products, const std::string& name) {
  const Tensors found = run_step(step, inputs, wants, false), exact = run_step(step, inputs, wants, true);
  ASSERT_EQ(found.size(), exact.size()) << name;
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_TRUE(found[i].defined() && exact[i].defined()) << name << ", tensor " << i;
    EXPECT_TRUE(found[i].is_cuda()) << name;
    ASSERT_EQ(found[i].sizes(), exact[i].sizes()) << name << ", tensor " << i;
    EXPECT_LE(error_of(found[i], exact[i]), tolerance_of(found[i].scalar_type(), products))
        << name << ", tensor " << i << ' ' << at::toString(products);
  }
}

}  // namespace rehyat::ops::testing
