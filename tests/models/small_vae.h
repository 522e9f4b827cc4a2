#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "core/fixtures.h"
#include "core/rng.h"
#include "models/wan/vae_weights.h"
#include "tensor/random.h"

namespace rehyat::testing {

/// Fixtures of scripts/fixtures/vae.py, made with diffusers.
inline std::filesystem::path vae_fixture(const std::string& name) {
  return fixtures() / "vae" / name;
}

inline models::WanVae small_vae(const models::VaeOptions& options = {}) {
  return models::load_vae(vae_fixture("small"), options);
}

/// Video in [-1, 1].
inline at::Tensor random_video(at::IntArrayRef shape, std::uint64_t seed = 1) {
  Rng rng(seed, "test.vae");
  return rand(rng, shape) * 2 - 1;
}

inline double relative_error(const at::Tensor& found, const at::Tensor& expected) {
  EXPECT_EQ(found.sizes(), expected.sizes());
  if (found.sizes() != expected.sizes()) return 1;
  const at::Tensor reference = expected.to(at::kDouble);
  return ((found.to(at::kDouble) - reference).abs().max() / reference.abs().max()).item<double>();
}

}  // namespace rehyat::testing
