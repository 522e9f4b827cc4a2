#include "tensor/replica.h"

#include <torch/torch.h>

#include <limits>
#include <stdexcept>
#include <utility>

namespace rehyat {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// The copy in place of the weight; the gradient comes back in the weight's type.
class ReplicaFunction : public torch::autograd::Function<ReplicaFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& weight, const at::Tensor& copy) {
    ctx->saved_data["type"] = static_cast<std::int64_t>(weight.scalar_type());
    return at::alias(copy);  // the result gets a place in the graph, which the copy must not have
  }
  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    return {upstream[0].to(static_cast<at::ScalarType>(ctx->saved_data["type"].toInt())), Variable()};
  }
};

std::uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

}  // namespace

NumbersStamp::NumbersStamp(const at::Tensor& tensor)
    : storage_(tensor.storage().getWeakStorageImpl()), offset_(tensor.storage_offset()), version_(version_of(tensor)) {}

bool NumbersStamp::holds(const at::Tensor& tensor) const {
  return storage_._unsafe_get_target() == tensor.storage().unsafeGetStorageImpl() &&
         offset_ == tensor.storage_offset() && version_ == version_of(tensor);
}

Replica::Replica(at::Tensor weight) : weight_(std::move(weight)) {}

at::Tensor Replica::numbers(at::ScalarType type) const {
  if (lent_out_) {
    if (copy_.scalar_type() != type) throw std::logic_error("a weight that is lent out has no numbers of this type");
    return copy_;
  }
  if (weight_.scalar_type() == type) return weight_.detach();
  const bool fits = copy_.defined() && copy_.scalar_type() == type && copy_.device() == weight_.device() &&
                    copy_.sizes() == weight_.sizes();
  if (fits && copied_->holds(weight_)) return copy_;
  const at::NoGradGuard no_grad;
  if (fits)
    copy_.copy_(weight_);
  else
    copy_ = weight_.detach().to(type);
  copied_.emplace(weight_);
  return copy_;
}

at::Tensor Replica::in(at::ScalarType type) const {
  if (!lent_out_ && weight_.scalar_type() == type) return weight_;
  const at::Tensor copy = numbers(type);
  if (!at::GradMode::is_enabled() || !weight_.requires_grad()) return copy;
  return ReplicaFunction::apply(weight_, copy);
}

void Replica::lend_out(const at::Tensor& copy) {
  const at::NoGradGuard no_grad;
  if (copy.sizes() != weight_.sizes() || copy.device() != weight_.device())
    throw std::logic_error("the copy of a weight that is lent out has another size or device");
  const at::Tensor nothing = at::full({}, std::numeric_limits<double>::quiet_NaN(), weight_.options());
  weight_.set_data(nothing.expand(weight_.sizes()));
  copy_ = copy;
  copied_.reset();
  lent_out_ = true;
}

at::Tensor Replica::rewrite() const {
  if (!lent_out_) throw std::logic_error("only the copy of a weight that is lent out is written to");
  return copy_;
}

void Replica::give_back(const at::Tensor& numbers) {
  if (numbers.sizes() != weight_.sizes()) throw std::logic_error("a weight is given back in another size");
  weight_.set_data(numbers);
  copy_.reset();
  copied_.reset();
  lent_out_ = false;
}

}  // namespace rehyat
