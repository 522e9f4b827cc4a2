#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "data/config.h"
#include "data/video/video.h"
#include "models/encoders.h"

namespace rehyat::data {

/// The pictures of one window of a clip, uint8 RGB.
struct PixelWindow {
  at::Tensor whole;        ///< [F,H,W,3]
  at::Tensor large;        ///< [F,2H,2W,3], with data.crops
  std::int64_t start = 0;  ///< number of its first picture in the clip
  std::size_t bucket = 0;  ///< of data.buckets
};

/// Decodes the windows of a clip one after the other and holds the pictures of one window at a time. Knows no encoder.
class ClipWindows {
 public:
  /// Windows have the config's size and frames; its buckets are ignored. Throws UserError when the clip cannot be used.
  ClipWindows(const DataConfig& config, const ClipFile& video);

  /// The next window; nothing at the end. Throws ShortClip where the clip has no window.
  std::optional<PixelWindow> next();

  const ClipRemarks& remarks() const { return reader_.remarks(); }

 private:
  struct Picture {
    at::Tensor whole;  ///< [H,W,3]
    at::Tensor large;  ///< [2H,2W,3], with data.crops
  };
  bool fill();
  void bounce();
  void drop();

  const DataConfig& config_;
  std::string name_;
  ClipReader reader_;
  std::deque<Picture> pictures_;
  std::int64_t start_ = 0, windows_ = 0, skip_ = 0;
  bool finished_ = false;
};

/// The latents of a window, as VideoCodec::encode returns them, in float32: of the whole picture, then of its random
/// parts; with data.flip the mirror image follows each. Random parts depend on the seed, `clip`, the clip's number, and
/// the window's start.
std::vector<at::Tensor> encode_window(const PixelWindow& window, const DataConfig& config, models::VideoCodec& codec,
                                      std::uint64_t seed, std::size_t clip);

}  // namespace rehyat::data
