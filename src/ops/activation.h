#pragma once

/// The elementwise functions of a feature map. Knows no libtorch, so that kernels can name them.
namespace rehyat::ops {

enum class Activation { gelu, silu, relu };            ///< between layers; gelu is the exact one (erf)
enum class NonNegative { softplus, relu, exp, none };  ///< what makes features non-negative

}  // namespace rehyat::ops
