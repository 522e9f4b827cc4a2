#include "models/small_vae.h"

namespace rehyat::models {
namespace {

using testing::relative_error;
using testing::small_vae;
using testing::vae_fixture;
constexpr double kTolerance = 1e-5, kLongTolerance = 2e-5;
const VaeTiling kTiles = {.tile_height = 24, .tile_width = 32, .stride_height = 16, .stride_width = 16};

struct Fixture {
  explicit Fixture(const std::string& name) : reader(vae_fixture(name + ".safetensors")) {}
  at::Tensor operator[](const std::string& name) const { return read_tensor(reader, reader.at(name)); }
  safetensors::Reader reader;
};

void expect_encoded(WanVae vae, const std::string& name, double tolerance = kTolerance) {
  const Fixture fixture(name);
  const VaePosterior found = vae->encode(fixture["video"]);
  EXPECT_LT(relative_error(found.mode(), fixture["latents"]), tolerance) << name;
  EXPECT_LT(relative_error(found.logvar, fixture["logvar"]), tolerance) << name;
}

void expect_decoded(WanVae vae, const std::string& name, double tolerance = kTolerance) {
  const Fixture fixture(name);
  EXPECT_LT(relative_error(vae->decode(fixture["latents"]), fixture["video"]), tolerance) << name;
}

TEST(VaeParity, EncodesAsDiffusers) {
  expect_encoded(small_vae(), "small_encode");
  expect_encoded(small_vae(), "small_encode_batch");
  expect_encoded(small_vae(), "small_encode_long", kLongTolerance);
}

TEST(VaeParity, DecodesAsDiffusers) {
  expect_decoded(small_vae(), "small_decode");
  expect_decoded(small_vae(), "small_decode_batch");
  expect_decoded(small_vae(), "small_decode_long", kLongTolerance);
}

TEST(VaeParity, OfEveryNumberOfFrames) {
  // The VAE is causal, so diffusers' result for fewer frames is the start of that for more (checked when the fixtures
  // are made).
  WanVae vae = small_vae();
  const Fixture encode("small_encode"), decode("small_decode");
  for (const std::int64_t k : {0, 1, 2, 4}) {
    const VaePosterior found = vae->encode(encode["video"].narrow(2, 0, 4 * k + 1));
    EXPECT_LT(relative_error(found.mode(), encode["latents"].narrow(2, 0, k + 1)), kTolerance) << k;
    const at::Tensor video = vae->decode(decode["latents"].narrow(2, 0, k + 1));
    EXPECT_LT(relative_error(video, decode["video"].narrow(2, 0, 4 * k + 1)), kTolerance) << k;
  }
}

TEST(VaeParity, OfOtherSizesWithAttentionInTheEncoder) {
  expect_encoded(load_vae(vae_fixture("other")), "other_encode");
  expect_decoded(load_vae(vae_fixture("other")), "other_decode");
}

TEST(VaeParity, OfTheOriginalNames) {
  VaeConfig config;
  config.base_dim = config.decoder_base_dim = 3;
  config.z_dim = 2;
  const auto load = [&] {
    return load_vae(config, open_safetensors({vae_fixture("original/Wan2.1_VAE.safetensors")}, "original"));
  };
  expect_encoded(load(), "original_encode");
  expect_decoded(load(), "original_decode");
}

TEST(VaeParity, InTiles) {
  for (const bool offload : {false, true}) {
    VaeTiling tiles = kTiles;
    tiles.offload = offload;
    expect_encoded(small_vae({.tiling = tiles}), "small_encode_tiled");
    expect_decoded(small_vae({.tiling = tiles}), "small_decode_tiled");
  }
}

TEST(VaeParity, TilesChangeTheResultAndSmallFramesAreRunWhole) {
  const Fixture fixture("small_decode_tiled");
  EXPECT_GT(relative_error(small_vae()->decode(fixture["latents"]), fixture["video"]), 1e-3);
  VaeTiling large = kTiles;
  large.tile_height = 40;
  large.tile_width = 56;
  EXPECT_EQ(
      relative_error(small_vae({.tiling = large})->decode(fixture["latents"]), small_vae()->decode(fixture["latents"])),
      0);
}

TEST(VaeParity, OtherTypesComeNear) {
  const Fixture encode("small_encode"), decode("small_decode");
  const auto errors = [&](at::ScalarType compute, at::ScalarType weights) {
    WanVae vae = small_vae({.compute = compute, .weights = weights});
    const VaePosterior posterior = vae->encode(encode["video"]);
    EXPECT_EQ(posterior.mode().scalar_type(), compute == at::kDouble ? at::kDouble : at::kFloat);
    EXPECT_EQ(vae->tensors().front().second.scalar_type(), weights);
    return std::pair{relative_error(posterior.mode(), encode["latents"]),
                     relative_error(vae->decode(decode["latents"]), decode["video"])};
  };
  const auto wide = errors(at::kDouble, at::kDouble);
  EXPECT_LT(std::max(wide.first, wide.second), kTolerance);
  // The fixture's weights are bfloat16 numbers: holding them so changes nothing.
  const auto held = errors(at::kFloat, at::kBFloat16);
  EXPECT_LT(std::max(held.first, held.second), kTolerance);
  const auto half = errors(at::kBFloat16, at::kBFloat16);
  EXPECT_LT(std::max(half.first, half.second), 0.1);
  EXPECT_GT(std::min(half.first, half.second), 1e-4);
}

}  // namespace
}  // namespace rehyat::models
