#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "tensor/io.h"
#include "train/config.h"
#include "train/task.h"

namespace rehyat::train {

/// AdamW (Loshchilov & Hutter 2019) through libtorch's fused kernel: float32 weights and state, bit-stable over saving.
class AdamW {
 public:
  AdamW(const std::vector<NamedParameter>& parameters, const TrainConfig& config);

  /// One update from the parameters' gradients (none counts as 0).
  void step(double lr);
  NamedTensors state() const;
  /// Throws UserError when `state` is not that of these parameters.
  void load(const NamedTensors& state, const std::string& where);

 private:
  std::vector<NamedParameter> parameters_;
  TrainConfig config_;
  std::vector<at::Tensor> mean_, square_, steps_;
};

/// Exponential moving average of the weights, in float32.
class Ema {
 public:
  Ema(const std::vector<NamedParameter>& parameters, double decay);
  void update();
  NamedTensors state() const;
  void load(const NamedTensors& state, const std::string& where);
  /// Exchanges the parameters and their average. Once, the model is the average; twice, training goes on.
  void swap();

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<at::Tensor> average_;
  double decay_;
};

/// Copies `from` into the tensors of `to` by name; throws UserError on a missing, surplus or misshapen one.
void copy_named(const NamedTensors& from, const NamedTensors& to, const std::string& where);

}  // namespace rehyat::train
