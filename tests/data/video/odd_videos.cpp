#include <algorithm>
#include <numeric>

#include "data/video/clip_maker.h"
#include "data/video/stream_maker.h"
#include "data/video/video.h"

namespace rehyat::data {
namespace {

using Steps = std::vector<std::int64_t>;

/// Files that are odd and whole, and files that are damaged and look whole.
class OddVideos : public VideoTest {
 protected:
  static std::uint32_t number(const std::string& bytes, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
    return value;
  }
  static void put(std::string& bytes, std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (24 - 8 * i));
  }
  Steps steps(const std::filesystem::path& path, double fps = 25) const {
    return steps_of(decode_clip(path, fps, 0, 32, 32));
  }
  std::string stream(const std::string& name, std::int64_t first, std::int64_t count, const std::string& encoder,
                     const std::string& muxer, std::int64_t size = 64) const {
    const at::Tensor frames = grey_steps(first + count, size, size).narrow(0, first, count);
    return make_stream(folder_ / name, frames, encoder, muxer) ? read_file(folder_ / name) : "";
  }
};

TEST_F(OddVideos, APacketWithoutBytesLeavesThePictureBefore) {
  std::string bytes = stream("whole.mov", 0, 8, "mjpeg", "mov");
  ASSERT_FALSE(bytes.empty());
  // 'stsz': version and flags, one size for all, count, sizes.
  const std::size_t sizes = bytes.find("stsz");
  ASSERT_NE(sizes, std::string::npos);
  ASSERT_EQ(number(bytes, sizes + 8), 0U);
  const auto drop = [&](std::size_t sample) {
    std::string out = bytes;
    const std::size_t at = sizes + 16 + 4 * sample;
    put(out, at - 4, number(out, at - 4) + number(out, at));  // the bytes stay, behind the picture before
    put(out, at, 0);
    return out;
  };
  EXPECT_EQ(steps(file("whole2.mov", bytes)), (Steps{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(steps(file("middle.mov", drop(3))), (Steps{0, 1, 2, 2, 4, 5, 6, 7}));
  EXPECT_EQ(steps(file("last.mov", drop(7))), (Steps{0, 1, 2, 3, 4, 5, 6, 6}));
}

TEST_F(OddVideos, DamageIsNamedByItsTime) {
  std::string bytes = stream("whole.mov", 0, 8, "mjpeg", "mov");
  ASSERT_FALSE(bytes.empty());
  const std::size_t sizes = bytes.find("stsz"), chunks = bytes.find("stco");
  ASSERT_NE(sizes, std::string::npos);
  ASSERT_NE(chunks, std::string::npos);
  std::size_t at = number(bytes, chunks + 12);
  for (std::size_t sample = 0; sample < 3; ++sample) at += number(bytes, sizes + 16 + 4 * sample);
  bytes.replace(at, number(bytes, sizes + 16 + 4 * 3), std::string(number(bytes, sizes + 16 + 4 * 3), '\0'));
  expect_refused([&] { steps(file("spoiled.mov", bytes)); }, {"spoiled.mov", "damaged 0.12 s after its start"});
}

TEST_F(OddVideos, ADownloadThatStoppedIsRefused) {
  const struct {
    const char *encoder, *muxer, *name;
  } kinds[] = {{"mjpeg", "matroska", "a.mkv"}, {"libvpx", "webm", "a.webm"},
               {"libtheora", "ogg", "a.ogv"},  {"wrapped_avframe", "yuv4mpegpipe", "a.y4m"},
               {"mjpeg", "avi", "a.avi"},      {"mpeg2video", "mpegts", "a.ts"},
               {"mpeg2video", "vob", "a.vob"}, {"flv", "flv", "a.flv"},
               {"wmv2", "asf", "a.wmv"},       {"mpeg4", "mp4", "a.mp4"}};
  int made = 0;
  for (const auto& kind : kinds) {
    const std::string bytes = stream(kind.name, 0, 12, kind.encoder, kind.muxer, 96);
    if (bytes.empty()) continue;
    ++made;
    EXPECT_NO_THROW(steps(folder_ / kind.name)) << kind.name;
    const std::size_t rest = bytes.size() * 55 / 100;
    SCOPED_TRACE(kind.name);
    expect_refused([&] { steps(file(kind.name, bytes.substr(0, rest))); }, {kind.name});
  }
  EXPECT_GE(made, 7);
  expect_refused([&] { probe_video(folder_ / "a.mkv"); }, {"a.mkv", "cut short", "bytes"});  // before it is decoded
}

TEST_F(OddVideos, RecordingsThatWereJoinedAreWhole) {
  for (const char* encoder : {"mpeg2video", "libx264"}) {
    const std::string a = stream("a.ts", 0, 5, encoder, "mpegts"), b = stream("b.ts", 5, 5, encoder, "mpegts");
    if (a.empty() || b.empty()) continue;
    EXPECT_EQ(steps(file("joined.ts", a + b)), (Steps{0, 1, 2, 3, 4, 5, 6, 7, 8, 9})) << encoder;
  }
}

TEST_F(OddVideos, AStretchThatWasLostIsDamage) {
  for (const char* encoder : {"mpeg2video", "libx264"}) {
    const std::string whole = stream("whole.ts", 0, 12, encoder, "mpegts", 96);
    if (whole.empty()) continue;
    constexpr std::size_t kPacket = 188, kVideo = 0x100;
    std::vector<std::size_t> starts;  // packets in which a picture begins
    const auto pid = [&](std::size_t at) {
      return (static_cast<std::size_t>(static_cast<unsigned char>(whole[at + 1])) & 0x1F) << 8 |
             static_cast<unsigned char>(whole[at + 2]);
    };
    for (std::size_t at = 0; at + kPacket <= whole.size(); at += kPacket)
      if (pid(at) == kVideo && (whole[at + 1] & 0x40)) starts.push_back(at);
    ASSERT_EQ(starts.size(), 12U) << encoder;
    EXPECT_NO_THROW(steps(folder_ / "whole.ts")) << encoder;
    std::string lost = whole;  // the picture after the next key frame, with all its packets
    lost.erase(starts[5], starts[6] - starts[5]);
    SCOPED_TRACE(encoder);
    expect_refused([&] { steps(file("lost.ts", lost)); }, {"lost.ts", "damaged", " s after its start"});
  }
}

TEST_F(OddVideos, ATrackOfOnePictureIsNotTheVideo) {
  if (stream("thumb.avi", 11, 1, "mjpeg", "avi", 256).empty() || stream("video.mp4", 0, 8, "mpeg4", "mp4").empty())
    GTEST_SKIP() << "this FFmpeg lacks an encoder";
  for (const auto& [name, muxer] : {std::pair{"both.mp4", "mp4"}, std::pair{"both.mkv", "matroska"}}) {
    join_tracks(folder_ / name, {folder_ / "thumb.avi", folder_ / "video.mp4"}, muxer);
    EXPECT_EQ(steps(folder_ / name), (Steps{0, 1, 2, 3, 4, 5, 6, 7})) << name;
    const ClipReader reader(folder_ / name, 25, {{32, 32}});
    EXPECT_TRUE(reader.remarks().track.empty() || reader.remarks().track.find("not track 1") != std::string::npos);
    EXPECT_EQ(probe_video(folder_ / name).width, 64) << name;
  }
  EXPECT_NE(ClipReader(folder_ / "both.mp4", 25, {{32, 32}}).remarks().track, "");
}

TEST_F(OddVideos, HdrIsRemarked) {
  make_clip(folder_ / "hdr.mkv", grey_steps(2, 32, 32), {{0, 100}, {}, 1, true});
  make_clip(folder_ / "plain.mkv", grey_steps(2, 32, 32), {{0, 100}, {}, 1});
  EXPECT_TRUE(ClipReader(folder_ / "hdr.mkv", 10, {{32, 32}}).remarks().hdr);
  EXPECT_FALSE(ClipReader(folder_ / "plain.mkv", 10, {{32, 32}}).remarks().hdr);
}

TEST_F(OddVideos, NamesAreNoAddressesAndNoPatterns) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  const at::Tensor frames = grey_steps(3, 32, 32);
  for (const char* name : {"2026-11-28T05:17:15/a.mp4", "exp:1/50%d.mp4", "http:/a.mp4", "file:a.mp4", "a%03d.mp4",
                           "{b} #1 *?[c] \xC3\xA9.mp4", "-i.mp4"}) {
    const std::filesystem::path path = name;
    if (path.has_parent_path()) make_folder(path.parent_path());
    write_video(path, frames, 10);
    EXPECT_TRUE(std::filesystem::exists(path)) << name;
    EXPECT_EQ(steps(path, 10), (Steps{0, 1, 2})) << name;
  }
  if (make_stream(folder_ / "plain.mjpeg", frames, "mjpeg", "mjpeg")) {
    std::filesystem::rename("plain.mjpeg", "p%d.mjpeg");
    EXPECT_NO_THROW(steps("p%d.mjpeg"));
  }
  std::filesystem::current_path(before);
}

}  // namespace
}  // namespace rehyat::data
