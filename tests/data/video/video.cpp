#include "data/video/video.h"

#include <cmath>

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using Steps = std::vector<std::int64_t>;

/// The four corners of each picture: red, green, blue, white.
at::Tensor corners(std::int64_t count, std::int64_t height, std::int64_t width) {
  at::Tensor out = at::zeros({count, height, width, 3}, at::kByte);
  const std::int64_t h = height / 2, w = width / 2;
  out.narrow(1, 0, h).narrow(2, 0, w).select(3, 0).fill_(255);
  out.narrow(1, 0, h).narrow(2, w, width - w).select(3, 1).fill_(255);
  out.narrow(1, h, height - h).narrow(2, 0, w).select(3, 2).fill_(255);
  out.narrow(1, h, height - h).narrow(2, w, width - w).fill_(255);
  return out;
}

/// "RG/BW" for an upright picture of corners().
std::string read_corners(const at::Tensor& picture) {
  std::string out;
  const std::int64_t h = picture.size(0), w = picture.size(1);
  for (const std::int64_t y : {h / 4, h - 1 - h / 4}) {
    for (const std::int64_t x : {w / 4, w - 1 - w / 4}) {
      const auto on = [&](int c) { return picture[y][x][c].item<int>() > 128; };
      out += on(0) && on(1) && on(2) ? 'W' : on(0) ? 'R' : on(1) ? 'G' : on(2) ? 'B' : '?';
    }
    if (y == h / 4) out += '/';
  }
  return out;
}

class Video : public VideoTest {};

TEST_F(Video, WritesAndReadsBack) {
  const at::Tensor frames = grey_steps(9, 48, 64);
  write_video(folder_ / "a.mp4", frames, 16);
  const VideoInfo info = probe_video(folder_ / "a.mp4");
  EXPECT_EQ(info.frames, 9);
  EXPECT_EQ(info.width, 64);
  EXPECT_EQ(info.height, 48);
  EXPECT_NEAR(info.rate, 16, 1e-6);
  EXPECT_NEAR(info.seconds, 9.0 / 16, 1e-3);
  EXPECT_FALSE(info.codec.empty());
  const at::Tensor read = decode_clip(folder_ / "a.mp4", 16, 0, 48, 64);
  ASSERT_EQ(read.sizes(), frames.sizes());
  EXPECT_EQ(read.scalar_type(), at::kByte);
  EXPECT_LE((read.to(at::kInt) - frames.to(at::kInt)).abs().max().item<int>(), 4);
  // Only the clip is left in the folder.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(Video, KeepsColours) {
  write_video(folder_ / "c.mp4", corners(5, 64, 96), 8);
  const at::Tensor read = decode_clip(folder_ / "c.mp4", 8, 1, 64, 96)[0].to(at::kInt);
  const at::Tensor error = (read - corners(1, 64, 96)[0].to(at::kInt)).abs();
  EXPECT_EQ(read_corners(read), "RG/BW");
  // Away from the edges, where chroma is shared by neighbours.
  EXPECT_LE(error.narrow(0, 4, 24).narrow(1, 4, 40).max().item<int>(), 8);
}

TEST_F(Video, ResamplesByTime) {
  write_video(folder_ / "a.mp4", grey_steps(8, 32, 32), 8);
  EXPECT_EQ(steps_of(decode_clip(folder_ / "a.mp4", 4, 0, 32, 32)), (Steps{0, 2, 4, 6}));
  EXPECT_EQ(steps_of(decode_clip(folder_ / "a.mp4", 16, 5, 32, 32)), (Steps{0, 0, 1, 1, 2}));
  EXPECT_EQ(steps_of(decode_clip(folder_ / "a.mp4", 6, 0, 32, 32)), (Steps{0, 1, 2, 4, 5, 6}));
  EXPECT_EQ(decode_clip(folder_ / "a.mp4", 8, 100, 32, 32).size(0), 8);
  EXPECT_EQ(decode_clip(folder_ / "a.mp4", 0.1, 0, 32, 32).size(0), 1);
}

TEST_F(Video, VariableRateKeepsItsSpeed) {
  make_clip(folder_ / "v.mkv", grey_steps(4, 32, 32), {{0, 100, 500, 600}, {}, 1});
  EXPECT_EQ(steps_of(decode_clip(folder_ / "v.mkv", 10, 0, 32, 32)), (Steps{0, 1, 1, 1, 1, 2, 3}));
  EXPECT_EQ(steps_of(decode_clip(folder_ / "v.mkv", 5, 0, 32, 32)), (Steps{0, 1, 1, 3}));
}

TEST_F(Video, TimesCountFromTheFirstPicture) {
  make_clip(folder_ / "late.mkv", grey_steps(3, 32, 32), {{2000, 2100, 2200}, {}, 1});
  EXPECT_EQ(steps_of(decode_clip(folder_ / "late.mkv", 10, 0, 32, 32)), (Steps{0, 1, 2}));
}

TEST_F(Video, StampsInWholeMillisecondsLoseNoFrame) {
  make_clip(folder_ / "r.mkv", grey_steps(7, 32, 32), {{0, 33, 67, 100, 133, 167, 200}, {}, 1});
  const Steps steps = steps_of(decode_clip(folder_ / "r.mkv", 30, 7, 32, 32));
  EXPECT_EQ(steps, (Steps{0, 1, 2, 3, 4, 5, 6}));
}

TEST_F(Video, AppliesRotationAndMirrors) {
  const std::int32_t one = 1 << 16, last = 1 << 30;
  const auto shown = [&](std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
    make_clip(folder_ / "t.mov", corners(2, 40, 60), {{0, 100}, {a, b, 0, c, d, 0, 0, 0, last}, 1});
    return read_corners(decode_clip(folder_ / "t.mov", 10, 1, 40, 40)[0]);
  };
  EXPECT_EQ(shown(one, 0, 0, one), "RG/BW");
  EXPECT_EQ(shown(0, one, -one, 0), "BR/WG");  // a quarter turn clockwise
  const VideoInfo info = probe_video(folder_ / "t.mov");
  EXPECT_EQ(info.width, 40);
  EXPECT_EQ(info.height, 60);
  EXPECT_EQ(shown(-one, 0, 0, -one), "WB/GR");  // half a turn
  EXPECT_EQ(shown(0, -one, one, 0), "GW/RB");   // a quarter turn the other way
  EXPECT_EQ(shown(-one, 0, 0, one), "GR/WB");   // left to right
}

TEST_F(Video, CoversAndCropsTheCentre) {
  at::Tensor frames = at::full({2, 40, 120, 3}, 200, at::kByte);
  frames.narrow(2, 0, 30).zero_();
  frames.narrow(2, 90, 30).zero_();
  make_clip(folder_ / "wide.mkv", frames, {{0, 100}, {}, 1});
  const at::Tensor read = decode_clip(folder_ / "wide.mkv", 10, 0, 40, 40);
  EXPECT_GE(read.min().item<int>(), 198);
  EXPECT_EQ(decode_clip(folder_ / "wide.mkv", 10, 0, 81, 33).sizes(), (std::vector<std::int64_t>{2, 81, 33, 3}));
}

TEST_F(Video, OddSizesAndWidePixels) {
  make_clip(folder_ / "odd.mkv", grey_steps(3, 33, 47), {{0, 100, 200}, {}, 1});
  EXPECT_EQ(steps_of(decode_clip(folder_ / "odd.mkv", 10, 0, 17, 31)), (Steps{0, 1, 2}));
  make_clip(folder_ / "pixels.mkv", grey_steps(1, 32, 32), {{0}, {}, 2});
  EXPECT_EQ(probe_video(folder_ / "pixels.mkv").width, 64);
  EXPECT_EQ(steps_of(decode_clip(folder_ / "pixels.mkv", 10, 0, 32, 64)), (Steps{0}));
}

TEST_F(Video, OneFrame) {
  write_video(folder_ / "one.mp4", grey_steps(1, 32, 32), 16);
  EXPECT_EQ(probe_video(folder_ / "one.mp4").frames, 1);
  EXPECT_EQ(steps_of(decode_clip(folder_ / "one.mp4", 16, 0, 32, 32)), (Steps{0}));
}

TEST_F(Video, RefusesWhatIsNoVideo) {
  const auto decode = [](const std::filesystem::path& path) { return [path] { decode_clip(path, 16, 0, 32, 32); }; };
  expect_refused(decode(folder_ / "absent.mp4"), {"absent.mp4", "no such file"});
  expect_refused(decode(folder_), {"not a regular file"});
  expect_refused(decode(file("zero.mp4", "")), {"zero.mp4", "an empty file"});
  expect_refused(decode(file("lfs.mp4", "version https://git-lfs.github.com/spec/v1\noid sha256:" +
                                            std::string(64, 'a') + "\nsize 5000000\n")),
                 {"lfs.mp4: found a Git LFS pointer", "git lfs pull"});
  expect_refused(decode(file("page.mp4", "<!DOCTYPE html><html><title>401</title>sign in</html>\n")),
                 {"page.mp4: found a web page"});
  std::string text;
  for (int i = 0; i < 300; ++i) text += "no video at all\n";
  expect_refused(decode(file("text.mp4", text)), {"text.mp4"});
  expect_refused(decode(file("sound.mp4", silence())), {"sound.mp4"});
  // A playlist must not make us open another file.
  write_video(folder_ / "real.mp4", grey_steps(3, 32, 32), 16);
  expect_refused(decode(file("list.mp4", "ffconcat version 1.0\nfile real.mp4\n")), {"list.mp4"});
  expect_refused([&] { probe_video(folder_ / "zero.mp4"); }, {"an empty file"});
}

TEST_F(Video, RefusesDamage) {
  at::Tensor noise = at::randint(0, 255, {40, 64, 64, 3}, at::kByte);
  write_video(folder_ / "whole.mp4", noise, 16);
  const std::string bytes = read_file(folder_ / "whole.mp4");
  // MP4 keeps its index at the end, so that half a file has none.
  expect_refused([&] { decode_clip(file("half.mp4", bytes.substr(0, bytes.size() / 2)), 16, 0, 32, 32); },
                 {"half.mp4"});
  // An AVI file is read up to where it was cut.
  std::vector<std::int64_t> every(40);
  for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<std::int64_t>(i);
  make_clip(folder_ / "whole.avi", noise, {every, {}, 1});
  EXPECT_NO_THROW(decode_clip(folder_ / "whole.avi", 100, 0, 32, 32));
  const std::string avi = read_file(folder_ / "whole.avi");
  expect_refused([&] { decode_clip(file("cut.avi", avi.substr(0, avi.size() / 2)), 100, 0, 32, 32); },
                 {"cut.avi", "cut short"});
  // Without its size its parts are looked at: the capture program was killed.
  std::string unknown = avi.substr(0, avi.size() / 2);
  unknown.replace(4, 4, std::string(4, '\0'));
  expect_refused([&] { decode_clip(file("killed.avi", unknown), 100, 0, 32, 32); }, {"killed.avi", "cut short"});
}

TEST_F(Video, RefusesBadArguments) {
  const at::Tensor good = grey_steps(2, 32, 32);
  write_video(folder_ / "a.mp4", good, 16);
  const auto path = folder_ / "a.mp4";
  expect_refused([&] { decode_clip(path, 0, 0, 32, 32); }, {"fps"});
  expect_refused([&] { decode_clip(path, std::nan(""), 0, 32, 32); }, {"fps"});
  expect_refused([&] { decode_clip(path, 16, -1, 32, 32); }, {"frames"});
  expect_refused([&] { decode_clip(path, 16, 0, 0, 32); }, {"size"});
  const auto out = folder_ / "out.mp4";
  expect_refused([&] { write_video(out, good.to(at::kFloat), 16); }, {"out.mp4", "Float", "uint8"});
  expect_refused([&] { write_video(out, good[0], 16); }, {"[32, 32, 3]"});
  expect_refused([&] { write_video(out, good.narrow(1, 0, 31), 16); }, {"32x31", "even"});
  expect_refused([&] { write_video(out, good, 0); }, {"frames per second"});
  expect_refused([&] { write_video(folder_ / "no" / "out.mp4", good, 16); }, {"no"});
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST_F(Video, PngRoundTrip) {
  const at::Tensor picture = corners(1, 33, 47)[0];
  const std::string png = encode_png(picture);
  EXPECT_EQ(png.substr(1, 3), "PNG");
  EXPECT_EQ(png, encode_png(picture));
  EXPECT_NE(png.find("IEND"), std::string::npos);
  expect_refused([&] { encode_png(picture.to(at::kFloat)); }, {"uint8"});
}

}  // namespace
}  // namespace rehyat::data
