#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "models/architecture.h"

namespace rehyat::models {

/// How a codec lays a video out as a latent. The first frame stands alone, after it every `frames` frames are one
/// slice, so that a video has k * frames + 1 of them.
struct VideoGeometry {
  std::int64_t frames = 1, height = 1, width = 1;  ///< frames, rows and columns of pixels behind one latent value
  std::int64_t channels = 1;                       ///< of the latent

  std::int64_t slices(std::int64_t video_frames) const { return 1 + (video_frames - 1) / frames; }
  /// T, H, W of a video's latent.
  std::array<std::int64_t, 3> latent(std::int64_t video_frames, std::int64_t rows, std::int64_t columns) const;
  /// Frames, height and width of the video behind a latent T x H x W.
  std::array<std::int64_t, 3> video(const std::array<std::int64_t, 3>& latent) const;
  bool operator==(const VideoGeometry&) const = default;
};

/// The sizes of videos that a codec takes whose latents a model takes.
class VideoRule {
 public:
  VideoRule(const VideoGeometry& geometry, const std::array<std::int64_t, 3>& patch);

  /// Height and width have to be multiples of these.
  std::int64_t height() const { return height_; }
  std::int64_t width() const { return width_; }
  bool fits(std::int64_t rows, std::int64_t columns) const;
  bool fits(std::int64_t video_frames) const;
  /// The nearest count of frames that fits, below the given one where there is any.
  std::int64_t nearest_frames(std::int64_t video_frames) const;
  /// What a message says is expected: "4k + 1".
  std::string frames_text() const;

 private:
  std::int64_t smallest_, period_, height_, width_;
};

}  // namespace rehyat::models
