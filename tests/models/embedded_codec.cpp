#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "models/embedded/block_transform.h"
#include "models/embedded/embedded_encoders.h"
#include "tensor/random.h"

namespace rehyat::models {
namespace {

/// What natural video is like, roughly: a bright, slowly shaded ground and a soft disc that moves across it.
at::Tensor moving_disc(std::int64_t frames, std::int64_t height, std::int64_t width) {
  const auto options = at::TensorOptions(at::kDouble);
  const at::Tensor t = at::arange(frames, options).view({1, -1, 1, 1});
  const at::Tensor y = at::arange(height, options).view({1, 1, -1, 1});
  const at::Tensor x = at::arange(width, options).view({1, 1, 1, -1});
  const at::Tensor distance = ((x - 10 - 1.5 * t).square() + (y - 0.5 * height).square()).sqrt();
  const at::Tensor disc = at::sigmoid((12 - distance) / 2);
  const at::Tensor colour = at::tensor({0.8, -0.2, -0.6}, options).view({3, 1, 1, 1});
  const at::Tensor ground = 0.3 * at::sin(0.05 * x + 0.03 * y + 0.02 * t) - 0.4;
  return disc * colour + (1 - disc) * ground;
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
  return 10 * std::log10(4 / (a - b).square().mean().item<double>());
}

at::Tensor noise(at::IntArrayRef shape) {
  Rng rng(1, "test.codec");
  return (rehyat::rand(rng, shape) * 2 - 1).to(at::kDouble);
}

TEST(BlockTransform, KeptRowsAreOrthonormal) {
  const at::Tensor basis = transform_basis();
  ASSERT_EQ(basis.sizes(), (at::IntArrayRef{16, 768}));
  EXPECT_TRUE(at::allclose(basis.matmul(basis.t()), at::eye(16, at::kDouble), 0, 1e-13));
}

TEST(BlockTransformCodec, GeometryOfTheWanVae) {
  BlockTransformCodec codec;
  const at::Tensor latents = codec.encode(noise({3, 9, 16, 24}));
  EXPECT_EQ(latents.sizes(), (at::IntArrayRef{16, 3, 2, 3}));
  EXPECT_EQ(codec.decode(latents).sizes(), (at::IntArrayRef{3, 9, 16, 24}));
  EXPECT_EQ(codec.encode(noise({3, 1, 8, 8})).sizes(), (at::IntArrayRef{16, 1, 1, 1}));
}

TEST(BlockTransformCodec, IsAnOrthogonalProjection) {
  BlockTransformCodec codec;
  const at::Tensor video = noise({3, 9, 16, 24});
  const at::Tensor once = codec.decode(codec.encode(video)), twice = codec.decode(codec.encode(once));
  EXPECT_TRUE(at::allclose(once, twice, 0, 1e-12));
  // Pythagoras: the part that is lost is at right angles to the part that is kept.
  const double all = video.square().sum().item<double>(), kept = once.square().sum().item<double>();
  const double lost = (video - once).square().sum().item<double>();
  // Energy is about the mean that stands for an absent coefficient, which is a kept direction, so this is exact.
  EXPECT_NEAR(all, kept + lost, 1e-9 * all);
  EXPECT_LT(kept, 0.1 * all);  // white noise: 16 of 768
}

TEST(BlockTransformCodec, LatentsSurviveTheRoundTrip) {
  BlockTransformCodec codec;
  at::Tensor latents = noise({16, 3, 2, 2});
  const at::Tensor again = codec.encode(codec.decode(latents));
  EXPECT_TRUE(at::allclose(again.narrow(1, 1, 2), latents.narrow(1, 1, 2), 0, 1e-12));
  // The lone first frame has no motion: its temporal channels come back as 0, the others unchanged.
  const auto& channels = transform_channels();
  for (std::size_t c = 0; c < channels.size(); ++c) {
    const auto i = static_cast<std::int64_t>(c);
    const at::Tensor expected = channels[c].time == 0 ? latents[i][0] : at::zeros({2, 2}, at::kDouble);
    EXPECT_TRUE(at::allclose(again[i][0], expected, 0, 1e-12)) << "channel " << c;
  }
}

TEST(BlockTransformCodec, FramesAreCausal) {
  BlockTransformCodec codec;
  const at::Tensor video = noise({3, 13, 16, 16});
  at::Tensor changed = video.clone();
  changed.narrow(1, 9, 4).zero_();
  EXPECT_TRUE(at::equal(codec.encode(video).narrow(1, 0, 3), codec.encode(changed).narrow(1, 0, 3)));
  EXPECT_TRUE(at::equal(codec.encode(video.narrow(1, 0, 9)), codec.encode(video).narrow(1, 0, 3)));
}

TEST(BlockTransformCodec, SmoothVideoSurvives) {
  BlockTransformCodec codec;
  const at::Tensor video = moving_disc(17, 64, 96);
  const double decibel = psnr(codec.decode(codec.encode(video)), video);
  RecordProperty("psnr_db", std::to_string(decibel));
  EXPECT_GT(decibel, 28);
  const at::Tensor latents = codec.encode(video);
  EXPECT_LT(latents.abs().max().item<double>(), 8);
}

TEST(BlockTransformCodec, AConstantVideoIsExact) {
  BlockTransformCodec codec;
  const at::Tensor grey = at::full({3, 5, 8, 8}, 0.25, at::kDouble);
  EXPECT_TRUE(at::allclose(codec.decode(codec.encode(grey)), grey, 0, 1e-12));
}

TEST(BlockTransformCodec, KeepsTheDtype) {
  BlockTransformCodec codec;
  const at::Tensor video = noise({3, 5, 16, 16});
  const at::Tensor exact = codec.encode(video);
  EXPECT_EQ(exact.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::allclose(codec.encode(video.to(at::kFloat)).to(at::kDouble), exact, 1e-5, 1e-5));
  const at::Tensor half = codec.encode(video.to(at::kBFloat16));
  EXPECT_EQ(half.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::allclose(half.to(at::kDouble), exact, 0.02, 0.02));
  EXPECT_EQ(codec.decode(half).scalar_type(), at::kBFloat16);
}

TEST(BlockTransformCodec, RefusesOtherShapesWithAHint) {
  BlockTransformCodec codec;
  const auto message = [&](const at::Tensor& video) {
    try {
      codec.encode(video);
    } catch (const UserError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message(noise({3, 8, 16, 16})).find("cut it to 5"), std::string::npos);
  EXPECT_NE(message(noise({3, 5, 20, 16})).find("16x16"), std::string::npos);
  EXPECT_NE(message(noise({3, 5, 16, 4})), "");
  EXPECT_NE(message(noise({4, 5, 16, 16})), "");
  EXPECT_NE(message(noise({3, 0, 16, 16})), "");
  EXPECT_NE(message(noise({5, 16, 16})), "");
  EXPECT_NE(message(at::zeros({3, 5, 16, 16}, at::kByte)), "");
  EXPECT_THROW(codec.decode(noise({15, 2, 2, 2})), UserError);
  EXPECT_THROW(codec.decode(noise({16, 0, 2, 2})), UserError);
}

TEST(BlockTransformCodec, FingerprintIsStable) {
  EXPECT_EQ(BlockTransformCodec().fingerprint(), BlockTransformCodec().fingerprint());
  EXPECT_NE(BlockTransformCodec().fingerprint(), "");
}

}  // namespace
}  // namespace rehyat::models
