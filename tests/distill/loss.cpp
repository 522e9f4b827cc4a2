#include "distill/loss.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include "ops/cuda/fused_distance.h"
#include "tensor/random.h"

namespace rehyat::distill {
namespace {

at::Tensor gradient_of(const at::Tensor& loss, const at::Tensor& x) {
  return torch::autograd::grad({loss}, {x})[0];
}

TEST(Loss, AreTheMeansOfTheirFormulas) {
  const at::Tensor student = at::tensor({0.5, -3.0, 2.0, 1.0}), teacher = at::tensor({0.0, 0.0, 2.0, 1.5});
  EXPECT_NEAR(loss_of(Loss::l1, student, teacher).item<double>(), (0.5 + 3 + 0 + 0.5) / 4, 1e-7);
  EXPECT_NEAR(loss_of(Loss::mse, student, teacher).item<double>(), (0.25 + 9 + 0 + 0.25) / 4, 1e-7);
  EXPECT_NEAR(loss_of(Loss::huber, student, teacher).item<double>(), (0.125 + 2.5 + 0 + 0.125) / 4, 1e-7);
}

TEST(Loss, OnAGpuTheKernelAndTheOperatorsAgree) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  Rng rng(4, "test.loss");
  const auto draw = [&] { return (3 * randn(rng, {1, 4099, 40})).to(at::kCUDA).to(at::kBFloat16); };
  const at::Tensor teacher = draw(), student = draw();
  student.narrow(1, 100, 50).copy_(teacher.narrow(1, 100, 50));  // a difference of 0 has the slope 0
  student.requires_grad_(true);
  ASSERT_TRUE(ops::has_fused_distance(student, teacher));
  for (const Loss loss : {Loss::l1, Loss::mse, Loss::huber}) {
    const at::Tensor fused = loss_of(loss, student, teacher), composed = composed_loss(loss, student, teacher);
    EXPECT_EQ(fused.scalar_type(), at::kFloat);
    EXPECT_NEAR(fused.item<double>(), composed.item<double>(), 1e-5 * composed.item<double>());
    EXPECT_TRUE(at::equal(loss_of(loss, student, teacher), fused));  // the same bits each time
    for (const double factor : {1.0, 0.25}) {
      const at::Tensor one = gradient_of(factor * loss_of(loss, student, teacher), student),
                       other = gradient_of(factor * composed_loss(loss, student, teacher), student);
      EXPECT_TRUE(at::allclose(one.to(at::kFloat), other.to(at::kFloat), 1.0 / 128, 0));
    }
    EXPECT_FALSE(loss_of(loss, student.detach(), teacher).requires_grad());
  }
  at::Tensor bad = student.detach().clone();
  bad.view({-1})[77] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(loss_of(Loss::l1, bad, teacher).item<double>()));
}

}  // namespace
}  // namespace rehyat::distill
