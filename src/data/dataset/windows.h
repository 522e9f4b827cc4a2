#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/config.h"
#include "data/video/video.h"
#include "models/encoders.h"

namespace rehyat::data {

/// A clip that is too short for a window.
class ShortClip : public UserError {
 public:
  ShortClip(const Mistake& mistake, std::int64_t count) : UserError(mistake), pictures(count) {}
  std::int64_t pictures;  ///< that it has at the wanted rate
};

/// The windows of a clip as latents, one after the other; the pictures of one window are held at a time.
class ClipWindows {
 public:
  /// Of the config's size and frames, whatever its buckets. `clip` is the clip's number, from which random parts are
  /// drawn. Throws UserError when the clip cannot be used.
  ClipWindows(const DataConfig& config, models::VideoCodec& codec, std::uint64_t seed, const ClipFile& video,
              std::size_t clip);

  /// Latents [16,T,H/8,W/8] of the next window: the whole picture, then its parts, each followed by its mirror image
  /// where that is asked for. Empty at the end; there is at least one window, else throws ShortClip.
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
  models::VideoCodec& codec_;
  std::uint64_t seed_;
  std::string name_;
  std::size_t clip_;
  ClipReader reader_;
  std::deque<Picture> pictures_;
  std::int64_t start_ = 0, windows_ = 0, skip_ = 0;
  bool finished_ = false;
  double decode_seconds_ = 0, codec_seconds_ = 0;
};

}  // namespace rehyat::data
