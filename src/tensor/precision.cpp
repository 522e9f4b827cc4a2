#include "tensor/precision.h"

namespace rehyat {

at::ScalarType compute_type(Precision precision, at::Device device) {
  if (precision == Precision::automatic) return device.is_cpu() ? at::kFloat : at::kBFloat16;
  return precision == Precision::bf16 ? at::kBFloat16 : at::kFloat;
}

void add_precision(config::Fields& f, Precision& value) {
  f.choice("precision", value, {{"auto", Precision::automatic}, {"f32", Precision::f32}, {"bf16", Precision::bf16}},
           "type of the matrix products (auto: bf16 on GPUs, f32 on CPUs); weights, states and losses are float32");
}

}  // namespace rehyat
