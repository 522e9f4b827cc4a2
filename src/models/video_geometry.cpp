#include "models/video_geometry.h"

#include <algorithm>

#include "core/strings.h"

namespace rehyat::models {

std::array<std::int64_t, 3> VideoGeometry::latent(std::int64_t video_frames, std::int64_t rows,
                                                  std::int64_t columns) const {
  return {slices(video_frames), rows / height, columns / width};
}

std::array<std::int64_t, 3> VideoGeometry::video(const std::array<std::int64_t, 3>& latent) const {
  return {frames * (latent[0] - 1) + 1, height * latent[1], width * latent[2]};
}

VideoRule::VideoRule(const VideoGeometry& geometry, const std::array<std::int64_t, 3>& patch)
    : smallest_(geometry.frames * (patch[0] - 1) + 1),
      period_(geometry.frames * patch[0]),
      height_(geometry.height * patch[1]),
      width_(geometry.width * patch[2]) {}

bool VideoRule::fits(std::int64_t rows, std::int64_t columns) const {
  return rows >= height_ && columns >= width_ && rows % height_ == 0 && columns % width_ == 0;
}

bool VideoRule::fits(std::int64_t video_frames) const {
  return video_frames >= smallest_ && (video_frames - smallest_) % period_ == 0;
}

std::int64_t VideoRule::nearest_frames(std::int64_t video_frames) const {
  return smallest_ + std::max<std::int64_t>(video_frames - smallest_, 0) / period_ * period_;
}

std::string VideoRule::frames_text() const {
  return cat(period_, "k + ", smallest_);
}

}  // namespace rehyat::models
