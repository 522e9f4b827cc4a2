#include "data/dataset/prepare_test.h"
#include "data/sources/buckets.h"
#include "files/tar_maker.h"

namespace rehyat::data {
namespace {

using testing::TarMaker;

using Samples = std::vector<std::string>;

class PrepareTars : public PrepareTest {
 protected:
  /// The clips of the folder and what lies beside them, in their order, as one tar.
  TarMaker packed() const {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "clips")) files.push_back(entry.path());
    std::ranges::sort(files);
    TarMaker tar;
    for (const auto& path : files) tar.add(path.filename().string(), read_file(path));
    return tar;
  }
  void pack() { config_.videos = packed().end().save(folder_ / "clips.tar"); }
};

TEST_F(PrepareTars, TheSameLatentsAsFromTheFolder) {
  clip("a", 11);
  clip("b", 5, 3);
  clip("c", 7, 1);
  config_.crops = 1;
  config_.flip = true;
  prepared("folder");
  pack();
  prepared("tar");
  for (const char* name : {"shard-00000.h5", "shard-00001.h5", "text.h5"})
    EXPECT_EQ(read(std::string("folder/") + name), read(std::string("tar/") + name)) << name;
  EXPECT_EQ(dataset("tar").get(Split::train, 0).clip, "clips.tar/a.mkv");
  EXPECT_EQ(dataset("tar").get(Split::train, 0).caption, "caption of a");
}

/// What decoding comes to: the number of pictures, or the complaint without the clip's name.
std::string outcome(const ClipFile& clip) {
  try {
    return std::to_string(decode_clip(clip, 10, 0, 32, 32).size(0));
  } catch (const UserError& error) {
    return std::string(error.what()).substr(clip.shown().size());
  }
}

TEST_F(PrepareTars, EveryContainerIsReadInPlace) {
  ClipSpec spec;
  for (std::int64_t i = 0; i < 5; ++i) spec.pts.push_back(100 * i);
  for (const char* extension : {"mkv", "avi", "nut", "mp4"}) {  // MP4 and AVI seek to an index at their end
    const std::string name = cat("clip.", extension);
    if (std::string(extension) == "mp4") {
      write_video(folder_ / name, grey_steps(5, 32, 32), 10);
    } else {
      make_clip(folder_ / name, grey_steps(5, 32, 32), spec);
    }
    const std::string bytes = read_file(folder_ / name);
    TarMaker tar;
    tar.add("before.bin", std::string(100'000, 'x')).add(name, bytes).add("after.bin", std::string(100'000, 'y')).end();
    const auto path = tar.save(folder_ / "x.tar");
    const std::uint64_t first = 512 + 100'352 + 512;
    const ClipFile member(path, name, first, bytes.size());
    EXPECT_TRUE(at::equal(decode_clip(member, 10, 0, 32, 32), decode_clip(folder_ / name, 10, 0, 32, 32))) << name;
    EXPECT_EQ(probe_video(member).frames, probe_video(folder_ / name).frames) << name;
    // Damage shows in a member as it does in a file.
    const ClipFile cut(path, name, first, bytes.size() * 2 / 3);
    EXPECT_EQ(outcome(cut), outcome(file("cut-" + name, bytes.substr(0, bytes.size() * 2 / 3)))) << name;
  }
}

TEST_F(PrepareTars, ABadMemberIsSetAside) {
  clip("a", 5);
  broken("b");
  clip("c", 5, 2);
  pack();
  const PrepareResult summary = prepared();
  EXPECT_EQ(samples(), (Samples{"clips 0 4", "clips 2 6"}));
  EXPECT_EQ(summary.quarantined, 1);
  EXPECT_NE(read("out/quarantine.jsonl").find("\"file\":\"clips.tar/b.mkv\""), std::string::npos);
  EXPECT_EQ(summary.table.quarantined[0].clips, 1);
  const std::string why = summary.table.quarantined[0].why;
  EXPECT_EQ(why.find("clips.tar"), std::string::npos) << why;
  // Nothing of it is done again: its archive is the same.
  const auto before = std::filesystem::last_write_time(folder_ / "out/shard-00000.h5");
  prepared();
  EXPECT_EQ(std::filesystem::last_write_time(folder_ / "out/shard-00000.h5"), before);
}

TEST_F(PrepareTars, AMemberBehindItsArchiveIsNamed) {
  clip("a", 5);
  pack();
  const ClipFile behind(config_.videos, "a.mkv", 512, 1 << 30);
  expect_refused([&] { probe_video(behind); }, {"clips.tar/a.mkv", "ends behind its archive"});
  const ClipFile empty(config_.videos, "a.mkv", 512, 0);
  expect_refused([&] { probe_video(empty); }, {"clips.tar/a.mkv", "an empty file"});
  const ClipFile gone(folder_ / "gone.tar", "a.mkv", 512, 10);
  expect_refused([&] { probe_video(gone); }, {"gone.tar", "no such file"});
}

class PrepareBuckets : public PrepareTest {
 protected:
  void SetUp() override {
    PrepareTest::SetUp();
    config_.buckets = {{{32, 64}, 5}, {{64, 32}, 5}, {{32, 32}, 9}};
  }
  void sized(const std::string& name, std::int64_t frames, std::int64_t height, std::int64_t width) const {
    ClipSpec spec;
    for (std::int64_t i = 0; i < frames; ++i) spec.pts.push_back(100 * i);
    make_clip(config_.videos / (name + ".mkv"), grey_steps(frames, height, width), spec);
    file("clips/" + name + ".txt", "caption of " + name);
  }
  void mixed() const {
    sized("long", 10, 40, 40);  // 32x32, 9 frames
    sized("small", 10, 16, 64);
    sized("tall", 6, 80, 32);
    sized("wide", 11, 32, 64);  // two windows
    sized("brief", 4, 64, 64);
    broken("noise");
  }
};

TEST_F(PrepareBuckets, EachClipGoesWhereItFits) {
  mixed();
  const PrepareResult summary = prepared();
  EXPECT_EQ(summary.dropped, 2);
  EXPECT_EQ(summary.quarantined, 1);
  EXPECT_EQ(summary.usable_clips, 3);
  const DatasetTable& table = summary.table;
  const auto counts = [&](std::size_t b) { return cat(table.buckets[b].clips, " ", table.buckets[b].windows); };
  EXPECT_EQ(counts(0), "1 2");
  EXPECT_EQ(counts(1), "1 1");
  EXPECT_EQ(counts(2), "1 1");
  EXPECT_EQ(table.dropped.size(), 2U);
  EXPECT_EQ(dataset_folder(folder_ / "out", identity()).content()["table"], config::to_json(table));
  EXPECT_NE(read("out/dropped.jsonl").find("\"file\":\"small.mkv\",\"reason\":\"64x16 pixels"), std::string::npos)
      << read("out/dropped.jsonl");
  EXPECT_NE(read("out/dropped.jsonl").find("4 pictures at 10 fps"), std::string::npos) << read("out/dropped.jsonl");
  const LatentDataset data = dataset();
  ASSERT_EQ(data.buckets(), 3U);
  for (std::int64_t i = 0; i < data.size(Split::train); ++i) {
    const auto shape = data.get(Split::train, i).latents.sizes().vec();
    const DataConfig bucket = config_.of_bucket(data.bucket(Split::train, i));
    EXPECT_EQ(shape,
              (std::vector<std::int64_t>{16, 1 + (bucket.frames - 1) / 4, bucket.size[0] / 8, bucket.size[1] / 8}));
  }
  EXPECT_EQ(data.of_bucket(Split::train, 0).size(), 2U);
  EXPECT_TRUE(data.of_bucket(Split::validation, 0).empty());
}

TEST_F(PrepareBuckets, AClipThatIsShorterThanItsContainerSaysGetsAnotherOne) {
  config_.buckets = {{{32, 32}, 9}, {{32, 32}, 5}};
  sized("a", 6, 32, 32);
  sized("b", 4, 32, 32);
  for (const char* name : {"clips/a.mkv", "clips/b.mkv"}) {
    std::string bytes = read(name);
    const std::size_t duration = bytes.find("\x44\x89\x88");  // Matroska's Duration, milliseconds, 8 bytes
    ASSERT_NE(duration, std::string::npos);
    bytes.replace(duration + 3, 8, std::string("\x40\x8f\x40\0\0\0\0\0", 8));  // 1000
    file(name, bytes);
    EXPECT_EQ(shape_of(probe_video(folder_ / name), 10).pictures, 10);
  }
  const PrepareResult summary = prepared();
  EXPECT_EQ(summary.table.buckets[0].windows, 0);
  EXPECT_EQ(summary.table.buckets[1].windows, 1);
  EXPECT_EQ(summary.dropped, 1);
  EXPECT_EQ(summary.quarantined, 0);
  EXPECT_EQ(samples(), (Samples{"a 0 4"}));
}

TEST_F(PrepareBuckets, AClipThatIsLongerThanItsRateSaysIsMeasured) {
  // Live streams state no length; the rate of the first seconds, 50 a second, falls to 5.
  config_.buckets = {{{32, 32}, 101}};
  ClipSpec spec;
  for (std::int64_t i = 0; i < 330; ++i) spec.pts.push_back(i < 300 ? 20 * i : 6000 + 200 * (i - 300));
  make_clip(config_.videos / "live.mkv", grey_steps(330, 32, 32), spec);
  std::string bytes = read("clips/live.mkv");
  const std::size_t duration = bytes.find("\x44\x89\x88");
  ASSERT_NE(duration, std::string::npos);
  bytes.replace(duration, 3, std::string("\xEC\x89\0", 3));  // an element that says nothing in place of Duration
  file("clips/live.mkv", bytes);
  file("clips/live.txt", "caption");
  const VideoInfo info = probe_video(config_.videos / "live.mkv");
  EXPECT_TRUE(info.measured);
  EXPECT_NEAR(info.seconds, 12, 0.2);
  EXPECT_EQ(info.frames, 330);
  EXPECT_EQ(prepared().usable_clips, 1);
}

TEST_F(PrepareBuckets, BeforeAClipIsDroppedAsTooShortItIsMeasured) {
  config_.buckets = {{{32, 32}, 9}};
  for (const std::int64_t frames : {10, 4}) {
    const std::string name = cat("clips/", frames, ".avi");
    ClipSpec spec;
    for (std::int64_t i = 0; i < frames; ++i) spec.pts.push_back(100 * i);
    make_clip(folder_ / name, grey_steps(frames, 32, 32), spec);
    std::string bytes = read(name);
    const std::size_t header = bytes.find("strh");
    ASSERT_NE(header, std::string::npos);
    bytes.replace(header + 40, 4, std::string("\2\0\0\0", 4));  // the length that the track states
    file(name, bytes);
    file(cat("clips/", frames, ".txt"), "caption");
    EXPECT_LE(shape_of(probe_video(folder_ / name), 10).pictures, 2);
  }
  const PrepareResult result = prepared();
  EXPECT_EQ(result.usable_clips, 1);
  EXPECT_EQ(result.dropped, 1);
}

TEST_F(PrepareBuckets, NothingThatFitsIsAnError) {
  sized("small", 10, 16, 16);
  expect_refused([&] { prepared(); },
                 {"dropped.jsonl", "1 of 1", "fit no bucket", "small.mkv", "16x16", "data.buckets"});
  config_.upscale = true;
  EXPECT_EQ(prepared("enlarged").table.buckets[2].clips, 1);
}

TEST_F(PrepareBuckets, AnotherBucketIsAnotherDatasetAndSaidSo) {
  mixed();
  prepared();
  config_.buckets[2].frames = 5;
  expect_refused([&] { prepared(); }, {"data.buckets: found", "\"frames\":9", "expected", "made from something else"});
}

TEST_F(PrepareBuckets, FinishedShardsAreKept) {
  mixed();
  prepared("whole");
  prepared();
  for (const char* name : {"manifest.json", "shard-00001.h5"}) std::filesystem::remove(folder_ / "out" / name);
  const auto before = std::filesystem::last_write_time(folder_ / "out/shard-00000.h5");
  EXPECT_EQ(prepared().throughput.clips, 2);
  EXPECT_EQ(std::filesystem::last_write_time(folder_ / "out/shard-00000.h5"), before);
  for (const char* name : {"manifest.json", "shard-00001.h5", "shard-00002.h5", "text.h5", "dropped.jsonl"})
    EXPECT_EQ(read(std::string("out/") + name), read(std::string("whole/") + name)) << name;
}

}  // namespace
}  // namespace rehyat::data
