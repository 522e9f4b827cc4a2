#pragma once

#include <vector>

#include "train/host_arrays.h"
#include "train/task.h"

namespace rehyat::train {

/// Trained weights whose float32 numbers live in host memory, while the model computes with their copies in the compute
/// type (tensor/replica.h): of the parameters those that have a replica. The others stay where they are.
class HostedWeights {
 public:
  /// Moves the numbers to the host.
  explicit HostedWeights(const std::vector<NamedParameter>& parameters,
                         std::int64_t shard_numbers = HostArrays::kShardNumbers);
  /// Gives them back to the model, on its device.
  ~HostedWeights();
  HostedWeights(const HostedWeights&) = delete;
  HostedWeights& operator=(const HostedWeights&) = delete;

  bool is_hosted(const NamedParameter& parameter) const { return parameter.replica != nullptr; }
  /// The numbers of a parameter: in host memory, or its own.
  at::Tensor numbers(const NamedParameter& parameter) const;
  /// Which of the parameters are hosted, ascending.
  const std::vector<std::size_t>& which() const { return which_; }
  const HostArrays& arrays() const { return arrays_; }
  HostArray& masters() { return masters_; }
  /// Writes the copies of these hosted weights (positions in `which`) from their numbers on the device.
  void rewrite(const std::vector<std::size_t>& hosted, const std::vector<at::Tensor>& numbers) const;
  /// Writes all copies from the host's numbers, after these have changed there.
  void refresh();

 private:
  std::vector<NamedParameter> hosted_;
  std::vector<std::size_t> which_;
  HostArrays arrays_;
  HostArray masters_;
};

}  // namespace rehyat::train
