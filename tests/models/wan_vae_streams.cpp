#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>

#include "core/expect_error.h"
#include "models/small_vae.h"
#include "models/wan/vae_codec.h"

namespace rehyat::models {
namespace {

using testing::expect_error;
using testing::random_video;
using testing::relative_error;
using testing::small_vae;
using testing::vae_fixture;

/// The bytes of all tensors of this thread, as libtorch's allocator reports them, since construction.
class TensorBytes {
 public:
  TensorBytes() : counter_(std::make_shared<Counter>()), guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}
  std::int64_t peak() const { return counter_->peak; }

 private:
  struct Counter : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override {
      now += bytes;
      peak = std::max(peak, now);
    }
    bool memoryProfilingEnabled() const override { return true; }
    std::int64_t now = 0, peak = 0;
  };
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

std::int64_t encoding_peak(WanVae vae, std::int64_t chunks, std::int64_t* cached) {
  const TensorBytes bytes;
  VaeEncodeStream stream(*vae);
  for (std::int64_t i = 0; i < chunks; ++i) stream.push(random_video({1, 3, i == 0 ? 1 : 4, 32, 48}));
  *cached = stream.cache_bytes();
  return bytes.peak();
}

std::int64_t decoding_peak(WanVae vae, const at::Tensor& latents) {
  const TensorBytes bytes;
  std::int64_t frames = 0;
  vae->decode(latents, [&](const at::Tensor& chunk) { frames += chunk.size(2); });
  EXPECT_EQ(frames, 1 + 4 * (latents.size(2) - 1));
  return bytes.peak();
}

TEST(VaeMemory, DoesNotGrowWithTheLength) {
  WanVae vae = small_vae();
  std::int64_t few_cached = 0, many_cached = 0;
  const std::int64_t few = encoding_peak(vae, 4, &few_cached), many = encoding_peak(vae, 20, &many_cached);
  EXPECT_GT(few, 100'000);
  EXPECT_EQ(few, many);
  EXPECT_EQ(few_cached, many_cached);
  const at::Tensor latents = random_video({1, 4, 70, 4, 6});
  const std::int64_t short_video = decoding_peak(vae, latents.narrow(2, 0, 35)),
                     long_video = decoding_peak(vae, latents);
  EXPECT_GT(short_video, 100'000);
  EXPECT_EQ(short_video, long_video);
}

TEST(VaeMemory, DoesNotGrowWithTheLengthInTiles) {
  WanVae vae =
      small_vae({.tiling = VaeTiling{.tile_height = 16, .tile_width = 16, .stride_height = 8, .stride_width = 16}});
  std::int64_t few_cached = 0, many_cached = 0;
  EXPECT_EQ(encoding_peak(vae, 4, &few_cached), encoding_peak(vae, 8, &many_cached));
  EXPECT_EQ(few_cached, many_cached);
  const at::Tensor latents = random_video({1, 4, 40, 4, 6});
  EXPECT_EQ(decoding_peak(vae, latents.narrow(2, 0, 32)), decoding_peak(vae, latents));
}

TEST(VaeStream, EqualsTheWhole) {
  WanVae vae = small_vae();
  const at::Tensor video = random_video({2, 3, 9, 16, 8});
  const VaePosterior whole = vae->encode(video);
  VaeEncodeStream encode(*vae);
  const at::Tensor moments = at::cat(
      {encode.push(video.narrow(2, 0, 1)), encode.push(video.narrow(2, 1, 4)), encode.push(video.narrow(2, 5, 4))}, 2);
  // Within rounding: the last convolution runs over one chunk here and over all of them there.
  EXPECT_LT(relative_error(moments.chunk(2, 1)[0], whole.mean), 1e-6);
  std::vector<at::Tensor> parts;
  vae->decode(whole.mean, [&](const at::Tensor& frames) { parts.push_back(frames); });
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].size(2), 1);
  EXPECT_EQ(parts[2].size(2), 4);
  EXPECT_TRUE(at::equal(at::cat(parts, 2), vae->decode(whole.mean)));
  VaeDecodeStream decode(*vae);
  for (std::int64_t i = 0; i < 3; ++i)
    EXPECT_LT(relative_error(decode.push(whole.mean.narrow(2, i, 1)), parts[static_cast<std::size_t>(i)]), 1e-5);
}

TEST(VaeConvolution, IsTheSameOverStackedFrames) {
  Rng rng(8, "test.vae.stack");
  const at::NoGradGuard no_grad;
  for (const std::int64_t channels : {3, 32, 40}) {
    const VaeConv conv(channels, 5, std::vector<std::int64_t>{3, 3, 3}, at::TensorOptions(at::kDouble));
    conv->weight.copy_(randn(rng, conv->weight.sizes()));
    conv->bias.copy_(randn(rng, {5}));
    EXPECT_EQ(conv->stacked_channels() % 32, 0);
    FeatureCache::Slot plain, stacked;
    for (const std::int64_t frames : {1, 1, 4, 2, 3}) {
      const at::Tensor x = randn(rng, {2, channels, frames, 4, 5}).to(at::kDouble);
      const at::Tensor expected = conv->forward_causal(x, plain, 1);
      EXPECT_LT(relative_error(conv->forward_causal_stacked(x, stacked), expected), 1e-13) << channels << ' ' << frames;
      EXPECT_TRUE(at::equal(stacked.frames, plain.frames)) << channels << ' ' << frames;
    }
  }
}

TEST(VaeStream, IsTheSameHoweverManyFramesRunTogether) {
  const at::Tensor video = random_video({1, 3, 21, 16, 24}), latents = random_video({1, 4, 6, 2, 3});
  const at::Tensor mean = small_vae()->encode(video).mean, decoded = small_vae()->decode(latents);
  for (const std::int64_t together : {2, 3, 8}) {
    WanVae vae = small_vae({.together = together});
    EXPECT_LT(relative_error(vae->encode(video).mean, mean), 1e-5) << together;
    std::vector<at::Tensor> parts;
    vae->decode(latents, [&](const at::Tensor& frames) { parts.push_back(frames); });
    EXPECT_EQ(parts.size(), 1 + static_cast<std::size_t>((5 + together - 1) / together)) << together;
    EXPECT_LT(relative_error(at::cat(parts, 2), decoded), 1e-5) << together;
  }
}

TEST(VaeStream, CarriesNoGradientsAndLeavesItsInputAlone) {
  WanVae vae = small_vae();
  const at::Tensor video = random_video({1, 3, 5, 8, 8}).requires_grad_(true), before = video.detach().clone();
  const at::Tensor mean = vae->encode(video).mean;
  EXPECT_FALSE(mean.requires_grad());
  vae->decode(mean);
  EXPECT_TRUE(at::equal(video, before));
  for (const auto& item : vae->tensors()) EXPECT_FALSE(item.second.requires_grad()) << item.first;
}

TEST(VaeStream, EveryMultipleOfEightIsAccepted) {
  WanVae vae = small_vae();
  for (const std::int64_t height : {8, 16, 24, 40}) {
    for (const std::int64_t width : {8, 24, 56}) {
      const at::Tensor z = vae->encode(random_video({1, 3, 5, height, width})).mode();
      EXPECT_EQ(z.sizes().vec(), (std::vector<std::int64_t>{1, 4, 2, height / 8, width / 8}));
      EXPECT_EQ(vae->decode(z).sizes().vec(), (std::vector<std::int64_t>{1, 3, 5, height, width}));
    }
  }
}

TEST(VaeStream, RefusesOtherShapes) {
  WanVae vae = small_vae();
  const auto encode = [&](at::IntArrayRef shape) { return vae->encode(random_video(shape)); };
  expect_error<UserError>([&] { encode({1, 3, 6, 8, 8}); }, {"6 frames", "4k + 1", "5 and 9"});
  expect_error<UserError>([&] { encode({1, 3, 80, 8, 8}); }, {"80 frames", "77 and 81"});
  expect_error<UserError>([&] { encode({1, 3, 5, 12, 30}); }, {"12 x 30", "multiples of 8", "16 x 32"});
  expect_error<UserError>([&] { encode({1, 3, 5, 2, 8}); }, {"2 x 8", "8 x 8"});
  expect_error<UserError>([&] { encode({1, 4, 5, 8, 8}); }, {"[1, 4, 5, 8, 8]", "[B, 3,"});
  expect_error<UserError>([&] { encode({3, 5, 8, 8}); }, {"[3, 5, 8, 8]", "[B, 3,"});
  expect_error<UserError>([&] { encode({1, 3, 0, 8, 8}); }, {"[1, 3, 0, 8, 8]"});
  expect_error<UserError>([&] { vae->encode(at::zeros({1, 3, 1, 8, 8}, at::kByte)); }, {"Byte", "floating"});
  expect_error<UserError>([&] { vae->decode(random_video({1, 3, 2, 1, 1})); }, {"[1, 3, 2, 1, 1]", "[B, 4,"});
  VaeEncodeStream stream(*vae);
  expect_error<UserError>([&] { stream.push(random_video({1, 3, 4, 8, 8})); }, {"4 frames", "expected 1"});
  stream.push(random_video({1, 3, 1, 8, 8}));
  expect_error<UserError>([&] { stream.push(random_video({1, 3, 1, 8, 8})); }, {"1 frames", "expected 4"});
  expect_error<UserError>([&] { stream.push(random_video({1, 3, 4, 8, 16})); }, {"[1, 8, 16]", "[1, 8, 8]"});
}

TEST(VaeOptions, RefusesWhatDoesNotFit) {
  expect_error<UserError>([] { WanVae(VaeConfig(), VaeOptions{.compute = at::kInt}); }, {"Int", "float32"});
  expect_error<UserError>([] { WanVae(VaeConfig(), VaeOptions{.tiling = VaeTiling{.tile_height = 100}}); },
                          {"tile_height", "100", "multiple of 8"});
  expect_error<UserError>([] { WanVae(VaeConfig(), VaeOptions{.tiling = VaeTiling{.stride_width = 264}}); },
                          {"stride_width", "264", "at most tile_width, 256"});
}

TEST(VaeTiles, CoverTheFrame) {
  EXPECT_EQ(tiles_along(40, 24, 16), (std::vector<TileSpan>{{0, 24}, {16, 24}, {32, 8}}));
  EXPECT_EQ(tiles_along(8, 24, 16), (std::vector<TileSpan>{{0, 8}}));
  EXPECT_EQ(tiles_along(32, 16, 16), (std::vector<TileSpan>{{0, 16}, {16, 16}}));
}

TEST(VaeCodec, NormalisesLatentsAndComesBack) {
  WanVae vae = small_vae();
  WanVaeCodec codec(vae);
  const at::Tensor video = random_video({3, 5, 16, 24});
  const at::Tensor z = vae->encode(video.unsqueeze(0)).mode().squeeze(0), normalised = codec.encode(video);
  const std::vector<double> mean = {0.5, -0.25, 1.5, -1.0}, std = {2.0, 0.75, 1.25, 3.0};
  for (std::int64_t c = 0; c < 4; ++c) {
    const auto i = static_cast<std::size_t>(c);
    EXPECT_LT(relative_error(normalised[c], (z[c] - mean[i]) / std[i]), 1e-6);
  }
  EXPECT_LT(relative_error(codec.decode(normalised), vae->decode(z.unsqueeze(0)).squeeze(0)), 3e-5);
  std::vector<at::Tensor> parts;
  codec.decode(normalised, [&](const at::Tensor& frames) { parts.push_back(frames); });
  EXPECT_TRUE(at::equal(at::cat(parts, 1), codec.decode(normalised)));
}

TEST(VaeCodec, RefusesWhatDoesNotFit) {
  WanVaeCodec codec(small_vae());
  expect_error<UserError>([&] { codec.encode(random_video({1, 3, 5, 8, 8})); }, {"[1, 3, 5, 8, 8]"});
  expect_error<UserError>([&] { codec.encode(random_video({3, 6, 8, 8})); }, {"6 frames"});
  expect_error<UserError>([&] { codec.encode(at::full({3, 1, 8, 8}, NAN)); }, {"latents", "NaN"});
  expect_error<UserError>([&] { codec.decode(random_video({3, 2, 1, 1})); }, {"[3, 2, 1, 1]", "[4, frames"});
  expect_error<UserError>([] { WanVaeCodec(load_vae(vae_fixture("other"))); }, {"a stride of 2 frames", "3 and 4"});
  VaeConfig config;
  config.z_dim = 2;
  config.base_dim = config.decoder_base_dim = 2;
  expect_error<UserError>([&] { WanVaeCodec{WanVae(config)}; }, {"latents_mean", "16", "expected 2"});
}

TEST(VaeCodec, FingerprintChangesWithWhateverChangesTheLatents) {
  const auto fingerprint = [](const VaeOptions& options) { return WanVaeCodec(small_vae(options)).fingerprint(); };
  const std::string plain = fingerprint({});
  EXPECT_EQ(plain, fingerprint({}));
  EXPECT_NE(plain, fingerprint({.compute = at::kBFloat16}));
  EXPECT_NE(plain, fingerprint({.tiling = VaeTiling{}}));
  EXPECT_EQ(fingerprint({.tiling = VaeTiling{}}), fingerprint({.tiling = VaeTiling{.offload = true}}));
  WanVae changed = small_vae();
  changed->tensors().back().second.view(-1)[0].add_(1e-3);
  EXPECT_NE(plain, WanVaeCodec(changed).fingerprint());
}

}  // namespace
}  // namespace rehyat::models
