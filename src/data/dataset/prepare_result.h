#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"

/// What a run of `prepare` returns, as it stands in the stage's result and, for the table, in the manifest.
namespace rehyat::data {

/// What went into one bucket. A dataset of a single size has one.
struct BucketCount {
  std::vector<std::int64_t> size;
  std::int64_t frames = 0, clips = 0, windows = 0, validation_windows = 0;

  void fields(config::Fields& f) {
    f.add("size", size, "height, width");
    f.add("frames", frames, "of a window");
    f.add("clips", clips, "that went here");
    f.add("windows", windows, "made of them");
    f.add("validation_windows", validation_windows, "of which held out");
  }
};

/// How many clips were left out for one reason.
struct ReasonCount {
  std::string why;
  std::int64_t clips = 0;

  void fields(config::Fields& f) {
    f.add("why", why, "the reason");
    f.add("clips", clips, "left out for it");
  }
};

/// What went where, and what was left out and why; reasons that many clips share come first.
struct DatasetTable {
  std::vector<BucketCount> buckets;
  std::vector<ReasonCount> dropped, quarantined;

  void fields(config::Fields& f) {
    f.list("buckets", buckets, "sizes and lengths");
    f.list("dropped", dropped, "clips that fit no bucket");
    f.list("quarantined", quarantined, "clips that cannot be used");
  }
};

/// How fast the last start was; shares are of the time of all ranks.
struct PrepareSpeed {
  std::int64_t clips = 0, ranks = 0;
  double clips_per_second = 0, wait_share = 0, decode_share = 0, vae_share = 0, text_share = 0;

  void fields(config::Fields& f) {
    f.add("clips", clips, "encoded");
    f.add("ranks", ranks, "at work");
    f.add("clips_per_second", clips_per_second, "of all ranks");
    f.add("wait_share", wait_share, "of the time, waiting for decoded pictures");
    f.add("decode_share", decode_share, "of the time that decoding threads were busy");
    f.add("vae_share", vae_share, "of the time");
    f.add("text_share", text_share, "of the time");
  }
};

struct PrepareResult {
  std::int64_t clips = 0, usable_clips = 0, validation_clips = 0, samples = 0, captions = 0, dropped = 0,
               quarantined = 0;
  DatasetTable table;
  PrepareSpeed throughput;

  void fields(config::Fields& f) {
    f.add("clips", clips, "that data.videos names");
    f.add("usable_clips", usable_clips, "with at least one window");
    f.add("validation_clips", validation_clips, "held out");
    f.add("samples", samples, "windows");
    f.add("captions", captions, "different ones");
    f.add("dropped", dropped, "clips that fit no bucket");
    f.add("quarantined", quarantined, "clips that cannot be used");
    f.section("table", table, "what went where");
    f.section("throughput", throughput, "of the last start");
  }
};

}  // namespace rehyat::data
