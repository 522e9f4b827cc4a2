#include "data/sources/buckets.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/strings.h"

namespace rehyat::data {
namespace {

std::int64_t pixels(const BucketConfig& bucket) {
  return bucket.frames * bucket.size[0] * bucket.size[1];
}

/// The bucket of `fitting` that rule 3 of choose_bucket takes.
std::size_t best_of(const DataConfig& config, const std::vector<std::size_t>& fitting, const ClipShape& clip) {
  constexpr double kEqual = 1e-9;
  const auto distance = [&](std::size_t i) {
    const double ratio = static_cast<double>(clip.width) / static_cast<double>(clip.height);
    const auto& size = config.buckets[i].size;
    return std::abs(std::log(ratio * static_cast<double>(size[0]) / static_cast<double>(size[1])));
  };
  return *std::ranges::min_element(fitting, [&](std::size_t a, std::size_t b) {
    const double difference = distance(a) - distance(b);
    if (std::abs(difference) > kEqual) return difference < 0;
    return pixels(config.buckets[a]) > pixels(config.buckets[b]);
  });
}

}  // namespace

ClipShape shape_of(const VideoInfo& info, double fps) {
  const bool by_rate = !info.measured && info.rate > 0;
  const double seconds = std::max(info.seconds, by_rate ? static_cast<double>(info.frames) / info.rate : 0.0);
  // Picture i is there where i / fps < seconds; containers round to milliseconds.
  const double pictures = std::ceil(seconds * fps - std::max(1e-6, 1e-3 * fps));
  return {info.height, info.width, std::max<std::int64_t>(static_cast<std::int64_t>(std::min(pictures, 1e15)), 1)};
}

BucketChoice choose_bucket(const DataConfig& config, const ClipShape& clip) {
  const std::int64_t scale = config.crops > 0 ? 2 : 1;
  std::vector<std::size_t> large, fitting;
  for (std::size_t i = 0; i < config.buckets.size(); ++i) {
    const BucketConfig& bucket = config.buckets[i];
    if (config.upscale || (clip.height >= scale * bucket.size[0] && clip.width >= scale * bucket.size[1]))
      large.push_back(i);
  }
  if (large.empty())
    return {{},
            "smaller than every bucket",
            cat(clip.width, "x", clip.height, " pixels, smaller than ", scale == 2 ? "twice the size of " : "",
                "every bucket; data.upscale=true enlarges it"),
            false};
  std::ranges::copy_if(large, std::back_inserter(fitting),
                       [&](std::size_t i) { return clip.pictures >= config.buckets[i].frames; });
  if (fitting.empty() && config.short_clips == ShortClips::bounce && clip.pictures >= 2) {
    std::int64_t fewest = config.buckets[large.front()].frames;
    for (const std::size_t i : large) fewest = std::min(fewest, config.buckets[i].frames);
    std::ranges::copy_if(large, std::back_inserter(fitting),
                         [&](std::size_t i) { return config.buckets[i].frames == fewest; });
  }
  if (fitting.empty())
    return {{},
            "shorter than every bucket that it is large enough for",
            cat(clip.pictures, " pictures at ", config.fps,
                " fps, fewer than every bucket has that it is large enough "
                "for",
                config.short_clips == ShortClips::bounce ? "" : "; data.short_clips=bounce plays it back and forth"),
            true};
  return {best_of(config, fitting, clip), "", "", false};
}

}  // namespace rehyat::data
