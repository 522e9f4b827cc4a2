#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <string>
#include <vector>

#include "ops/gpu_step.h"
#include "ops/row_ops.h"

/// The kernels of the row-wise steps and their gradients against the composed form on the CPU in float64, on the same
/// (rounded) inputs.
namespace rehyat::ops {
namespace {

using testing::drawn;
using testing::expect_step;
using testing::run_step;
using testing::Step;
using testing::Tensors;

constexpr double kEps = 1e-6;

class GpuRows : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

struct RowSize {
  std::int64_t batch = 2, tokens = 37, heads = 3, head_width = 16;
  std::int64_t width() const { return heads * head_width; }
};

/// Of models, of one warp, of a part of a warp, of many rows.
const std::vector<RowSize> kSizes = {{}, {1, 300, 12, 128}, {3, 5, 1, 8}, {2, 9, 33, 8}, {1, 3, 48, 128}};

at::ScalarType type_like(const at::Tensor& x, at::ScalarType type) {
  return x.scalar_type() == at::kDouble ? at::kDouble : type;
}

/// x, update, gate, scale, shift.
Tensors stream_inputs(const RowSize& size, at::ScalarType type, bool modulated, bool shared) {
  Rng rng(71, "test.gpu_rows");
  const std::int64_t c = size.width();
  const at::Tensor x = drawn(rng, {size.batch, size.tokens, c}, at::kFloat, 2, 0.5),
                   update = drawn(rng, {size.batch, size.tokens, c}, type),
                   // Parts of one tensor, as a block has them: samples lie further apart than a row is long.
      parts = drawn(rng, {shared ? 1 : size.batch, 6, c}, at::kFloat);
  const at::Tensor gate = parts.narrow(1, 2, 1);
  if (modulated) return {x, update, gate, parts.narrow(1, 1, 1), parts.narrow(1, 0, 1)};
  return {x, update, gate, drawn(rng, {c}, at::kFloat, 0.2, 1), drawn(rng, {c}, at::kFloat)};
}

RowNorm norm_from(const Tensors& in, bool modulated, at::ScalarType type) {
  return {in[3], in[4], modulated, kEps, type_like(in[0], type)};
}

TEST_F(GpuRows, StreamAndItsGradients) {
  for (const RowSize& size : kSizes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      for (const bool modulated : {true, false}) {
        const Tensors in = stream_inputs(size, type, modulated, false);
        const std::string name = cat(size.width(), " channels, modulated ", modulated);
        const Step norm = [&](const Tensors& t) -> Tensors {
          const NormedStream s = norm_stream(t[0], norm_from(t, modulated, type));
          return {s.stream * 2, s.normed};
        };
        expect_step(norm, in, {true, false, false, true, true}, type, "norm of " + name);
        for (const bool gated : {true, false}) {
          const Step sum_and_norm = [&](const Tensors& t) -> Tensors {
            const NormedStream s = add_and_norm(t[0], t[1], gated ? t[2] : at::Tensor(), norm_from(t, modulated, type));
            return {s.stream, s.normed};
          };
          expect_step(sum_and_norm, in, {true, true, gated, true, true}, type, cat("sum, gated ", gated, ", ") + name);
        }
      }
      const Step sum = [](const Tensors& t) -> Tensors { return {gated_sum(t[0], t[1], t[2])}; };
      expect_step(sum, stream_inputs(size, type, true, false), {true, true, true, false, false}, type, "gated sum");
    }
  }
}

TEST_F(GpuRows, WhatOnlySomeInputsWant) {
  const Tensors in = stream_inputs({}, at::kBFloat16, true, true);  // one modulation for both samples
  const Step step = [](const Tensors& t) -> Tensors {
    const NormedStream s = add_and_norm(t[0], t[1], t[2], norm_from(t, true, at::kBFloat16));
    return {s.stream, s.normed};
  };
  for (int which = 1; which < 32; ++which) {
    std::vector<bool> wants;
    for (int i = 0; i < 5; ++i) wants.push_back((which >> i) % 2 == 1);
    expect_step(step, in, wants, at::kBFloat16, cat("inputs ", which));
  }
  // Only one of the two results is used.
  for (const bool stream : {true, false}) {
    const Step one = [&](const Tensors& t) -> Tensors {
      const NormedStream s = add_and_norm(t[0], t[1], t[2], norm_from(t, true, at::kBFloat16));
      return {stream ? s.stream * 1 : s.normed * 1};
    };
    expect_step(one, in, {true, true, true, !stream, !stream}, at::kBFloat16, cat("only the stream ", stream));
  }
  const Step weights = [](const Tensors& t) -> Tensors {
    const NormedStream s = norm_stream(t[0], norm_from(t, true, at::kBFloat16));
    EXPECT_FALSE(s.stream.requires_grad());
    return {s.normed};
  };
  expect_step(weights, in, {false, false, false, true, true}, at::kBFloat16, "the norm's weights");
}

TEST_F(GpuRows, HeadsAndTheirGradients) {
  for (const RowSize& size : kSizes) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
      Rng rng(72, "test.gpu_rows");
      // A part of a wider product, as one product of q, k and v would give it.
      const at::Tensor all = drawn(rng, {size.batch, size.tokens, 3 * size.width()}, type, 2, 0.3);
      const Tensors in = {all.narrow(2, size.width(), size.width()), drawn(rng, {size.width()}, at::kFloat, 0.2, 1)};
      RopeTables rope;
      if (size.head_width >= 16) rope = rope_tables(size.head_width, {1, 1, size.tokens}, at::kFloat, at::kCUDA);
      const RopeTables exact = {rope.cos.defined() ? rope.cos.to(at::kCPU, at::kDouble) : rope.cos,
                                rope.sin.defined() ? rope.sin.to(at::kCPU, at::kDouble) : rope.sin};
      for (const bool turned : {false, true}) {
        if (turned && !rope.cos.defined()) continue;
        for (const int ways : {1, 2}) {
          const Step step = [&](const Tensors& t) -> Tensors {
            const RopeTables* tables = !turned ? nullptr : t[0].is_cuda() ? &rope : &exact;
            if (ways == 1) return {rms_norm_heads(t[0], t[1], kEps, size.heads, tables)};
            const HeadsTwice y = rms_norm_heads_twice(t[0], t[1], kEps, size.heads, tables);
            return {y.first, y.second.transpose(1, 2) * 2};  // gradients that lie differently
          };
          for (const bool both : {true, false})
            expect_step(step, in, {true, both}, type, cat("heads of ", size.head_width, ", ways ", ways));
          expect_step(step, in, {false, true}, type, "the weight of heads");
        }
      }
    }
  }
}

TEST_F(GpuRows, WithoutGradientsTheSameNumbers) {
  const Tensors in = stream_inputs({}, at::kBFloat16, true, false);
  const RowNorm norm = norm_from(in, true, at::kBFloat16);
  const at::Tensor x = in[0].clone().set_requires_grad(true);
  const NormedStream kept = add_and_norm(x, in[1], in[2], norm);
  const at::NoGradGuard no_grad;
  const NormedStream plain = add_and_norm(in[0], in[1], in[2], norm);
  EXPECT_TRUE(at::equal(kept.normed, plain.normed));
  EXPECT_TRUE(at::equal(kept.stream, plain.stream));
  EXPECT_TRUE(at::equal(gated_sum(in[0], in[1], in[2]), plain.stream));
  EXPECT_TRUE(at::equal(norm_stream(plain.stream, norm).normed, plain.normed));
  EXPECT_FALSE(plain.normed.requires_grad());
}

TEST_F(GpuRows, TwoBackwardPassesGiveTheSameBits) {
  const RowSize size{1, 5000, 12, 128};
  const Tensors in = stream_inputs(size, at::kBFloat16, true, false);
  const Step step = [](const Tensors& t) -> Tensors {
    const NormedStream s = add_and_norm(t[0], t[1], t[2], norm_from(t, true, at::kBFloat16));
    return {s.stream, rms_norm_heads(s.normed, t[3].flatten(), kEps, 12, nullptr)};
  };
  const std::vector<bool> all(5, true);
  const Tensors first = run_step(step, in, all, false), second = run_step(step, in, all, false);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
}

TEST_F(GpuRows, WhatTheKernelsDoNotServeIsComposed) {
  Tensors in = stream_inputs({2, 9, 3, 10}, at::kBFloat16, true, false);  // 30 channels
  const Step step = [](const Tensors& t) -> Tensors {
    const NormedStream s = add_and_norm(t[0], t[1], t[2], norm_from(t, true, at::kBFloat16));
    return {s.stream, s.normed};
  };
  expect_step(step, in, std::vector<bool>(5, true), at::kBFloat16, "30 channels");
  in = stream_inputs({}, at::kFloat, true, false);
  in[1] = in[1].to(at::kBFloat16);  // another type than the norm's
  const Step mixed = [](const Tensors& t) -> Tensors {
    const NormedStream s = add_and_norm(t[0], t[1], t[2], norm_from(t, true, at::kFloat));
    return {s.stream, s.normed};
  };
  expect_step(mixed, in, std::vector<bool>(5, true), at::kBFloat16, "two types");
}

}  // namespace
}  // namespace rehyat::ops
