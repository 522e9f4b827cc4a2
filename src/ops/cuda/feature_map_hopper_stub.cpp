#include "ops/cuda/feature_map_hopper.h"

/// Where the build has no CUTLASS, or is for no GPU of compute capability 9.0: feature maps run as products with a
/// kernel behind each.
namespace rehyat::ops::cuda {
namespace {

constexpr const char* kNoHopperMap = "this program was built without CUTLASS (REHYAT_CUTLASS)";

}  // namespace

bool hopper_map_serves(int) {
  return false;
}

std::int64_t hopper_image_bytes() {
  return 0;
}

const char* launch_hopper_pack(const HopperWeights&, std::int64_t, void*, void*) {
  return kNoHopperMap;
}

const char* launch_hopper_forward(const HopperShape&, const HopperRows&, const void*, Activation, NonNegative,
                                  const HopperRows&, int, void*) {
  return kNoHopperMap;
}

const char* launch_hopper_backward(const HopperShape&, const HopperRows&, const HopperRows&, const void*, Activation,
                                   NonNegative, const HopperRows&, const HopperGradients&, int, void*) {
  return kNoHopperMap;
}

std::int64_t hopper_share_bytes(const HopperShape&, int) {
  return 0;
}

const char* launch_hopper_weights(const HopperShape&, const HopperRows&, const HopperGradients&, void*,
                                  const HopperWeightGradients&, int, void*) {
  return kNoHopperMap;
}

}  // namespace rehyat::ops::cuda
