#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "data/config.h"
#include "data/video/video.h"

namespace rehyat::data {

/// What decides which bucket a clip goes to.
struct ClipShape {
  std::int64_t height = 0, width = 0;  ///< as shown, with square pixels
  std::int64_t pictures = 0;           ///< at data.fps
};

/// The shape of a clip. Where the length was not measured and the container's length and number of frames differ, the
/// longer one counts: that a clip is shorter shows when it is read.
ClipShape shape_of(const VideoInfo& info, double fps);

/// The bucket of a clip, or why it has none.
struct BucketChoice {
  std::optional<std::size_t> bucket;  ///< its number in data.buckets
  std::string kind;        ///< why there is none, in words that many clips share: "smaller than every bucket"
  std::string reason;      ///< the same in a sentence with the numbers of this clip
  bool too_short = false;  ///< a longer clip of this size would have a bucket
};

/// Chooses the bucket that a clip goes to; `config` has buckets.
///  1. The clip has to be as high and wide as the bucket, and twice that where data.crops takes parts at twice the
///     size. With data.upscale every bucket passes.
///  2. The clip has to be as long as the bucket. Where it is too short for all that are left and
///     data.short_clips=bounce, those with the fewest frames pass.
///  3. The bucket with the nearest aspect ratio is chosen, by |log((clip's width/height) / (bucket's width/height))|.
///     Where several are as near, the one with most frames times pixels is chosen, then the first in the list.
BucketChoice choose_bucket(const DataConfig& config, const ClipShape& clip);

}  // namespace rehyat::data
