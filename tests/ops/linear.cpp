#include "ops/linear.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "core/rng.h"
#include "tensor/random.h"

namespace rehyat::ops {
namespace {

struct LinearCase {
  explicit LinearCase(std::vector<bool> wants = {true, true, true, true, true}) {
    Rng rng(74, "test.linear");
    const auto draw = [&](at::IntArrayRef sizes, bool wanted) {
      return randn(rng, sizes).to(at::kDouble).set_requires_grad(wanted);
    };
    x = draw({2, 3, 4}, wants[0]);
    first = {draw({5, 4}, wants[1]), draw({5}, wants[2])};
    second = {draw({4, 5}, wants[3]), draw({4}, wants[4])};
  }
  std::vector<at::Tensor> inputs() const { return {x, first.weight, first.bias, second.weight, second.bias}; }

  at::Tensor x;
  LinearWeights first, second;
};

void expect_equal(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_EQ(found[i].defined(), expected[i].defined()) << i;
    if (found[i].defined()) {
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(), 1e-13) << i;
    }
  }
}

/// The gradients of those of `inputs` that want one, for the sum of the squares of `results`.
std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& results, const std::vector<at::Tensor>& inputs) {
  at::Tensor sum = at::zeros({}, at::kDouble);
  for (const at::Tensor& y : results) sum = sum + y.square().sum();
  std::vector<at::Tensor> wanted;
  for (const at::Tensor& x : inputs) {
    if (x.requires_grad()) wanted.push_back(x);
  }
  return torch::autograd::grad({sum}, wanted, {}, true, false, true);
}

TEST(Linear, EachIsALinearLayerWithItsGradients) {
  const auto at_once = [](const LinearCase& in) {
    return linear_each(in.x, {in.first, {in.second.weight.t(), in.first.bias}, in.first});
  };
  const auto one_by_one = [](const LinearCase& in) -> std::vector<at::Tensor> {
    return {at::linear(in.x, in.first.weight, in.first.bias), at::linear(in.x, in.second.weight.t(), in.first.bias),
            at::linear(in.x, in.first.weight, in.first.bias)};
  };
  for (int which = 1; which < 16; ++which) {
    const LinearCase in({which % 2 == 1, (which >> 1) % 2 == 1, (which >> 2) % 2 == 1, (which >> 3) % 2 == 1, false});
    const auto found = at_once(in), expected = one_by_one(in);
    expect_equal(found, expected);
    expect_equal(gradients_of(found, in.inputs()), gradients_of(expected, in.inputs()));
    // Of three results only one is used.
    if (which == 15) expect_equal(gradients_of({found[1]}, in.inputs()), gradients_of({expected[1]}, in.inputs()));
  }
}

TEST(Linear, EachWithoutGradients) {
  const LinearCase in;
  const at::NoGradGuard no_grad;
  const auto found = linear_each(in.x, {in.first});
  expect_equal(found, {at::linear(in.x, in.first.weight, in.first.bias)});
  EXPECT_FALSE(found[0].requires_grad());
}

TEST(Linear, FeedForwardIsItsFormula) {
  const LinearCase in;
  const at::Tensor inner = at::matmul(in.x, in.first.weight.t()) + in.first.bias;
  const at::Tensor gelu = 0.5 * inner * (1 + at::tanh(std::sqrt(2 / M_PI) * (inner + 0.044715 * inner.pow(3))));
  const at::Tensor expected = at::matmul(gelu, in.second.weight.t()) + in.second.bias;
  const at::Tensor found = feed_forward(in.x, in.first, in.second);
  expect_equal({found}, {expected});
  expect_equal(gradients_of({found}, in.inputs()), gradients_of({expected}, in.inputs()));
  const at::NoGradGuard no_grad;
  expect_equal({feed_forward(in.x, in.first, in.second)}, {expected});
}

}  // namespace
}  // namespace rehyat::ops
