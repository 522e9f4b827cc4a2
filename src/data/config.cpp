#include "data/config.h"

#include "core/strings.h"

namespace rehyat::data {

void DataConfig::fields(config::Fields& f) {
  f.add("videos", videos, "folder of videos, searched recursively");
  f.add("captions", captions, "JSONL or CSV with file, caption and perhaps group; empty: a .txt beside each video");
  f.add("allow_missing_captions", allow_missing_captions, "give clips without a caption the empty prompt");
  f.add("size", size, "height and width in pixels");
  f.add("frames", frames, "frames of a window, 4k + 1").at_least(1);
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
}

void DataConfig::validate() const {
  require(size.size() == 2 && size[0] >= 16 && size[1] >= 16 && size[0] % 16 == 0 && size[1] % 16 == 0, [&] {
    return cat("data.size: found ", shape_string(size), ", expected [height, width], both multiples of 16");
  });
  require(frames % 4 == 1,
          [&] { return cat("data.frames: found ", frames, ", expected 4k + 1, such as ", frames / 4 * 4 + 1); });
}

}  // namespace rehyat::data
