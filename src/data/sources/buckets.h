#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "data/config.h"
#include "data/video/video.h"

namespace rehyat::data {

/// What decides the bucket of a clip.
struct ClipShape {
  std::int64_t height = 0, width = 0;  ///< as shown, with square pixels
  std::int64_t pictures = 0;           ///< at data.fps
};

/// As the container says; where its length and its number of frames differ, by the longer one.
ClipShape shape_of(const VideoInfo& info, double fps);

struct BucketChoice {
  std::optional<std::size_t> bucket;
  std::string why;     ///< where there is none: one of two reasons,
  std::string reason;  ///< and the same with the clip's numbers
};

/// Which bucket a clip goes to. Of the buckets
///  - whose height and width the clip has at least (twice, where random parts are taken at twice the size), or any with
///    data.upscale,
///  - and whose frames it has at least; where it has those of none and data.short_clips=bounce, those with the fewest
///    frames,
/// it is the one whose aspect ratio is nearest, |log((width/height of the clip) / (width/height of the bucket))|; of
/// equal ones the one with most frames times pixels, then the first in the list. `config` has buckets.
BucketChoice choose_bucket(const DataConfig& config, const ClipShape& clip);

}  // namespace rehyat::data
