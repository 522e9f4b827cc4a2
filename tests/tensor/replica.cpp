#include "tensor/replica.h"

#include <ATen/ops/_foreach_mul.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

namespace rehyat {
namespace {

at::Tensor trained_weight() {
  return torch::arange(12, at::kFloat).div(7).view({3, 4}).requires_grad_(true);
}

bool fresh(const Replica& replica) {
  return at::equal(replica.numbers(at::kBFloat16), replica.weight().detach().to(at::kBFloat16));
}

TEST(Replica, IsMadeOnceForEachChange) {
  const at::Tensor weight = trained_weight();
  const Replica replica(weight);
  const void* const place = replica.numbers(at::kBFloat16).data_ptr();
  EXPECT_EQ(replica.numbers(at::kBFloat16).data_ptr(), place);
  EXPECT_EQ(replica.in(at::kBFloat16).data_ptr(), place);
  EXPECT_TRUE(fresh(replica));
  // A number that is written past the version counter is not seen: the copy was not made again.
  weight.data_ptr<float>()[0] = 100;
  EXPECT_FALSE(fresh(replica));
  {
    const at::NoGradGuard no_grad;
    at::Tensor same = weight;
    same.add_(1);
  }
  EXPECT_TRUE(fresh(replica));
  EXPECT_EQ(replica.numbers(at::kBFloat16).data_ptr(), place) << "made again in place";
}

TEST(Replica, SeesEveryWayOfChangingAWeight) {
  at::Tensor weight = trained_weight();
  const Replica replica(weight);
  const at::NoGradGuard no_grad;
  const auto changed = [&](const char* how) { EXPECT_TRUE(fresh(replica)) << how; };
  changed("at first");
  weight.detach().copy_(at::full({3, 4}, 5.0));
  changed("through a detached handle");
  weight[1].fill_(-3);
  changed("through a view");
  std::vector<at::Tensor> list = {weight};
  at::_foreach_mul_(list, 1.5);
  changed("as one of a list");
  weight.set_data(at::full({3, 4}, 7.0));
  changed("by other numbers in its place");
  for (int i = 0; i < 4; ++i) {
    weight.set_data(at::full({3, 4}, static_cast<double>(i)));  // may get the address of an earlier one
    changed("by other numbers at an address that was free");
  }
}

TEST(Replica, GivesGradientsInTheTypeOfTheWeight) {
  const at::Tensor weight = trained_weight(), twin = trained_weight();
  const Replica replica(weight);
  const at::Tensor x = torch::arange(8, at::kBFloat16).view({2, 4});
  at::matmul(x, replica.in(at::kBFloat16).t()).sum().backward();
  at::matmul(x, twin.to(at::kBFloat16).t()).sum().backward();
  EXPECT_EQ(weight.grad().scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(weight.grad(), twin.grad()));
  EXPECT_FALSE(replica.numbers(at::kBFloat16).requires_grad());
  EXPECT_TRUE(replica.in(at::kFloat).is_same(weight));
}

TEST(Replica, AGraphFromBeforeAChangeIsRefused) {
  at::Tensor weight = trained_weight();
  const Replica replica(weight);
  const at::Tensor x = at::ones({2, 4}, at::kBFloat16).requires_grad_(true);
  const at::Tensor loss = at::matmul(x, replica.in(at::kBFloat16).t()).sum();
  {
    const at::NoGradGuard no_grad;
    weight.mul_(2);
  }
  replica.numbers(at::kBFloat16);
  EXPECT_THROW(loss.backward(), c10::Error);
}

TEST(Replica, AWeightThatIsLentOutHoldsNoNumbers) {
  const at::Tensor weight = trained_weight();
  const at::Tensor numbers = weight.detach().clone();
  Replica replica(weight);
  replica.lend_out(numbers.to(at::kBFloat16));
  EXPECT_TRUE(weight.isnan().all().item<bool>());
  EXPECT_EQ(weight.storage().nbytes(), sizeof(float));
  EXPECT_EQ(weight.sizes(), numbers.sizes());
  EXPECT_THROW(replica.in(at::kFloat), std::logic_error);

  replica.rewrite().mul_(2);
  const at::Tensor x = at::ones({2, 4}, at::kBFloat16);
  const at::Tensor y = at::matmul(x, replica.in(at::kBFloat16).t());
  EXPECT_TRUE(at::equal(y, at::matmul(x, (numbers.to(at::kBFloat16) * 2).t())));
  y.sum().backward();
  EXPECT_TRUE(at::equal(weight.grad(), at::full({3, 4}, 2.0)));

  replica.give_back(numbers);
  EXPECT_TRUE(at::equal(weight, numbers));
  EXPECT_TRUE(weight.requires_grad());
  EXPECT_TRUE(fresh(replica));
  EXPECT_THROW(replica.rewrite(), std::logic_error);
}

}  // namespace
}  // namespace rehyat
