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

/// The clip is too short for a window.
class ShortClip : public UserError {
 public:
  ShortClip(const Mistake& mistake, std::int64_t count) : UserError(mistake), pictures(count) {}
  std::int64_t pictures;  ///< number of the clip's pictures at data.fps
};

/// Encodes the windows of a clip one after the other and holds the pictures of one window at a time.
class ClipWindows {
 public:
  /// Windows have the config's size and frames; its buckets are ignored. Random parts depend on `clip`, the clip's
  /// number. Throws UserError when the clip cannot be used.
  ClipWindows(const DataConfig& config, models::VideoCodec& codec, std::uint64_t seed, const ClipFile& video,
              std::size_t clip);

  /// The latents of the next window, as VideoCodec::encode returns them: of the whole picture, then of its random
  /// parts; with data.flip the mirror image follows each. Empty at the end. Throws ShortClip where the clip has no
  /// window.
  std::vector<at::Tensor> next();

  const ClipRemarks& remarks() const { return reader_.remarks(); }
  double decode_seconds() const { return decode_seconds_; }
  double codec_seconds() const { return codec_seconds_; }

 private:
  struct Picture {
    at::Tensor whole;  ///< [H,W,3]
    at::Tensor large;  ///< [2H,2W,3], with data.crops
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
