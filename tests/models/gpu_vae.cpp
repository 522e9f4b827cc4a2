#include <ATen/Context.h>
#include <torch/cuda.h>

#include <cmath>

#include "models/small_vae.h"

/// The VAE on a GPU, where its features have other layouts and its steps other kernels, against the CPU.
namespace rehyat::models {
namespace {

using testing::random_video;
using testing::small_vae;

class GpuVae : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
    at::globalContext().setAllowTF32CuDNN(false);
  }
  void TearDown() override { at::globalContext().setAllowTF32CuDNN(true); }
};

/// Of widths that the kernels serve in every type, with frames stacked and not.
WanVae wide_vae(const VaeOptions& options) {
  VaeConfig config;
  config.base_dim = config.decoder_base_dim = 32;
  config.z_dim = 4;
  config.latents_mean = config.latents_std = std::vector<double>(4, 1.0);
  WanVae vae(config, options);
  Rng rng(9, "test.gpu_vae");
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : vae->tensors()) {
    const double inputs = tensor.dim() < 4 ? 4 : static_cast<double>(tensor[0].numel());
    const at::Tensor drawn = randn(rng, tensor.sizes()) / std::sqrt(inputs);
    tensor.copy_(name.ends_with("gamma") ? 1 + drawn / 4 : drawn);
  }
  return vae;
}

double norm_error(const at::Tensor& found, const at::Tensor& expected) {
  const at::Tensor a = found.to(at::kCPU, at::kDouble), b = expected.to(at::kDouble);
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST_F(GpuVae, EqualsTheCpu) {
  const at::Tensor video = random_video({2, 3, 9, 32, 32}), latents = random_video({2, 4, 4, 4, 4}, 2);
  for (const bool fixture : {false, true}) {
    const auto make = [&](const VaeOptions& options) { return fixture ? small_vae(options) : wide_vae(options); };
    WanVae exact = make({.compute = at::kDouble, .weights = at::kDouble});
    const at::Tensor mean = exact->encode(video).mean, decoded = exact->decode(latents);
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      WanVae vae = make({.device = at::kCUDA, .compute = type});
      const double tolerance = type == at::kBFloat16 ? 0.03 : 1e-5;
      const at::Tensor found = vae->encode(video.to(at::kCUDA)).mean;
      EXPECT_TRUE(found.is_cuda());
      EXPECT_LT(norm_error(found, mean), tolerance) << at::toString(type) << fixture;
      EXPECT_LT(norm_error(vae->decode(latents), decoded), tolerance) << at::toString(type) << fixture;
    }
  }
}

TEST_F(GpuVae, StreamsAndTilesEqualTheWhole) {
  const VaeTiling tiles = {
      .tile_height = 24, .tile_width = 32, .stride_height = 16, .stride_width = 16, .offload = true};
  const at::Tensor latents = random_video({1, 4, 6, 5, 7}, 3);
  for (const bool tiled : {false, true}) {
    const auto options = [&](at::Device device) {
      VaeOptions out{.device = device};
      if (tiled) out.tiling = tiles;
      return out;
    };
    WanVae vae = wide_vae(options(at::kCUDA));
    const at::Tensor whole = vae->decode(latents);
    EXPECT_LT(norm_error(whole, wide_vae(options(at::kCPU))->decode(latents)), 1e-5) << tiled;
    VaeDecodeStream stream(*vae);
    std::vector<at::Tensor> parts;
    for (std::int64_t i = 0; i < latents.size(2); ++i) parts.push_back(stream.push(latents.narrow(2, i, 1)));
    EXPECT_LT(norm_error(at::cat(parts, 2), whole), 1e-5) << tiled;
  }
}

}  // namespace
}  // namespace rehyat::models
