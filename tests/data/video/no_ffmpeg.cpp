#include "data/dataset/fake_encoders.h"
#include "data/dataset/manifest.h"
#include "data/dataset/prepare.h"
#include "data/video/clip_maker.h"
#include "data/video/video.h"

namespace rehyat::data {
namespace {

class NoFfmpeg : public VideoTest {};

TEST_F(NoFfmpeg, PrepareEndsAtOnceAndSetsNoClipAside) {
  file("a.mp4", "x");
  file("a.txt", "caption");
  DataConfig config;
  config.videos = folder_;
  FakeCodec codec;
  FakeText text;
  const comm::Communicator alone;
  expect_refused(
      [&] {
        const ClipList clips = list_clips(config);
        prepare_dataset({config, clips, codec, text, 1}, dataset_folder(folder_ / "out", {{"format", 2}}), alone);
      },
      {"without FFmpeg", "REHYAT_FFMPEG=ON"});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
  EXPECT_EQ(video_library_version(), "none");
  expect_refused([&] { ClipReader(folder_ / "a.mp4", 16, {{32, 32}}); }, {"a.mp4", "without FFmpeg"});
  expect_refused([&] { probe_video(folder_ / "a.mp4"); }, {"without FFmpeg"});
  expect_refused([&] { write_video(folder_ / "b.mp4", at::zeros({1, 2, 2, 3}, at::kByte), 1); }, {"without FFmpeg"});
  expect_refused([&] { encode_png(at::zeros({2, 2, 3}, at::kByte)); }, {"without FFmpeg"});
}

}  // namespace
}  // namespace rehyat::data
