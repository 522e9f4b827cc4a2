#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "core/error.h"
#include "ops/attention_case.h"
#include "ops/blend.h"

/// The fast forms on a GPU against the literal form on the CPU in float64, on the same (rounded) inputs.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kSlices = 7, kTokens = 15;  // odd HW: no rectangle is a multiple of a tile

class Gpu : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

/// phi_q . phi_k is about 1, so that both branches have a share; with `negative`, about -3: Z < 0 beyond the first
/// chunk.
Inputs gpu_inputs(std::int64_t width, at::ScalarType type, bool negative = false) {
  Rng rng(51, "test.gpu");
  const std::int64_t n = kSlices * kTokens, features = 2 * width;
  const double level = 2 / std::sqrt(static_cast<double>(features));
  Inputs in;
  in.slices = kSlices;
  const auto draw = [&](const at::Tensor& x) { return x.to(at::kCUDA).to(type); };
  in.q = draw(randn(rng, {2, 3, n, width}));
  in.k = draw(randn(rng, {2, 3, n, width}));
  in.v = draw(randn(rng, {2, 3, n, width}));
  in.phi_q = draw(rand(rng, {2, 3, n, features}) * level * (negative ? -3 : 1));
  in.phi_k = draw(rand(rng, {2, 3, n, features}) * level);
  in.dy = draw(randn(rng, {2, 3, n, width}));
  return in;
}

double relative(const at::Tensor& found, const at::Tensor& exact) {
  return largest_difference(found.cpu(), exact) / std::max(1e-6, exact.abs().max().item<double>());
}

std::vector<AttentionSpec> gpu_specs() {
  std::vector<AttentionSpec> specs = {{.kind = AttentionKind::linear}, {.kind = AttentionKind::softmax}};
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
    for (const bool causal : {true, false}) {
      specs.push_back({AttentionKind::rehyat, 3, 1, causal, 2, normalizer});
      specs.push_back({AttentionKind::rehyat, 2, 3, causal, 2, normalizer});
    }
    specs.push_back({AttentionKind::uniform_hybrid, 3, 1, true, 4, normalizer});
  }
  return specs;
}

void expect_right(const Inputs& in, const AttentionSpec& spec, double tolerance) {
  const std::string name = cat(to_string(spec), " D=", in.q.size(3), ' ', at::toString(in.q.scalar_type()));
  const Inputs wide = in_double(in);
  EXPECT_LE(relative(run_fast(in, spec), run_reference(wide, spec)), tolerance) << name;
  const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
  const auto exact = gradients(wide, [&](const Inputs& x) { return run_reference(x, spec); });
  for (std::size_t i = 0; i < fast.size(); ++i)
    EXPECT_LE(relative(fast[i], exact[i]), 2 * tolerance) << name << " d" << kNames[i];
}

double tolerance_of(at::ScalarType type) {
  return type == at::kFloat ? 1e-4 : type == at::kHalf ? 1e-2 : 3e-2;
}

TEST_F(Gpu, ForwardAndBackwardEqualFloat64OnTheCpu) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const std::int64_t width : {64, 128}) {
      const Inputs in = gpu_inputs(width, type);
      for (const AttentionSpec& spec : gpu_specs()) expect_right(in, spec, tolerance_of(type));
    }
  }
}

TEST_F(Gpu, NegativeDenominators) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t width : {64, 128}) {
      const Inputs in = gpu_inputs(width, type, true);
      for (const Normalizer normalizer : {Normalizer::row_max, Normalizer::lse}) {
        for (const bool causal : {true, false})
          expect_right(in, {AttentionKind::rehyat, 3, 1, causal, 2, normalizer}, tolerance_of(type));
      }
    }
  }
}

TEST_F(Gpu, RecurrentEqualsChunked) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const std::int64_t width : {64, 128}) {
      const Inputs in = gpu_inputs(width, type);
      for (const AttentionSpec& spec : gpu_specs()) {
        if (!spec.recurrent()) continue;
        const at::Tensor expected = run_fast(in, spec).cpu().to(at::kDouble);
        const double tolerance = type == at::kFloat ? 1e-5 : 1e-2;
        EXPECT_LE(relative(run_recurrent(in, spec), expected), tolerance) << to_string(spec);
        EXPECT_LE(relative(run_by_chunks(in, spec), expected), tolerance) << to_string(spec);
      }
    }
  }
}

TEST_F(Gpu, LongSumsStayRightInFloat16) {
  Inputs in = gpu_inputs(64, at::kDouble);
  in.phi_k = in.phi_k * 2e4;  // z of a hundred tokens: beyond 65504
  in.dy = in.dy * 100;
  for (at::Tensor* x : in.all()) *x = x->to(at::kHalf);
  in.dy = in.dy.to(at::kHalf);
  const AttentionSpec spec{AttentionKind::rehyat, 3, 1, true, 2, Normalizer::joint};
  EXPECT_LE(relative(run_fast(in, spec), run_reference(in_double(in), spec)), 1e-2);
  EXPECT_LE(relative(run_recurrent(in, spec), run_reference(in_double(in), spec)), 1e-2);
  EXPECT_LE(relative(run_by_chunks(in, spec), run_reference(in_double(in), spec)), 1e-2);
  for (const at::Tensor& grad : gradients(in, [&](const Inputs& x) { return run_fast(x, spec); }))
    EXPECT_TRUE(at::isfinite(grad).all().item<bool>());
}

TEST_F(Gpu, BadDenominatorsAreRefused) {
  const Inputs in = gpu_inputs(64, at::kFloat, true);
  EXPECT_THROW(run_fast(in, {AttentionKind::rehyat, 3, 1, true, 2, Normalizer::joint}), UserError);
}

/// One call of blend_into on rows in the middle of larger tensors, as the chunked form makes it.
struct BlendCase {
  static constexpr std::int64_t kAll = 21, kBegin = 5, kRows = 11;
  at::Tensor o, lse, both, row_max, y, log_l, log_z, scale;

  BlendCase(std::int64_t width, at::ScalarType type, Normalizer normalizer) {
    Rng rng(52, "test.blend");
    o = randn(rng, {2, 3, kAll, width}).to(type);
    lse = randn(rng, {2, 3, kAll}) * 4;
    row_max = normalizer == Normalizer::row_max ? lse - rand(rng, {2, 3, kAll}) : at::Tensor();
    both = randn(rng, {2, 3, kRows, width + 1});
    at::Tensor n = both.select(-1, width);
    n.copy_(normalizer == Normalizer::joint ? n.abs() : n * 3);
    if (normalizer != Normalizer::joint) {  // near Z = 0 every rounding shows, of either form
      const at::Tensor mass = row_max.defined() ? (rows(lse) - rows(row_max)).exp() : at::ones_like(n);
      n.add_(((mass + n).abs() < 0.3).to(n.scalar_type()));
    }
    n.slice(2, 0, kRows, 3).zero_();                                      // a != 0
    if (normalizer == Normalizer::joint) both.select(2, 1).fill_(1e-44);  // denormal: 1 / n is infinite
    if (normalizer == Normalizer::joint) lse.select(2, kBegin + 1).fill_(-110);
    y = at::empty_like(o);
    for (at::Tensor* x : {&log_l, &log_z, &scale}) *x = at::zeros_like(lse);
  }
  BlendCase on_gpu() const {
    BlendCase out = *this;
    for (at::Tensor* x : {&out.o, &out.lse, &out.both, &out.row_max, &out.y, &out.log_l, &out.log_z, &out.scale}) {
      if (x->defined()) *x = x->to(at::kCUDA);
    }
    return out;
  }
  static at::Tensor rows(const at::Tensor& x) { return x.defined() ? x.narrow(2, kBegin, kRows) : x; }
  void run(Normalizer normalizer) const {
    BadRows bad(lse, normalizer);
    blend_into({rows(y), rows(log_l), rows(log_z), rows(scale)}, rows(o), rows(lse), both, rows(row_max), normalizer,
               bad);
    bad.check();
  }
};

TEST_F(Gpu, FusedBlendEqualsTheAtenForm) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const std::int64_t width : {64, 128, 5}) {
      for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
        const std::string name = cat(at::toString(type), " D=", width, ' ', to_string(normalizer));
        const BlendCase aten(width, type, normalizer);  // on the CPU: no fused kernel
        const BlendCase fused = aten.on_gpu();
        aten.run(normalizer);
        fused.run(normalizer);
        const at::Tensor y = BlendCase::rows(aten.y), found = BlendCase::rows(fused.y).cpu();
        const double tolerance = type == at::kFloat ? 1e-5 : type == at::kHalf ? 2e-3 : 1.6e-2;
        EXPECT_LE(((found - y).to(at::kDouble).abs() / (1 + y.to(at::kDouble).abs())).max().item<double>(), tolerance)
            << name;
        const at::Tensor empty = found.slice(2, 0, found.size(2), 3), o = BlendCase::rows(aten.o);
        EXPECT_TRUE(at::equal(empty, o.slice(2, 0, o.size(2), 3))) << name;
        const auto same = [&](const at::Tensor& a, const at::Tensor& b, const char* what) {
          EXPECT_TRUE(at::allclose(BlendCase::rows(a).cpu(), BlendCase::rows(b), 1e-4, 1e-4)) << name << ' ' << what;
        };
        same(fused.log_l, aten.log_l, "log_l");
        if (normalizer == Normalizer::row_max) same(fused.log_z, aten.log_z, "log_z");
        if (normalizer != Normalizer::joint) same(fused.scale, aten.scale, "scale");
      }
    }
  }
}

}  // namespace
}  // namespace rehyat::ops
