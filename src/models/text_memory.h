#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>

#include "models/attention/self_attention.h"

namespace rehyat::models {

/// What a transformer makes of a text alone, which is the same at every denoising step: the text as its blocks see it,
/// and each block's keys and values of it. Whoever runs many passes over one text owns one, for as long as the weights
/// stay as they are. Of Wan it holds 2 L dim numbers a sample and block in the compute type: 94 MB for the 1.3B in
/// bf16.
class TextMemory {
 public:
  /// Before a pass over `text` with products in `compute`: what is held of another tensor or type is forgotten.
  void begin(const at::Tensor& text, at::ScalarType compute);

  /// What is held, or else what `make` gives.
  const at::Tensor& words(const std::function<at::Tensor()>& make);
  const TextKeys& keys(std::int64_t block, const std::function<TextKeys()>& make);

  std::int64_t bytes() const;

 private:
  at::Tensor text_, words_;
  at::ScalarType compute_ = at::kFloat;
  std::map<std::int64_t, TextKeys> keys_;
};

}  // namespace rehyat::models
