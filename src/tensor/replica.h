#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <optional>
#include <vector>

namespace rehyat {

/// The type, device and state of a tensor's numbers, by which a change of them is seen: storage and version counter.
class NumbersStamp {
 public:
  explicit NumbersStamp(const at::Tensor& tensor);
  /// Whether the tensor still holds the numbers that it held then.
  bool holds(const at::Tensor& tensor) const;

 private:
  c10::weak_intrusive_ptr<c10::StorageImpl> storage_;  // held, so that no later storage has its address
  std::int64_t offset_;
  std::uint32_t version_;
};

/// A weight, usually float32, and its copy in the type that matrix products compute in. The copy is made when it is
/// first asked for and made again, in place, when the weight's numbers have changed: once an optimizer step, not once a
/// call. A graph that still holds the copy from before such a change refuses its backward pass, as libtorch does for
/// any tensor that was changed in place. Not for several threads at once.
class Replica {
 public:
  explicit Replica(at::Tensor weight);

  const at::Tensor& weight() const { return weight_; }
  /// The weight's numbers in `type`, outside of any graph: the weight itself where it has that type.
  at::Tensor numbers(at::ScalarType type) const;
  /// The same, differentiable in the weight, which gets its gradient in its own type.
  at::Tensor in(at::ScalarType type) const;

  /// Takes the numbers away from the weight, which keeps its size, type and device and becomes a leaf of NaN that fills
  /// no memory: only `copy`, in the type of the products, on the weight's device and of its size, has them from now on.
  /// Who calls this holds the numbers in full, writes `copy` by `rewrite` when they change, and gives them back.
  void lend_out(const at::Tensor& copy);
  bool lent_out() const { return lent_out_; }
  /// The copy of a weight that is lent out, to be written to.
  at::Tensor rewrite() const;
  /// The weight has these numbers, on any device, and no copy.
  void give_back(const at::Tensor& numbers);

 private:
  at::Tensor weight_;
  mutable at::Tensor copy_;
  mutable std::optional<NumbersStamp> copied_;  ///< the weight when the copy was made
  bool lent_out_ = false;
};

/// A module some of whose weights are read by their replicas alone, in the type of the products.
class HasReplicas {
 public:
  virtual ~HasReplicas() = default;
  /// Of the weights that make up most of the module: pointers into it.
  virtual std::vector<Replica*> replicas() = 0;
};

}  // namespace rehyat
