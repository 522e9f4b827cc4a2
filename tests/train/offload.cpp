#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <memory>

#include "core/strings.h"
#include "tensor/random.h"
#include "train/optimizer.h"
#include "train/reduce.h"

/// Weights in host memory, on the CPU and, where there is one, on a GPU.
namespace rehyat::train {
namespace {

/// Three weights that products read in bf16, two parameters that are read as they are.
struct Weights {
  explicit Weights(at::Device device) {
    Rng rng(1, "test.offload");
    const auto add = [&](const char* name, const std::vector<std::int64_t>& size, bool hosted) {
      parameters.push_back({name, randn(rng, size).to(device).requires_grad_(true)});
      if (!hosted) return;
      replicas.push_back(std::make_unique<Replica>(parameters.back().tensor));
      parameters.back().replica = replicas.back().get();
      parameters.back().compute = at::kBFloat16;
    };
    add("a", {40, 30}, true);
    add("b", {7}, false);
    add("c", {3, 5}, true);
    add("d", {2, 2}, false);
    add("e", {50, 64}, true);
  }
  void set_gradients(std::uint64_t step) const {
    Rng rng(2, "test.gradients", {step});
    for (const NamedParameter& p : parameters)
      p.tensor.mutable_grad() = randn(rng, p.tensor.sizes()).to(p.tensor.device());
  }
  std::vector<NamedParameter> parameters;
  std::vector<std::unique_ptr<Replica>> replicas;
};

/// Shards of which "a" and "c" share one and "e" is larger than one.
constexpr std::int64_t kShard = 1500;

void expect_equal(const NamedTensors& found, const NamedTensors& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].first, expected[i].first);
    EXPECT_TRUE(at::equal(found[i].second.cpu(), expected[i].second.cpu())) << found[i].first;
  }
}

class HostMemory : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (device().is_cuda() && !torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  }
  static at::Device device() { return at::Device(std::string(GetParam())); }
};

TEST_P(HostMemory, ArraysPassThroughTheDeviceInShards) {
  const std::vector<std::vector<std::int64_t>> sizes = {{10, 10}, {3}, {400}, {0, 4}, {64}, {20, 5}};
  const HostArrays arrays(sizes, device(), 200);
  HostArray sum = arrays.zeros(), steps = arrays.zeros();
  for (std::size_t i = 0; i < sizes.size(); ++i) steps.tensors[i].fill_(static_cast<double>(i) + 1);
  std::vector<int> calls(sizes.size());
  for (int pass = 0; pass < 3; ++pass) {
    arrays.pass({{&sum, true}, {&steps, false}}, [&](const auto& which, const auto& numbers) {
      for (std::size_t i = 0; i < which.size(); ++i) {
        EXPECT_EQ(numbers[0][i].device().type(), device().type());
        EXPECT_EQ(numbers[0][i].sizes().vec(), sizes[which[i]]);
        at::Tensor(numbers[0][i]).add_(numbers[1][i]);
        at::Tensor(numbers[1][i]).zero_();  // does not come back
        ++calls[which[i]];
      }
    });
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(calls[i], 3);
    EXPECT_TRUE(at::equal(sum.tensors[i], at::full(sizes[i], 3.0 * (static_cast<double>(i) + 1), at::kFloat))) << i;
  }
  EXPECT_GT(sum.shards.size(), 2U);
}

TEST_P(HostMemory, TakesTheSameStepsToTheBit) {
  TrainConfig config;
  config.weight_decay = 0.1;
  Weights plain(device()), lent(device());
  AdamW expected(plain.parameters, config);
  Ema expected_average(plain.parameters, 0.9);
  auto hosted = std::make_unique<HostedWeights>(lent.parameters, kShard);
  AdamW found(lent.parameters, config, hosted.get());
  Ema found_average(lent.parameters, 0.9, hosted.get());
  const auto expect_copies = [&] {
    for (std::size_t i = 0; i < lent.replicas.size(); ++i) {
      EXPECT_TRUE(at::equal(lent.replicas[i]->numbers(at::kBFloat16), plain.replicas[i]->numbers(at::kBFloat16))) << i;
    }
  };
  const auto weights = [&](const Weights& of, bool from_host) {
    NamedTensors out;
    for (const NamedParameter& p : of.parameters)
      out.emplace_back(p.name, from_host ? hosted->numbers(p) : p.tensor.detach());
    return out;
  };
  for (std::uint64_t step = 0; step < 6; ++step) {
    plain.set_gradients(step);
    lent.set_gradients(step);
    if (step == 2) plain.parameters[0].tensor.mutable_grad().reset();
    if (step == 2) lent.parameters[0].tensor.mutable_grad().reset();
    EXPECT_EQ(gradient_norm(lent.parameters).item<double>(), gradient_norm(plain.parameters).item<double>());
    expected.step(1e-2);
    found.step(1e-2);
    expected_average.update();
    found_average.update();
    expect_copies();
  }
  expect_equal(weights(lent, true), weights(plain, false));
  expect_equal(found.state(), expected.state());
  expect_equal(found_average.state(), expected_average.state());
  EXPECT_TRUE(lent.parameters[0].tensor.isnan().all().item<bool>()) << "the model's own tensor has no numbers";
  EXPECT_TRUE(hosted->numbers(lent.parameters[0]).is_cpu());

  expected_average.swap();
  found_average.swap();
  expect_copies();
  expect_equal(weights(lent, true), weights(plain, false));
  expect_equal(found_average.state(), expected_average.state());
  hosted.reset();
  expect_equal(weights(lent, false), weights(plain, false));
  EXPECT_EQ(lent.parameters[0].tensor.device().type(), device().type());
}

TEST_P(HostMemory, GoesOnFromTheStateOfATrainingWithoutIt) {
  const TrainConfig config;
  Weights plain(device()), lent(device());
  AdamW first(plain.parameters, config);
  plain.set_gradients(0);
  first.step(1e-2);
  HostedWeights hosted(lent.parameters, kShard);
  AdamW second(lent.parameters, config, &hosted);
  second.load(first.state(), "test");
  for (std::size_t i = 0; i < plain.parameters.size(); ++i)
    hosted.numbers(lent.parameters[i]).copy_(plain.parameters[i].tensor.detach());
  hosted.refresh();
  plain.set_gradients(1);
  lent.set_gradients(1);
  first.step(1e-2);
  second.step(1e-2);
  for (std::size_t i = 0; i < plain.parameters.size(); ++i)
    EXPECT_TRUE(at::equal(hosted.numbers(lent.parameters[i]).cpu(), plain.parameters[i].tensor.detach().cpu())) << i;
}

TEST_P(HostMemory, EveryStepOfTheOptimizerReachesTheCopyInTheComputeType) {
  const Weights plain(device());
  AdamW optimizer(plain.parameters, {});
  for (std::uint64_t step = 0; step < 3; ++step) {
    for (const auto& replica : plain.replicas) replica->numbers(at::kBFloat16);
    plain.set_gradients(step);
    optimizer.step(1e-1);
    for (const auto& replica : plain.replicas)
      EXPECT_TRUE(at::equal(replica->numbers(at::kBFloat16), replica->weight().detach().to(at::kBFloat16))) << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, HostMemory, ::testing::Values("cpu", "cuda"));

}  // namespace
}  // namespace rehyat::train
