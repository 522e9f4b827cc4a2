#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "core/strings.h"
#include "models/host_waits.h"
#include "models/small_wan.h"

/// The whole transformer on a GPU, with all gradients, against the CPU in float64.
namespace rehyat::models {
namespace {

using ops::AttentionKind;
using ops::Normalizer;
using Numbers = std::map<std::string, at::Tensor>;

class GpuWan : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

constexpr std::int64_t kLayers = 2;

/// Two heads of 32 channels, widths that the kernels serve; every weight drawn at random.
WanTransformer drawn_wan(const BlockAttention& attention, std::int64_t converted = kLayers) {
  WanConfig config = testing::small_config(kLayers);
  config.dim = 64;
  config.ffn_dim = 160;
  WanTransformer model(config);
  model->initialize(1);
  BlockMap blocks;
  for (std::int64_t i = 0; i < converted; ++i) blocks[i] = attention;
  if (attention.spec.converted()) convert(model, blocks, 3, testing::kLatent);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : model->tensors(Weights::teacher)) {
    Rng rng(2, "test.gpu_wan." + name);
    tensor.add_(randn(rng, tensor.sizes()), 0.05);
  }
  return model;
}

at::Tensor loss_of(WanTransformer& model, const testing::WanInputs& in, const ForwardOptions& options,
                   const at::Tensor& target) {
  return (model->forward(in.latents, in.timestep, in.text, options) - target).square().mean();
}

/// The loss and the gradient of each weight and of the inputs, on the CPU in float64.
Numbers loss_and_gradients(WanTransformer& model, at::Device device, at::ScalarType type,
                           const ForwardOptions& options) {
  testing::WanInputs in = testing::wan_inputs();
  in.latents = in.latents.to(device, type).set_requires_grad(true);
  in.text = in.text.to(device, type).set_requires_grad(true);
  in.timestep = in.timestep.to(device);
  model->to(device, type);
  model->zero_grad();
  Rng rng(6, "test.gpu_wan.target");
  const at::Tensor target = randn(rng, in.latents.sizes()).to(device, type);
  const at::Tensor loss = loss_of(model, in, options, target);
  loss.backward();
  Numbers found = {{"loss", loss.detach()}, {"latents", in.latents.grad()}, {"text", in.text.grad()}};
  for (const auto& item : model->named_parameters()) found[item.key()] = item.value().grad();
  for (auto& [name, tensor] : found) tensor = tensor.detach().to(at::kCPU, at::kDouble, false, true);
  return found;
}

/// The norm of the difference over that of what is expected; weights whose gradients nearly vanish beside all others
/// are measured against a thousandth of all.
double difference_of(const Numbers& found, const Numbers& exact, const std::string& name, double all) {
  return (found.at(name) - exact.at(name)).norm().item<double>() /
         std::max(exact.at(name).norm().item<double>(), 1e-3 * all);
}

double norm_of_all(const Numbers& numbers) {
  double sum = 0;
  for (const auto& [name, tensor] : numbers) sum += tensor.square().sum().item<double>();
  return std::sqrt(sum);
}

std::vector<BlockAttention> kinds() {
  const ops::FeatureMapConfig poly;
  return {{{.kind = AttentionKind::softmax}, poly},
          {{.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, poly},
          {{.kind = AttentionKind::rehyat, .tc = 2, .to = 1, .normalizer = Normalizer::lse}, poly},
          {{.kind = AttentionKind::uniform_hybrid, .rate = 4}, poly},
          {{.kind = AttentionKind::linear}, poly}};
}

TEST_F(GpuWan, LossAndAllGradientsEqualTheCpusByEveryRecomputePolicy) {
  for (const BlockAttention& attention : kinds()) {
    WanTransformer model = drawn_wan(attention);
    const Numbers exact = loss_and_gradients(model, at::kCPU, at::kDouble, {});
    const Numbers cpu = loss_and_gradients(model, at::kCPU, at::kFloat, {.compute = at::kBFloat16});
    const double all = norm_of_all(exact);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        SCOPED_TRACE(
            cat(ops::to_string(attention.spec), ", ", at::toString(type), ", policy ", static_cast<int>(recompute)));
        const Numbers found =
            loss_and_gradients(model, at::kCUDA, at::kFloat, {.compute = type, .recompute = recompute});
        ASSERT_EQ(found.size(), exact.size());
        for (const auto& [name, tensor] : exact) {
          // bf16 is rounding noise in any order: a GPU's has to be about as small as a CPU's.
          const double limit = type == at::kFloat ? 1e-4 : std::max(1e-2, 2 * difference_of(cpu, exact, name, all));
          EXPECT_LE(difference_of(found, exact, name, all), limit) << name;
        }
      }
    }
  }
}

TEST_F(GpuWan, AStepNeverWaitsForTheGpu) {
  const BlockAttention hybrid{{.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, {}};
  WanTransformer model = drawn_wan(hybrid, 1);  // the other block stays softmax
  model->to(at::kCUDA);
  testing::WanInputs in = testing::wan_inputs();
  in = {in.latents.to(at::kCUDA), in.timestep.to(at::kCUDA), in.text.to(at::kCUDA)};
  const at::Tensor target = at::zeros_like(in.latents);
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    const ForwardOptions options{.compute = at::kBFloat16, .recompute = recompute};
    loss_of(model, in, options, target).backward();  // the tables of RoPE are made once
    const testing::RefusedHostWaits refused;
    loss_of(model, in, options, target).backward();
    {
      const at::NoGradGuard no_grad;
      loss_of(model, in, options, target);
    }
  }
  // The guard works: this does wait.
  const testing::RefusedHostWaits refused;
  EXPECT_THROW(target.sum().item<float>(), c10::Error);
}

}  // namespace
}  // namespace rehyat::models
