#include "data/config.h"

#include "core/strings.h"

namespace rehyat::data {

namespace {

void check_form(const std::string& key, const std::vector<std::int64_t>& size) {
  require(size.size() == 2 && size[0] >= 1 && size[1] >= 1,
          [&] { return cat(key, ": found ", shape_string(size), ", expected [height, width]"); });
}

void check_against(const models::VideoRule& rule, const std::string& key, const std::vector<std::int64_t>& size,
                   std::int64_t frames) {
  require(rule.fits(size[0], size[1]), [&] {
    const std::string multiples = rule.height() == rule.width()
                                      ? cat("both multiples of ", rule.height())
                                      : cat("multiples of ", rule.height(), " and ", rule.width());
    return cat(key, "size: found ", shape_string(size), ", expected [height, width], ", multiples);
  });
  require(rule.fits(frames), [&] {
    return cat(key, "frames: found ", frames, ", expected ", rule.frames_text(), ", such as ",
               rule.nearest_frames(frames));
  });
}

}  // namespace

void BucketConfig::fields(config::Fields& f) {
  f.add("size", size, "height and width in pixels").required();
  f.add("frames", frames, "frames of a window, one more than a multiple of the video codec's").at_least(1).required();
}

void DataConfig::fields(config::Fields& f) {
  f.add("videos", videos,
        "folder of videos, searched recursively; or a tar, a folder of tars, or a pattern such as x/{00..12}.tar, "
        "packed as WebDataset does");
  f.add("captions", captions,
        "JSONL or CSV with file, caption and perhaps group, or a videos2caption.json with path and cap; empty: a .txt "
        "beside each video, in a tar a .txt or .json");
  f.add("allow_missing_captions", allow_missing_captions, "give clips without a caption the empty prompt");
  const auto single = [this] { return buckets.empty(); };
  const auto mixed = [this] { return !buckets.empty(); };
  f.add("size", size, "height and width in pixels").only("without data.buckets", single);
  f.add("frames", frames, "frames of a window, one more than a multiple of the video codec's")
      .at_least(1)
      .only("without data.buckets", single);
  f.list("buckets", buckets,
         "list of {size: [height, width], frames} in place of size and frames: each clip goes to the one whose aspect "
         "ratio is nearest of those it is large and long enough for, or is dropped; cache and sample use the first")
      .only("with at least one bucket in it", mixed);
  f.add("upscale", upscale, "clips that are smaller than a bucket may be enlarged for it")
      .only("with data.buckets", mixed);
  f.add("fps", fps, "frames a second after resampling").above(0);
  f.add("stride", stride, "frames between the starts of windows; 0 = the window's length").at_least(0);
  f.add("max_windows", max_windows, "windows taken of one clip; 0 = all").at_least(0);
  f.choice("short_clips", short_clips, {{"drop", ShortClips::drop}, {"bounce", ShortClips::bounce}},
           "clips shorter than a window: set aside, or played forwards and backwards until it is full");
  f.add("crops", crops, "besides the whole picture, this many random parts of each window at twice the size")
      .at_least(0);
  f.add("flip", flip, "also store each window mirrored");
  f.add("validation_share", validation_share, "share of the clips that is only evaluated on").between(0, 0.9);
  f.add("max_bad_share", max_bad_share, "share of unusable clips that is tolerated").between(0, 1);
  f.add("clips_per_shard", clips_per_shard, "clips in one file of the dataset").at_least(1);
  f.add("decode_threads", decode_threads,
        "clips that each rank decodes at once while the VAE encodes, about three windows of pictures in memory for "
        "each; "
        "0 = one a core, 4 at most")
      .at_least(0);
}

void DataConfig::validate() const {
  if (buckets.empty()) check_form("data.size", size);
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    const std::string key = cat("data.buckets[", i, "]");
    check_form(key + ".size", buckets[i].size);
    for (std::size_t j = 0; j < i; ++j)
      require(buckets[j].size != buckets[i].size || buckets[j].frames != buckets[i].frames, [&] {
        return cat(key, ": found ", shape_string(buckets[i].size), " with ", buckets[i].frames,
                   " frames, expected another bucket than data.buckets[", j, "]; remove one of the two");
      });
  }
}

void DataConfig::check_sizes(const models::VideoRule& rule) const {
  if (buckets.empty()) check_against(rule, "data.", size, frames);
  for (std::size_t i = 0; i < buckets.size(); ++i)
    check_against(rule, cat("data.buckets[", i, "]."), buckets[i].size, buckets[i].frames);
}

void DataConfig::resolve() {
  if (buckets.empty()) return;
  size = buckets.front().size;
  frames = buckets.front().frames;
}

DataConfig DataConfig::of_bucket(std::size_t bucket) const {
  DataConfig out = *this;
  out.buckets.clear();
  if (buckets.empty()) return out;
  out.size = buckets.at(bucket).size;
  out.frames = buckets.at(bucket).frames;
  return out;
}

}  // namespace rehyat::data
