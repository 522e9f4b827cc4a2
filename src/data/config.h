#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "config/config.h"
#include "models/video_geometry.h"

namespace rehyat::data {

enum class ShortClips { drop, bounce };

/// One size and length of windows, where clips of many are mixed.
struct BucketConfig {
  std::vector<std::int64_t> size = {480, 832};  ///< height, width
  std::int64_t frames = 81;

  void fields(config::Fields& f);
};

/// The `data` section: which videos become which latents.
struct DataConfig {
  std::filesystem::path videos;                 ///< a folder, searched recursively, or tars (see clip_list.h)
  std::filesystem::path captions;               ///< JSONL, CSV or videos2caption.json; empty: beside each video
  bool allow_missing_captions = false;          ///< such clips get the empty prompt
  std::vector<std::int64_t> size = {480, 832};  ///< height, width
  std::int64_t frames = 81;
  std::vector<BucketConfig> buckets;  ///< in place of size and frames
  bool upscale = false;               ///< clips that are smaller than a bucket may be enlarged for it
  double fps = 16;
  std::int64_t stride = 0;                    ///< frames between the starts of windows; 0 = the window's length
  std::int64_t max_windows = 0;               ///< of one clip; 0 = all
  ShortClips short_clips = ShortClips::drop;  ///< bounce: play forwards and backwards until a window is full
  std::int64_t crops = 0;                     ///< random parts of each window, at twice the size
  bool flip = false;                          ///< also store each window mirrored
  double validation_share = 0.1;              ///< of the clips
  double max_bad_share = 0.1;                 ///< more unusable clips than this are an error
  std::int64_t clips_per_shard = 16;
  std::int64_t decode_threads = 0;  ///< clips that a rank decodes at once beside the VAE; 0 = by the cores

  void fields(config::Fields& f);
  void validate() const;
  /// Throws UserError, naming the key, on sizes and frames that codec and model do not take.
  void check_sizes(const models::VideoRule& rule) const;
  /// With buckets, makes size and frames those of the first one: what is sampled and cached.
  void resolve();
  std::size_t bucket_count() const { return buckets.empty() ? 1 : buckets.size(); }
  /// The settings for the clips of one bucket: its size and frames, no buckets.
  DataConfig of_bucket(std::size_t bucket) const;
  std::int64_t window_stride() const { return stride > 0 ? stride : frames; }
};

}  // namespace rehyat::data
