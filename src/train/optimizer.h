#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "tensor/io.h"
#include "train/config.h"
#include "train/hosted_weights.h"
#include "train/task.h"

namespace rehyat::train {

/// AdamW (Loshchilov & Hutter 2019) through libtorch's fused kernel: float32 weights and state, bit-stable over saving.
/// Hosted weights have their moments beside them in host memory, and are updated shard by shard on the device, to the
/// same bits.
class AdamW {
 public:
  /// `hosted`: of these parameters, outlives the optimizer; null: all are on the device.
  AdamW(const std::vector<NamedParameter>& parameters, const TrainConfig& config, HostedWeights* hosted = nullptr);

  /// One update from the parameters' gradients (none counts as 0).
  void step(double lr);
  NamedTensors state() const;
  /// Throws UserError when `state` is not that of these parameters.
  void load(const NamedTensors& state, const std::string& where);

 private:
  void update(std::vector<at::Tensor> weights, std::vector<at::Tensor> means, std::vector<at::Tensor> squares,
              const std::vector<std::size_t>& which, double lr);

  std::vector<NamedParameter> parameters_;
  TrainConfig config_;
  HostedWeights* hosted_;
  std::vector<std::size_t> resident_;  ///< the parameters that are not hosted
  HostArray host_mean_, host_square_;
  std::vector<at::Tensor> mean_, square_, steps_;  ///< of all; the host's are views of its arrays
};

/// Exponential moving average of the weights, in float32; of hosted weights in host memory.
class Ema {
 public:
  Ema(const std::vector<NamedParameter>& parameters, double decay, HostedWeights* hosted = nullptr);
  void update();
  NamedTensors state() const;
  void load(const NamedTensors& state, const std::string& where);
  /// Exchanges the parameters and their average. Once, the model is the average; twice, training goes on.
  void swap();

 private:
  std::vector<NamedParameter> parameters_;
  HostedWeights* hosted_;
  std::vector<std::size_t> resident_;
  HostArray host_average_;
  std::vector<at::Tensor> average_;  ///< of all; the host's are views of its array
  double decay_;
};

/// Copies `from` into the tensors of `to` by name; throws UserError on a missing, surplus or misshapen one.
void copy_named(const NamedTensors& from, const NamedTensors& to, const std::string& where);

}  // namespace rehyat::train
