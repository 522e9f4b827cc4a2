#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <deque>
#include <filesystem>
#include <vector>

#include "data/config.h"
#include "data/encoders.h"
#include "data/video.h"

namespace rehyat::data {

/// The windows of a clip as latents, one after the other; the pictures of one window are held at a time.
class ClipWindows {
 public:
  /// `clip` is its number, from which random parts are drawn. Throws UserError when the clip cannot be used.
  ClipWindows(const DataConfig& config, VideoCodec& codec, std::uint64_t seed, const std::filesystem::path& video,
              std::size_t clip);

  /// Latents [16,T,H/8,W/8] of the next window: the whole picture, then its parts, each followed by its mirror image
  /// where that is asked for. Empty at the end; there is at least one window.
  std::vector<at::Tensor> next();

  double decode_seconds() const { return decode_seconds_; }
  double codec_seconds() const { return codec_seconds_; }

 private:
  struct Picture {
    at::Tensor whole, large;  ///< [H,W,3], and [2H,2W,3] where parts are taken
  };
  bool fill();
  void bounce();
  std::vector<at::Tensor> encode();
  void drop();

  const DataConfig& config_;
  VideoCodec& codec_;
  std::uint64_t seed_;
  std::filesystem::path path_;
  std::size_t clip_;
  ClipReader reader_;
  std::deque<Picture> pictures_;
  std::int64_t start_ = 0, windows_ = 0, skip_ = 0;
  bool finished_ = false;
  double decode_seconds_ = 0, codec_seconds_ = 0;
};

}  // namespace rehyat::data
