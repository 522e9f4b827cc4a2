#include "models/embedded/embedded_encoders.h"

#include <algorithm>
#include <span>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "models/embedded/block_transform.h"
#include "models/embedded/seeded_text.h"
#include "tensor/io.h"
#include "tensor/wide.h"

namespace rehyat::models {
namespace {

constexpr std::int64_t kVideoColours = 3;
constexpr VideoGeometry kTransformGeometry{
    .frames = kTransformTime, .height = kTransformSpace, .width = kTransformSpace, .channels = kTransformChannels};

std::int64_t nearest_side(std::int64_t side) {
  return std::max(side / kTransformSpace * kTransformSpace, kTransformSpace);
}

void require_video(const at::Tensor& video) {
  const std::string found = shape_string(video.sizes().vec());
  if (video.dim() != 4 || video.size(0) != kVideoColours || !video.is_floating_point())
    throw UserError(Mistake{"[encode] video", cat(found, " ", video.scalar_type()),
                            "floating point [3, frames, height, width] in [-1, 1]", ""});
  const std::int64_t frames = video.size(1);
  const VideoRule rule(kTransformGeometry, {1, 1, 1});
  if (frames % kTransformTime != 1)
    throw UserError(Mistake{"[encode] video", cat(frames, " frames"), cat("a number of the form ", rule.frames_text()),
                            frames < 1 ? std::string() : cat("cut it to ", rule.nearest_frames(frames))});
  for (const std::int64_t side : {video.size(2), video.size(3)})
    if (side < kTransformSpace || side % kTransformSpace != 0)
      throw UserError(Mistake{"[encode] video", cat(video.size(2), "x", video.size(3), " pixels"),
                              cat("height and width that are multiples of ", kTransformSpace),
                              cat("crop or resize it, to ", nearest_side(video.size(2)), "x",
                                  nearest_side(video.size(3)), " for example")});
}

}  // namespace

BlockTransformCodec::BlockTransformCodec() : basis_(transform_basis()) {}

VideoGeometry BlockTransformCodec::geometry() const {
  return kTransformGeometry;
}

at::Tensor BlockTransformCodec::encode(const at::Tensor& video) {
  require_video(video);
  const std::array<std::int64_t, 3> latent = kTransformGeometry.latent(video.size(1), video.size(2), video.size(3));
  const std::int64_t slices = latent[0], rows = latent[1], columns = latent[2];
  const at::Tensor first = video.narrow(1, 0, 1).expand({kVideoColours, kTransformTime - 1, -1, -1});
  const at::Tensor blocks =
      at::cat({first, video}, 1)
          .to(wide_type(video))
          .view({kVideoColours, slices, kTransformTime, rows, kTransformSpace, columns, kTransformSpace})
          .permute({1, 3, 5, 0, 2, 4, 6})
          .reshape({slices * rows * columns, -1});
  const at::Tensor latents = transform_forward(blocks, basis_.to(blocks.device(), blocks.scalar_type()));
  return latents.view({slices, rows, columns, kTransformChannels})
      .permute({3, 0, 1, 2})
      .contiguous()
      .to(video.scalar_type());
}

at::Tensor BlockTransformCodec::decode(const at::Tensor& latents) {
  if (latents.dim() != 4 || latents.size(0) != kTransformChannels || !latents.is_floating_point() ||
      latents.numel() == 0)
    throw UserError(Mistake{"[decode] latents", cat(shape_string(latents.sizes().vec()), " ", latents.scalar_type()),
                            cat("floating point [", kTransformChannels, ", slices, height / ", kTransformSpace,
                                ", width / ", kTransformSpace, "]"),
                            ""});
  const std::int64_t slices = latents.size(1), rows = latents.size(2), columns = latents.size(3);
  const at::Tensor flat = latents.to(wide_type(latents)).permute({1, 2, 3, 0}).reshape({-1, kTransformChannels});
  const at::Tensor video =
      transform_backward(flat, basis_.to(flat.device(), flat.scalar_type()))
          .view({slices, rows, columns, kVideoColours, kTransformTime, kTransformSpace, kTransformSpace})
          .permute({3, 0, 4, 1, 5, 2, 6})
          .reshape({kVideoColours, slices * kTransformTime, rows * kTransformSpace, columns * kTransformSpace});
  // The lone first frame is the mean of its four: what motion a model puts there has no frames to show itself in.
  const at::Tensor first = video.narrow(1, 0, kTransformTime).mean(1, true);
  return at::cat({first, video.narrow(1, kTransformTime, video.size(1) - kTransformTime)}, 1).to(latents.scalar_type());
}

std::string BlockTransformCodec::fingerprint() const {
  Hasher hasher;
  hasher.update(rehyat::hash_tensor(basis_));
  for (const TransformChannel& channel : transform_channels())
    hasher.update(cat(channel.mean, "/", channel.scale, ";"));
  return cat("block-transform-1:", hasher.digest());
}

SeededTextEncoder::SeededTextEncoder(const SeededTextOptions& options) : options_(options) {
  if (options.length < 1) throw UserError(Mistake{"text length", cat(options.length), "at least 1", ""});
  if (options.width < 1) throw UserError(Mistake{"text width", cat(options.width), "at least 1", ""});
}

at::Tensor SeededTextEncoder::encode(const std::vector<std::string>& prompts) {
  const auto batch = static_cast<std::int64_t>(prompts.size());
  at::Tensor rows = at::zeros({batch, options_.length, options_.width}, at::kFloat);
  const auto stride = static_cast<std::size_t>(options_.length * options_.width);
  const std::span<float> values(rows.mutable_data_ptr<float>(), static_cast<std::size_t>(rows.numel()));
  for (std::size_t i = 0; i < prompts.size(); ++i)
    encode_words(split_words(prompts[i]), options_.seed, options_.length, options_.width,
                 values.subspan(i * stride, stride));
  return rows;
}

std::string SeededTextEncoder::fingerprint() const {
  return cat("seeded-text-1:", options_.seed, ":", options_.length, "x", options_.width);
}

}  // namespace rehyat::models
