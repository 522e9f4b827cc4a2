#include "data/dataset/windows.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"

namespace rehyat::data {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::vector<PictureSize> sizes_of(const DataConfig& config) {
  const std::int64_t height = config.size[0], width = config.size[1];
  std::vector<PictureSize> sizes = {{height, width}};
  if (config.crops > 0) sizes.push_back({2 * height, 2 * width});
  return sizes;
}

}  // namespace

ClipWindows::ClipWindows(const DataConfig& config, models::VideoCodec& codec, std::uint64_t seed, const ClipFile& video,
                         std::size_t clip)
    : config_(config),
      codec_(codec),
      seed_(seed),
      name_(video.shown()),
      clip_(clip),
      reader_(video, config.fps, sizes_of(config)) {}

std::vector<at::Tensor> ClipWindows::next() {
  if (finished_) return {};
  const auto start = Clock::now();
  const bool full = fill();
  decode_seconds_ += since(start);
  if (!full) {
    finished_ = true;
    if (windows_ > 0) return {};
    bounce();
  }
  const auto encoding = Clock::now();
  std::vector<at::Tensor> latents = encode();
  codec_seconds_ += since(encoding);
  ++windows_;
  finished_ = finished_ || windows_ == config_.max_windows;
  drop();
  return latents;
}

/// Reads pictures until a window is full. Returns false when the clip ends before that.
bool ClipWindows::fill() {
  for (; skip_ > 0; --skip_)
    if (!reader_.next()) return false;
  while (static_cast<std::int64_t>(pictures_.size()) < config_.frames) {
    if (!reader_.next()) return false;
    pictures_.push_back({reader_.picture(0), config_.crops > 0 ? reader_.picture(1) : at::Tensor()});
  }
  return true;
}

/// Plays a clip that is shorter than a window forwards and backwards until the window is full.
void ClipWindows::bounce() {
  const auto count = static_cast<std::int64_t>(pictures_.size());
  const bool bounces = config_.short_clips == ShortClips::bounce;
  if (!bounces || count < 2)
    throw ShortClip(
        {name_, cat(count, " frames at ", config_.fps, " fps"), cat("at least ", bounces ? 2 : config_.frames), ""},
        count);
  const std::int64_t period = 2 * (count - 1);
  for (std::int64_t i = count; i < config_.frames; ++i) {
    const std::int64_t place = i % period;
    pictures_.push_back(pictures_[static_cast<std::size_t>(std::min(place, period - place))]);
  }
}

std::vector<at::Tensor> ClipWindows::encode() {
  const std::int64_t height = config_.size[0], width = config_.size[1];
  std::vector<at::Tensor> out;
  const auto encode = [&](const auto& part) {
    std::vector<at::Tensor> frames;
    for (const Picture& picture : pictures_) frames.push_back(part(picture));
    const at::Tensor video = at::stack(frames).permute({3, 0, 1, 2}).to(at::kFloat) / 127.5 - 1;
    out.push_back(codec_.encode(video).to(at::kFloat));
    if (config_.flip) out.push_back(codec_.encode(video.flip(3)).to(at::kFloat));
  };
  encode([](const Picture& picture) { return picture.whole; });
  Rng place(seed_, "data.crop", {clip_, static_cast<std::uint64_t>(start_)});
  for (std::int64_t i = 0; i < config_.crops; ++i) {
    const auto top = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(height) + 1));
    const auto left = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(width) + 1));
    encode([&](const Picture& picture) { return picture.large.narrow(0, top, height).narrow(1, left, width); });
  }
  return out;
}

/// Drops the pictures in front of the next window.
void ClipWindows::drop() {
  const std::int64_t stride = config_.window_stride(), shared = std::max<std::int64_t>(config_.frames - stride, 0);
  while (static_cast<std::int64_t>(pictures_.size()) > shared) pictures_.pop_front();
  skip_ = std::max<std::int64_t>(stride - config_.frames, 0);
  start_ += stride;
}

}  // namespace rehyat::data
