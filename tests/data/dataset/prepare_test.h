#pragma once

#include <string>
#include <vector>

#include "core/strings.h"
#include "data/dataset/content_settings.h"
#include "data/dataset/fake_encoders.h"
#include "data/dataset/identity.h"
#include "data/dataset/latent_dataset.h"
#include "data/dataset/prepare.h"
#include "data/video/clip_maker.h"

namespace rehyat::data {

/// Clips of 32x32 pixels at 10 frames a second, prepared into `out` as latents that are grey levels.
class PrepareTest : public VideoTest {
 protected:
  void SetUp() override {
    VideoTest::SetUp();
    make_folder(folder_ / "clips");
    config_.videos = folder_ / "clips";
    config_.size = {32, 32};
    config_.frames = 5;
    config_.fps = 10;
    config_.validation_share = 0;
    config_.max_bad_share = 0.5;
    config_.clips_per_shard = 2;
  }
  /// Picture i of a clip has grey step first + i; the caption is the name.
  void clip(const std::string& name, std::int64_t frames, std::int64_t first = 0) const {
    ClipSpec spec;
    for (std::int64_t i = 0; i < frames; ++i) spec.pts.push_back(100 * i);
    make_clip(config_.videos / (name + ".mkv"), grey_steps(first + frames, 32, 32).narrow(0, first, frames), spec);
    file("clips/" + name + ".txt", "caption of " + name);
  }
  void broken(const std::string& name) const {
    file("clips/" + name + ".mkv", "no video at all");
    file("clips/" + name + ".txt", "caption of " + name);
  }
  DatasetInputs inputs(const ClipList& clips) { return {config_, clips, codec_, text_, 1}; }
  Identity identity() {
    ChecksumMemory memory;
    const ClipList clips = list_clips(config_);
    return dataset_identity(inputs(clips), content_of(config_), memory);
  }
  PrepareResult prepared(const std::string& out = "out") {
    const MarkedFolder folder = dataset_folder(folder_ / out, identity());
    const FolderLock lock = folder.open();
    const ClipList clips = list_clips(config_);
    return prepare_dataset(inputs(clips), folder, alone_);
  }
  LatentDataset dataset(const std::string& out = "out") { return LatentDataset(folder_ / out, identity()); }
  /// The grey steps of the two slices of every training sample, by clip: "a 0 4".
  std::vector<std::string> samples(const std::string& out = "out") {
    std::vector<std::string> list;
    const LatentDataset data = dataset(out);
    for (std::int64_t i = 0; i < data.size(Split::train); ++i) {
      const LatentSample sample = data.get(Split::train, i);
      std::string text = sample.clip.substr(0, sample.clip.find('.'));
      for (std::int64_t t = 0; t < sample.latents.size(1); ++t) {
        const double grey = (sample.latents[0][t].mean().item<double>() + 1) * 127.5;
        text = cat(text, ' ', static_cast<int>((grey - 10) / 20 + 0.5));
      }
      list.push_back(text);
    }
    return list;
  }
  std::string read(const std::string& name) const { return read_file(folder_ / name); }

  DataConfig config_;
  FakeCodec codec_;
  FakeText text_;
  comm::Communicator alone_;
};

}  // namespace rehyat::data
