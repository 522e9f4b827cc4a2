#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/hybrid_attention.h"

/// The fast path in bf16 at the real size (32,760 tokens, chunks of 4,680) against float64, and beside the same formula
/// composed of libtorch's operators in bf16. Both are judged on the same rounded inputs.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kAccuracySlices = 21, kAccuracyTokens = 1560, kAccuracyHeads = 2, kAccuracyWidth = 128;

class GpuAccuracy : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

/// q, k, v, phi_q, phi_k and the gradient of the output.
struct AccuracyCase {
  std::string name;
  std::vector<at::Tensor> inputs;
  at::Tensor dy;
};

/// Views of [B,N,A,D] for q, k, v and the gradient, as a model passes them; `scores` is the spread of the logits,
/// `shift` their common level, `mass` phi_q . phi_k of a typical pair.
AccuracyCase accuracy_case(const std::string& name, double scores, double shift, double mass) {
  at::Generator random = at::detail::createCPUGenerator(91);
  const auto draw = [&](std::int64_t width) {
    return at::randn({1, kAccuracySlices * kAccuracyTokens, kAccuracyHeads, width}, random, at::kFloat).to(at::kCUDA);
  };
  at::Tensor q = draw(kAccuracyWidth) * std::sqrt(scores), k = draw(kAccuracyWidth) * std::sqrt(scores);
  // The last column of both gives every score the same level.
  const double level = std::sqrt(std::abs(shift) * std::sqrt(static_cast<double>(kAccuracyWidth)));
  q.select(3, kAccuracyWidth - 1).fill_(shift < 0 ? -level : level);
  k.select(3, kAccuracyWidth - 1).fill_(level);
  const double feature = std::sqrt(mass / (2 * kAccuracyWidth));
  AccuracyCase made{name, {}, {}};
  for (const at::Tensor& x : {q, k, draw(kAccuracyWidth)}) made.inputs.push_back(x.to(at::kBFloat16).transpose(1, 2));
  for (int i = 0; i < 2; ++i)
    made.inputs.push_back((draw(2 * kAccuracyWidth).abs() * feature).transpose(1, 2).contiguous().to(at::kBFloat16));
  made.dy = draw(kAccuracyWidth).to(at::kBFloat16).transpose(1, 2);
  return made;
}

/// Eqs. 5-9 of some queries of one head, composed of operators in the inputs' type, with logarithms and weights in
/// float32 at least: what a user would write. q [M,D]; keys and values of the softmax branch, features and values of
/// the linear one. c of row_max carries no gradient.
at::Tensor composed_rows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                         const at::Tensor& phi_k, const at::Tensor& v_linear, const AttentionSpec& spec) {
  const auto wide = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  at::Tensor a, n;
  if (phi_k.defined() && phi_k.size(0) > 0) {
    a = at::matmul(phi_q, at::matmul(phi_k.t(), v_linear)).to(wide);
    n = at::matmul(phi_q, phi_k.sum(0).unsqueeze(-1)).to(wide);
  }
  if (!spec.kind->has_softmax()) return (a / n).to(q.scalar_type());
  const at::Tensor s = (at::matmul(q, k.t()) / std::sqrt(static_cast<double>(q.size(-1)))).to(wide);
  const at::Tensor lse = s.logsumexp(-1, true);
  const at::Tensor o = at::matmul((s - lse).exp().to(q.scalar_type()), v).to(wide);
  if (!n.defined()) return o.to(q.scalar_type());
  if (spec.normalizer == Normalizer::joint) {
    const at::Tensor share = at::sigmoid(lse - n.log());
    return (share * o + (1 - share) * (a / n)).to(q.scalar_type());
  }
  const at::Tensor c = spec.normalizer == Normalizer::row_max ? s.detach().amax(-1, true) : lse;
  const at::Tensor mass = (lse - c).exp();
  return ((mass * o + a) / (mass + n)).to(q.scalar_type());
}

/// The keys that a part of the plan sees by phi, one after the other.
at::Tensor linear_rows(const Plan& plan, const Part& part, const at::Tensor& x) {
  const std::int64_t slice = x.size(0) / plan.linear_slices;
  const std::int64_t before = part.before * slice, after = std::min(part.after, plan.linear_slices) * slice;
  return at::cat({x.narrow(0, 0, before), x.narrow(0, after, x.size(0) - after)});
}

/// y and the gradients of all inputs, each head and some thousand queries at a time.
std::vector<at::Tensor> composed(const AccuracyCase& in, const AttentionSpec& spec, at::ScalarType type) {
  constexpr std::int64_t kRows = 4680;
  const Plan plan = spec.kind->plan(spec, {kAccuracySlices, kAccuracyTokens});
  std::vector<at::Tensor> leaves, results;
  for (const at::Tensor& x : in.inputs) leaves.push_back(x.to(type).detach().requires_grad_());
  results.push_back(at::empty(in.dy.sizes(), in.dy.options().dtype(type)));
  const auto of = [](const KeyList& keys, const at::Tensor& x) {
    return keys.numbers ? x.index_select(0, keys.numbers(x.device())) : x;
  };
  for (std::int64_t head = 0; head < kAccuracyHeads; ++head) {
    for (const Part& part : plan.parts) {
      for (std::int64_t at = 0; at < part.q_count; at += kRows) {
        const std::int64_t begin = part.q_begin + at, count = std::min(kRows, part.q_count - at);
        const auto whole = [&](int i) { return leaves[static_cast<std::size_t>(i)][0][head]; };
        const auto rows = [&](int i) { return whole(i).narrow(0, begin, count); };
        const auto near = [&](int i) { return of(plan.softmax_keys, whole(i)).narrow(0, part.k_begin, part.k_count); };
        const auto far = [&](int i) { return linear_rows(plan, part, of(plan.linear_keys, whole(i))); };
        const at::Tensor y = composed_rows(rows(0), near(1), near(2), rows(3), far(4), far(2), spec);
        results[0][0][head].narrow(0, begin, count).copy_(y.detach());
        y.backward(in.dy[0][head].narrow(0, begin, count).to(type));
      }
    }
  }
  for (const at::Tensor& x : leaves) results.push_back(x.grad().defined() ? x.grad() : at::zeros_like(x));
  return results;
}

std::vector<at::Tensor> fast_results(const AccuracyCase& in, const AttentionSpec& spec) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& x : in.inputs) leaves.push_back(x.detach().requires_grad_());
  const at::Tensor y = hybrid_attention(leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], kAccuracySlices, spec,
                                        {}, FeatureSign::never_negative);
  y.backward(in.dy);
  std::vector<at::Tensor> results{y.detach()};
  for (const at::Tensor& x : leaves) results.push_back(x.grad().defined() ? x.grad() : at::zeros_like(x));
  return results;
}

double relative_norm(const at::Tensor& found, const at::Tensor& exact) {
  const double size = exact.norm().item<double>();
  return (found.to(at::kDouble) - exact).norm().item<double>() / (size > 0 ? size : 1);
}

void expect_accurate(const AccuracyCase& in, const AttentionSpec& spec) {
  const char* const names[] = {"y", "dq", "dk", "dv", "dphi_q", "dphi_k"};
  const std::vector<at::Tensor> exact = composed(in, spec, at::kDouble), fast = fast_results(in, spec),
                                eager = composed(in, spec, at::kBFloat16);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double found = relative_norm(fast[i], exact[i]), beside = relative_norm(eager[i], exact[i]);
    const std::string what = cat(in.name, ' ', to_string(spec), ' ', names[i]);
    EXPECT_LE(found, 1e-2) << what << ", composed " << beside;
    EXPECT_LE(found, std::max(1.1 * beside, 1e-3)) << what;
  }
}

std::vector<AttentionSpec> accuracy_specs() {
  std::vector<AttentionSpec> specs = {{.kind = AttentionKind::linear}};
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
    specs.push_back({AttentionKind::rehyat, 3, 1, true, 2, normalizer});
    specs.push_back({AttentionKind::uniform_hybrid, 3, 1, true, 8, normalizer});
  }
  specs.push_back({AttentionKind::rehyat, 3, 0, false, 2, Normalizer::joint});
  specs.push_back({AttentionKind::rehyat, 5, 1, true, 2, Normalizer::joint});
  return specs;
}

TEST_F(GpuAccuracy, AsExactAsFloat64AllowsAtTheRealSize) {
  const AccuracyCase in = accuracy_case("plain", 1, 0, 1);
  for (const AttentionSpec& spec : accuracy_specs()) expect_accurate(in, spec);
}

/// Scores between -30 and 30 or so: a softmax of few keys.
TEST_F(GpuAccuracy, LargeScores) {
  const AccuracyCase in = accuracy_case("large", 6, 0, 1);
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse})
    expect_accurate(in, {AttentionKind::rehyat, 3, 1, true, 2, normalizer});
}

/// All scores nearly alike.
TEST_F(GpuAccuracy, TinyScores) {
  const AccuracyCase in = accuracy_case("tiny", 1e-3, 0, 1);
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse})
    expect_accurate(in, {AttentionKind::rehyat, 3, 1, true, 2, normalizer});
}

/// Scores around -84 and features as small: log Z of the joint softmax is about -75, and e^75 weighs each row.
TEST_F(GpuAccuracy, JointMassesFarBelowOne) {
  expect_accurate(accuracy_case("small masses", 1, -84, std::exp(-84.0)),
                  {AttentionKind::rehyat, 3, 1, true, 2, Normalizer::joint});
}

}  // namespace
}  // namespace rehyat::ops
