#include "data/dataset/windows.h"

#include <algorithm>
#include <cstring>

#include "core/rng.h"
#include "core/strings.h"
#include "data/dataset/clip_fault.h"

namespace rehyat::data {
namespace {

std::vector<PictureSize> sizes_of(const DataConfig& config) {
  const std::int64_t height = config.size[0], width = config.size[1];
  std::vector<PictureSize> sizes = {{height, width}};
  if (config.crops > 0) sizes.push_back({2 * height, 2 * width});
  return sizes;
}

/// One part of each picture as one tensor [F,H,W,3]. A plain copy: it starts no threads of libtorch's.
template <typename Pictures, typename Part>
at::Tensor pictures_of(const Pictures& pictures, Part&& part) {
  std::vector<std::int64_t> sizes = part(pictures.front()).sizes().vec();
  sizes.insert(sizes.begin(), static_cast<std::int64_t>(pictures.size()));
  at::Tensor out = at::empty(sizes, at::kByte);
  auto* place = out.data_ptr<std::uint8_t>();
  for (const auto& picture : pictures) {
    const at::Tensor& from = part(picture);
    std::memcpy(place, from.template const_data_ptr<std::uint8_t>(), from.nbytes());
    place += from.nbytes();
  }
  return out;
}

}  // namespace

ClipWindows::ClipWindows(const DataConfig& config, const ClipFile& video)
    : config_(config), name_(video.shown()), reader_(video, config.fps, sizes_of(config)) {}

std::optional<PixelWindow> ClipWindows::next() {
  if (finished_) return {};
  if (!fill()) {
    finished_ = true;
    if (windows_ > 0) return {};
    bounce();
  }
  PixelWindow out;
  out.whole = pictures_of(pictures_, [](const Picture& picture) -> const at::Tensor& { return picture.whole; });
  if (config_.crops > 0)
    out.large = pictures_of(pictures_, [](const Picture& picture) -> const at::Tensor& { return picture.large; });
  out.start = start_;
  ++windows_;
  finished_ = finished_ || windows_ == config_.max_windows;
  drop();
  return out;
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

/// Drops the pictures in front of the next window.
void ClipWindows::drop() {
  const std::int64_t stride = config_.window_stride(), shared = std::max<std::int64_t>(config_.frames - stride, 0);
  while (static_cast<std::int64_t>(pictures_.size()) > shared) pictures_.pop_front();
  skip_ = std::max<std::int64_t>(stride - config_.frames, 0);
  start_ += stride;
}

std::vector<at::Tensor> encode_window(const PixelWindow& window, const DataConfig& config, models::VideoCodec& codec,
                                      std::uint64_t seed, std::size_t clip) {
  const std::int64_t height = config.size[0], width = config.size[1];
  std::vector<at::Tensor> out;
  const auto encode = [&](const at::Tensor& pictures) {
    // Bytes are a quarter of what has to be moved to a GPU otherwise.
    const at::Tensor video = pictures.to(codec.device()).permute({3, 0, 1, 2}).to(at::kFloat) / 127.5 - 1;
    out.push_back(codec.encode(video).to(at::kFloat));
    if (config.flip) out.push_back(codec.encode(video.flip(3)).to(at::kFloat));
  };
  encode(window.whole);
  Rng place(seed, "data.crop", {clip, static_cast<std::uint64_t>(window.start)});
  for (std::int64_t i = 0; i < config.crops; ++i) {
    const auto top = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(height) + 1));
    const auto left = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(width) + 1));
    encode(window.large.narrow(1, top, height).narrow(2, left, width));
  }
  return out;
}

}  // namespace rehyat::data
