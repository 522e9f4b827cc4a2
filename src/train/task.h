#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "tensor/replica.h"

namespace rehyat::train {

struct NamedParameter {
  std::string name;
  at::Tensor tensor;                    ///< a leaf that requires a gradient; float32
  Replica* replica = nullptr;           ///< by which alone the model reads the tensor, where that is so
  at::ScalarType compute = at::kFloat;  ///< the type in which it does
};

/// What a stage gives to the training loop: parameters and the loss of a step. Data and randomness of a step are
/// functions of (seed, step, sample), so that a resumed run needs no other state than the step's number.
class Task {
 public:
  virtual ~Task() = default;
  virtual std::vector<NamedParameter> parameters() = 0;
  /// How many times `loss` is called in one step.
  virtual std::int64_t micro_batches() const { return 1; }
  /// This rank's share of the loss: the sum over micro-batches and ranks is the loss of the step. Differentiable. Not
  /// collective: it may throw on one rank alone, which then ends the training on all.
  virtual at::Tensor loss(std::int64_t step, std::int64_t micro_batch) = 0;
  /// Measures on held-out data, the same on every rank. Collective: it throws on all ranks or on none.
  virtual nlohmann::ordered_json validate() { return nlohmann::ordered_json::object(); }
  /// Seconds that this rank's `loss` has waited for its samples so far, in all steps; for the log.
  virtual double seconds_of_waiting() const { return 0; }
  /// Samples of one step, over all ranks; for the speed in the log.
  virtual std::int64_t samples_per_step() const = 0;
};

}  // namespace rehyat::train
