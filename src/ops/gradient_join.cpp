#include "ops/gradient_join.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "ops/cuda/readable.h"

namespace rehyat::ops {
namespace {

using JoinContext = torch::autograd::AutogradContext;
using JoinList = torch::autograd::variable_list;

struct PiecesHolder : torch::CustomClassHolder {
  std::shared_ptr<GradientPieces> pieces;
  explicit PiecesHolder(std::shared_ptr<GradientPieces> p) : pieces(std::move(p)) {}
};

class JoinFunction : public torch::autograd::Function<JoinFunction> {
 public:
  static at::Tensor forward(JoinContext* ctx, const at::Tensor& x, const std::shared_ptr<GradientPieces>& pieces) {
    ctx->set_materialize_grads(false);
    ctx->saved_data["pieces"] = c10::IValue::make_capsule(c10::make_intrusive<PiecesHolder>(pieces));
    ctx->saved_data["sizes"] = x.sizes().vec();
    ctx->saved_data["strides"] = x.strides().vec();
    return x.view_as(x);
  }

  static JoinList backward(JoinContext* ctx, JoinList upstream) {
    const auto holder = ctx->saved_data["pieces"].toCapsule();
    const auto samples = std::exchange(static_cast<const PiecesHolder&>(*holder).pieces->samples, {});
    const at::Tensor& other = upstream[0];
    if (samples.empty()) return {other, torch::autograd::Variable()};
    const at::Tensor total =
        at::empty_strided(ctx->saved_data["sizes"].toIntVector(), ctx->saved_data["strides"].toIntVector(),
                          samples.front().front().gradient.options());
    for (std::size_t b = 0; b < samples.size(); ++b) {
      const auto sample = static_cast<std::int64_t>(b);
      fused_fold(total[sample], samples[b], other.defined() ? other[sample] : at::Tensor());
    }
    return {total, torch::autograd::Variable()};
  }
};

}  // namespace

JoinedInput joined_input(const at::Tensor& x) {
  const bool served = has_fused_linear(x) && is_readable(x) && x.is_non_overlapping_and_dense();
  if (!served || !at::GradMode::is_enabled() || !x.requires_grad()) return {x, nullptr};
  const auto pieces = std::make_shared<GradientPieces>();
  return {JoinFunction::apply(x, pieces), pieces};
}

}  // namespace rehyat::ops
