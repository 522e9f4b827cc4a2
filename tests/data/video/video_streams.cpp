#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <numeric>

#include "data/video/clip_maker.h"
#include "data/video/stream_maker.h"
#include "data/video/video.h"

namespace rehyat::data {
namespace {

using Steps = std::vector<std::int64_t>;

class VideoStreams : public VideoTest {
 protected:
  static std::function<void()> decode(const std::filesystem::path& path) {
    return [path] { decode_clip(path, 10, 0, 32, 32); };
  }
};

TEST_F(VideoStreams, WithoutTimeStamps) {
  // Elementary streams carry no PTS: frames follow each other at the stream's rate.
  Steps all(8);
  std::iota(all.begin(), all.end(), 0);
  const struct {
    const char *encoder, *muxer, *name;
  } kinds[] = {{"mpeg1video", "mpeg1video", "a.m1v"},
               {"mpeg4", "m4v", "a.m4v"},
               {"mjpeg", "mjpeg", "a.mjpeg"},
               {"libx264", "h264", "a.h264"}};
  int made = 0;
  for (const auto& kind : kinds) {
    if (!make_stream(folder_ / kind.name, grey_steps(8, 32, 32), kind.encoder, kind.muxer)) continue;
    ++made;
    const Steps steps = steps_of(decode_clip(folder_ / kind.name, 25, 0, 32, 32));
    EXPECT_EQ(Steps(steps.begin(), steps.begin() + std::min<std::ptrdiff_t>(8, std::ssize(steps))), all) << kind.name;
    EXPECT_LE(steps.size(), 9U) << kind.name;
  }
  EXPECT_GE(made, 3);
}

TEST_F(VideoStreams, ContainersBeyondTheUsual) {
  const struct {
    const char *encoder, *muxer, *name;
  } kinds[] = {{"mpeg2video", "mpegts", "a.m2ts"}, {"mpeg2video", "vob", "a.vob"},
               {"mpeg2video", "mxf", "a.mxf"},     {"wrapped_avframe", "yuv4mpegpipe", "a.y4m"},
               {"mpeg4", "nut", "a.nut"},          {"mpeg4", "3g2", "a.3g2"},
               {"wmv2", "asf", "a.wmv"},           {"flv", "flv", "a.flv"}};
  int made = 0;
  for (const auto& kind : kinds) {
    if (!make_stream(folder_ / kind.name, grey_steps(8, 96, 128), kind.encoder, kind.muxer)) continue;
    ++made;
    EXPECT_NO_THROW({
      const Steps steps = steps_of(decode_clip(folder_ / kind.name, 25, 5, 32, 32));
      EXPECT_EQ(steps, (Steps{0, 1, 2, 3, 4})) << kind.name;
    }) << kind.name;
  }
  EXPECT_GE(made, 6);
}

TEST_F(VideoStreams, PlaylistsOpenNothing) {
  write_video(folder_ / "real.mp4", grey_steps(3, 32, 32), 16);
  const std::string real = (folder_ / "real.mp4").string();
  const std::vector<std::string> lists = {
      "ffconcat version 1.0\nfile real.mp4\n",
      "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n" + real + "\n#EXT-X-ENDLIST\n",
      "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" "
      "profiles=\"urn:mpeg:dash:profile:isoff-live:2011\"><Period><AdaptationSet><Representation id=\"0\"><BaseURL>" +
          real + "</BaseURL></Representation></AdaptationSet></Period></MPD>\n",
      "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5000 RTP/AVP 96\n"};
  for (std::size_t i = 0; i < lists.size(); ++i)
    for (const char* extension : {".mp4", ".m3u8"})
      expect_refused(decode(file("list" + std::to_string(i) + extension, lists[i])), {"list" + std::to_string(i)});
}

TEST_F(VideoStreams, TooManyOpenFilesAreNoFaultOfTheClip) {
#ifdef REHYAT_SANITIZED
  GTEST_SKIP() << "to look at an object the sanitizer opens a pipe, and without one it takes any for damaged";
#endif
  write_video(folder_ / "a.mp4", grey_steps(3, 32, 32), 16);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  const rlimit few{64, before.rlim_max};
  setrlimit(RLIMIT_NOFILE, &few);
  std::vector<int> taken;
  for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) taken.push_back(fd);
  EXPECT_THROW(decode_clip(folder_ / "a.mp4", 10, 0, 32, 32), PassingFailure);
  for (const int fd : taken) ::close(fd);
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_NO_THROW(decode_clip(folder_ / "a.mp4", 10, 0, 32, 32));
}

TEST_F(VideoStreams, SoundWithoutPictures) {
  make_sound(folder_ / "sound.mkv");
  expect_refused(decode(folder_ / "sound.mkv"), {"sound.mkv", "no video stream"});
  expect_refused([&] { probe_video(folder_ / "sound.mkv"); }, {"no video stream"});
}

TEST_F(VideoStreams, ACoverPictureIsNoVideo) {
  make_sound(folder_ / "cover.mkv", encode_png(grey_steps(1, 32, 32)[0]));
  expect_refused(decode(folder_ / "cover.mkv"), {"cover.mkv", "cover picture"});
}

TEST_F(VideoStreams, ATrackWithoutFrames) {
  for (const char* name : {"none.mkv", "none.mov"}) {
    make_clip(folder_ / name, grey_steps(0, 32, 32), {});
    expect_refused(decode(folder_ / name), {name});
    expect_refused([&] { probe_video(folder_ / name); }, {name});
  }
}

TEST_F(VideoStreams, AJumpOfTheClockIsDamage) {
  make_clip(folder_ / "jump.mkv", grey_steps(3, 32, 32), {{0, 100, 3'600'000}, {}, 1});
  expect_refused(decode(folder_ / "jump.mkv"), {"jump.mkv", "a jump of 3599.9 s", "after frame 1", "within 10 s"});
  make_clip(folder_ / "still.mkv", grey_steps(3, 32, 32), {{0, 100, 5'100}, {}, 1});
  EXPECT_GE(decode_clip(folder_ / "still.mkv", 10, 0, 32, 32).size(0), 52);
}

TEST_F(VideoStreams, EditListsDoNotCutAFileShort) {
  Steps times(40);
  for (std::size_t i = 0; i < times.size(); ++i) times[i] = static_cast<std::int64_t>(100 * i);
  at::Tensor frames = grey_steps(40, 32, 32);
  make_clip(folder_ / "whole.mov", frames, {times, {}, 1});
  std::string bytes = read_file(folder_ / "whole.mov");
  // 'elst': version and flags, count, then for each edit its duration, the time in the media, the rate.
  const std::size_t list = bytes.find("elst");
  ASSERT_NE(list, std::string::npos);
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  };
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (24 - 8 * i));
  };
  ASSERT_EQ(number(list + 8), 1U);
  const std::size_t header = bytes.find("mdhd");
  const std::uint32_t media_rate = number(header + 16);
  put(list + 12, number(list + 12) / 4);  // the second quarter is shown
  put(list + 16, media_rate);
  const at::Tensor shown = decode_clip(file("edited.mov", bytes), 10, 0, 32, 32);
  EXPECT_NEAR(static_cast<double>(shown.size(0)), 10, 1);
  EXPECT_EQ(shown[0][0][0][0].item<int>(), frames[10][0][0][0].item<int>());
}

TEST_F(VideoStreams, ReadsPictureByPictureAtSeveralSizes) {
  write_video(folder_ / "a.mp4", grey_steps(8, 64, 64), 8);
  ClipReader reader(folder_ / "a.mp4", 16, {{32, 32}, {64, 48}});
  Steps steps;
  for (std::int64_t i = 0; reader.next(); ++i) {
    if (i % 3 == 1) continue;  // not every picture is asked for
    const at::Tensor picture = reader.picture(i % 2);
    EXPECT_EQ(picture.size(0), i % 2 == 0 ? 32 : 64);
    EXPECT_EQ(picture.size(1), i % 2 == 0 ? 32 : 48);
    steps.push_back(steps_of(picture.unsqueeze(0))[0]);
    EXPECT_TRUE(picture.is_same(reader.picture(i % 2)));  // scaled once
  }
  EXPECT_EQ(steps, (Steps{0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7}));
  EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace rehyat::data
