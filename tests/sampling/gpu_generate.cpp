#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <map>

#include "models/small_wan.h"
#include "sampling/generate.h"
#include "tensor/peak_memory.h"

/// Sampling on a GPU: the same videos in every order, and memory that does not grow with the video chunk by chunk.
namespace rehyat::sampling {
namespace {

using models::AttentionForm;

const at::Device kGpu(at::kCUDA, 0);
const models::BlockAttention kChunks{{.kind = ops::AttentionKind::rehyat, .tc = 3, .to = 1}, {}};

class GpuSampling : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }

  /// Two blocks of two heads of 64, whose kernels are those of the published sizes.
  static models::WanTransformer gpu_model() {
    models::WanTransformer model(models::WanConfig{.dim = 128,
                                                   .layers = 2,
                                                   .heads = 2,
                                                   .ffn_dim = 512,
                                                   .freq_dim = 64,
                                                   .text_dim = 64,
                                                   .text_length = 16,
                                                   .in_channels = 4,
                                                   .out_channels = 4});
    model->initialize(1);
    models::convert(model, {{0, kChunks}, {1, kChunks}}, 3, {7, 8, 8});
    model->to(at::kCUDA);
    return model;
  }

  static Request gpu_request(std::int64_t slices, std::int64_t side, AttentionForm form, Order order) {
    Request out;
    out.sampler = {.kind = diffusion::SamplerKind::unipc, .steps = 2, .shift = 3};
    out.guidance = 3;
    out.shape = {4, slices, side, side};
    out.form = form;
    out.order = order;
    return out;
  }

  static at::Tensor gpu_text(std::uint64_t seed) {
    Rng rng(seed, "test.gpu.text");
    return randn(rng, {16, 64}).to(at::kCUDA);
  }
};

TEST_F(GpuSampling, EveryOrderAndBothWaysOfTheBranchesAreTheSameVideo) {
  models::WanTransformer model = gpu_model();
  for (const auto& [type, tolerance] : std::map<at::ScalarType, double>{{at::kFloat, 1e-4}, {at::kBFloat16, 0.1}}) {
    Request asked = gpu_request(7, 12, AttentionForm::parallel, Order::step_major);
    asked.compute = type;
    const at::Tensor expected = generate(model, asked, gpu_text(1), gpu_text(2));
    EXPECT_TRUE(expected.is_cpu());
    asked.form = AttentionForm::recurrent;
    EXPECT_LT(testing::relative_difference(generate(model, asked, gpu_text(1), gpu_text(2)), expected), tolerance);
    asked.order = Order::chunk_major;
    for (const Branches branches : {Branches::automatic, Branches::apart, Branches::together}) {
      asked.branches = branches;
      EXPECT_LT(testing::relative_difference(generate(model, asked, gpu_text(1), gpu_text(2)), expected), tolerance)
          << at::toString(type) << ' ' << static_cast<int>(branches);
    }
  }
}

TEST_F(GpuSampling, ChunkByChunkTheMemoryIsTheSameForEveryLength) {
  models::WanTransformer model = gpu_model();
  const auto peak = [&](std::int64_t frames, AttentionForm form, Order order) {
    Request asked = gpu_request((frames + 3) / 4, 64, form, order);
    asked.compute = at::kBFloat16;
    reset_peak_memory(kGpu);
    generate(model, asked, gpu_text(1), gpu_text(2));
    return static_cast<double>(peak_memory(kGpu));
  };
  const auto by_chunks = [&](std::int64_t frames) {
    return peak(frames, AttentionForm::recurrent, Order::chunk_major);
  };
  const auto at_once = [&](std::int64_t frames) { return peak(frames, AttentionForm::parallel, Order::step_major); };
  by_chunks(161);  // what is allocated once, and as many RoPE tables as are kept
  const double chunks = by_chunks(81);
  for (const std::int64_t frames : {161, 321, 641}) EXPECT_NEAR(by_chunks(frames) / chunks, 1, 0.02) << frames;
  const double whole = at_once(81);
  for (const std::int64_t frames : {161, 321, 641})
    EXPECT_GT(at_once(frames) / whole, static_cast<double>(frames) / 81 / 2) << frames;
}

}  // namespace
}  // namespace rehyat::sampling
