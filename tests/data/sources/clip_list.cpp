#include "data/sources/clip_list.h"

#include "data/dataset/fake_encoders.h"
#include "data/dataset/identity.h"
#include "data/sources/videos2caption.h"
#include "data/sources/webdataset.h"
#include "data/video/clip_maker.h"
#include "files/tar_maker.h"

namespace rehyat::data {
namespace {

using testing::TarMaker;

using Names = std::vector<std::string>;

class ClipSources : public VideoTest {
 protected:
  void SetUp() override {
    VideoTest::SetUp();
    make_folder(folder_ / "shards");
  }
  ClipList list(const std::string& videos, const std::string& captions = "") const {
    DataConfig config;
    config.videos = folder_ / videos;
    if (!captions.empty()) config.captions = folder_ / captions;
    return list_clips(config);
  }
  void tar(const std::string& name, const TarMaker& content) const { content.save(folder_ / name); }
};

TEST_F(ClipSources, SamplesOfAWebDataset) {
  TarMaker a, b;
  a.add("s/1.mp4", "video 1").add("s/1.txt", "\xEF\xBB\xBF one \n").add("s/2.json", R"({"text": "two", "n": [1]})");
  a.add("s/2.webm", "video 22").add("s/._3.mp4", "mac").add("s/3.jpg", "picture").add("s/4.txt", "no video").end();
  b.add("1.tag.MKV", "video 3").add("1.json", R"({"caption": "three", "text": "no", "group": "g"})").end();
  tar("shards/b.tar", b);
  tar("shards/a.tar", a);
  const ClipList clips = list("shards");
  EXPECT_EQ(clips.videos, (Names{"a.tar/s/1.mp4", "a.tar/s/2.webm", "b.tar/1.tag.MKV"}));
  EXPECT_EQ(clips.captions.at("a.tar/s/1.mp4"), "one");
  EXPECT_EQ(clips.captions.at("a.tar/s/2.webm"), "two");
  EXPECT_EQ(clips.captions.at("b.tar/1.tag.MKV"), "three");
  EXPECT_EQ(clips.captions.group("b.tar/1.tag.MKV"), "g");
  EXPECT_EQ(clips.other_members, 3U);
  EXPECT_EQ(clips.files[1].shown(), (folder_ / "shards/a.tar/s/2.webm").string());
  EXPECT_EQ(clips.files[1].bytes, 8U);
  EXPECT_EQ(clips.find("b.tar/1.tag.MKV"), &clips.files[2]);
  EXPECT_EQ(clips.find("b.tar/1"), nullptr);
  EXPECT_EQ(list("shards/{b,a}.tar").videos, clips.videos);
  EXPECT_EQ(list("shards/*.tar").videos, clips.videos);
  EXPECT_EQ(list("shards/b.tar").videos, (Names{"b.tar/1.tag.MKV"}));
}

TEST_F(ClipSources, TarsInCapitalsAndNull) {
  TarMaker one;
  one.add("0.MP4", "v")
      .add("0.TXT", "in capitals")
      .add("1.mp4", "v")
      .add("1.JSON", R"({"caption": null, "text": "t"})");
  one.add("2.mp4", "v").add("2.json", R"({"caption": null, "group": null})").end();
  tar("shards/A.TAR", one);
  DataConfig config;
  config.videos = folder_ / "shards";
  expect_refused([&] { list_clips(config); }, {"no caption of \"A.TAR/2.mp4\""});
  config.allow_missing_captions = true;
  const ClipList clips = list_clips(config);
  EXPECT_EQ(clips.captions.at("A.TAR/0.MP4"), "in capitals");
  EXPECT_EQ(clips.captions.at("A.TAR/1.mp4"), "t");
  EXPECT_EQ(clips.captions.missing(), 1U);
  EXPECT_EQ(clips.other_members, 0U);
  TarMaker twice;
  twice.add("0.mp4", "v").add("0.txt", "a").add("0.TXT", "b").end();
  tar("shards/A.TAR", twice);
  expect_refused([&] { list_clips(config); }, {"two captions of the sample \"0\""});
}

TEST_F(ClipSources, TarsOfSeveralFoldersKeepTheirNamesApart) {
  TarMaker one;
  one.add("1.mp4", "v").add("1.txt", "c").end();
  for (const char* folder : {"shards/x", "shards/y"}) {
    make_folder(folder_ / folder);
    tar(std::string(folder) + "/0.tar", one);
  }
  EXPECT_EQ(list("shards").videos, (Names{"x/0.tar/1.mp4", "y/0.tar/1.mp4"}));
  EXPECT_EQ(list("shards/{x,y}/0.tar").videos, (Names{"x/0.tar/1.mp4", "y/0.tar/1.mp4"}));
}

TEST_F(ClipSources, CaptionsOfATarMayComeFromAList) {
  TarMaker one;
  one.add("1.mp4", "v").add("1.txt", "from the tar").end();
  tar("shards/0.tar", one);
  file("m.jsonl", R"({"file": "0.tar/1.mp4", "caption": "from the list"})");
  EXPECT_EQ(list("shards", "m.jsonl").captions.at("0.tar/1.mp4"), "from the list");
}

TEST_F(ClipSources, BadSamplesAreRefused) {
  const auto refused = [&](const TarMaker& content, const std::vector<std::string>& parts) {
    tar("shards/0.tar", content);
    SCOPED_TRACE(parts.front());
    expect_refused([&] { list("shards"); }, parts);
  };
  TarMaker none, twice, silent, only_json, list_json, type, lengthy, latin, broken;
  refused(none.add("1.txt", "c").end(), {"1 tars without a video", ".mp4"});
  refused(twice.add("1.a.mp4", "v").add("1.mp4", "v").end(), {"two videos of the sample \"1\"", "0.tar"});
  refused(silent.add("1.mp4", "v").end(), {"0.tar/1.mp4", "no caption"});
  refused(only_json.add("1.mp4", "v").add("1.json", "{\"caption\": ").end(), {"0.tar/1.json"});
  refused(list_json.add("1.mp4", "v").add("1.json", "[1]").end(), {"0.tar/1.json", "no object"});
  refused(type.add("1.mp4", "v").add("1.json", "{\"caption\": 3}").end(), {"\"caption\" of type number"});
  refused(lengthy.add("1.mp4", "v").add("1.txt", std::string(1 << 17, 'x')).end(), {"0.tar/1.txt", "131072 bytes"});
  refused(latin.add("1.mp4", "v").add("1.txt", "caf\xE9").end(), {"0.tar/1.txt:1", "UTF-8"});
  refused(broken.add("1.mp4", "v").add("1.txt", "c"), {"0.tar", "end mark"});
}

TEST_F(ClipSources, WhatIsNoSourceIsNamed) {
  expect_refused([&] { list("shards"); }, {"shards", "no video", ".tar"});
  expect_refused([&] { list("nowhere"); }, {"nowhere", "nothing", "a pattern of tars"});
  expect_refused([&] { list("shards/{0..3}.tar"); }, {"{0..3}.tar", "nothing at"});
  file("a.tar.gz", "x");
  expect_refused([&] { list("a.tar.gz"); }, {"a.tar.gz", "compressed", "unpack"});
  file("a.zip", "x");
  expect_refused([&] { list("a.zip"); }, {"a.zip", "no folder and no tar"});
  expect_refused([&] { list("a*"); }, {"a.tar.gz"});
}

TEST_F(ClipSources, AFolderOfVideosIsOneWhateverElseIsInIt) {
  file("shards/a.mp4", "v");
  file("shards/a.txt", "c");
  file("shards/old.tar", "not looked into");
  EXPECT_EQ(list("shards").videos, (Names{"a.mp4"}));
}

TEST_F(ClipSources, ChecksumsOfMembersAreThoseOfFiles) {
  const std::string large(5 << 20, 'x');
  TarMaker content;
  content.add("a.mp4", "video a").add("a.txt", "c").add("b.mp4", large).add("b.txt", "c").end();
  tar("shards/0.tar", content);
  file("a.mp4", "video a");
  file("b.mp4", large);
  const ClipList clips = list("shards");
  EXPECT_EQ(clip_checksum(clips.files[0]), clip_checksum(folder_ / "a.mp4"));
  EXPECT_EQ(clip_checksum(clips.files[1]), clip_checksum(folder_ / "b.mp4"));
  ChecksumMemory memory(folder_ / "memory.json");
  EXPECT_EQ(clip_checksum(clips.files[0], memory), clip_checksum(clips.files[0]));
  EXPECT_NE(clip_checksum(clips.files[0], memory), clip_checksum(clips.files[1], memory));
  std::filesystem::resize_file(folder_ / "shards/0.tar", 4096);
  EXPECT_EQ(clip_checksum(clips.files[1]), "unreadable");
}

TEST_F(ClipSources, Videos2Caption) {
  for (const char* name : {"shards/a.mp4", "shards/b.mp4", "shards/c.mp4"}) file(name, "v");
  file("videos2caption.json", R"([
    {"path": "a.mp4", "resolution": {"width": 848, "height": 480}, "fps": 24.0, "duration": 6.04, "num_frames": 145,
     "cap": ["the first", "another"], "aesthetic": 5.1},
    {"path": "./b.mp4", "cap": "one text", "group": "g", "fps": null},
    {"path": "c.mp4", "cap": [" "]}])");
  DataConfig config;
  config.videos = folder_ / "shards";
  config.captions = folder_ / "videos2caption.json";
  expect_refused([&] { list_clips(config); }, {"no caption of \"c.mp4\""});
  config.allow_missing_captions = true;
  const ClipList clips = list_clips(config);
  EXPECT_EQ(clips.captions.at("a.mp4"), "the first");
  EXPECT_EQ(clips.captions.at("b.mp4"), "one text");
  EXPECT_EQ(clips.captions.group("b.mp4"), "g");
  EXPECT_EQ(clips.captions.missing(), 1U);
}

TEST_F(ClipSources, BadEntriesOfVideos2CaptionAreNamed) {
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    const auto path = file("list.json", text);
    SCOPED_TRACE(text);
    expect_refused([&] { read_videos2caption(path); }, parts);
  };
  refused(R"({"path": "a"})", {"list.json", "JSON object", "a list"});
  refused(R"([{"path": "a", "cap": "x"}, 3])", {"list.json, entry 2", "a number"});
  refused(R"([{"cap": "x"}])", {"entry 1", "no \"path\""});
  refused(R"([{"path": 3}])", {"\"path\" of type number"});
  refused(R"([{"path": "a", "cap": 3}])", {"\"cap\" of type number"});
  refused(R"([{"path": "a", "cap": ["x", 3]}])", {"\"cap\" with a number"});
  refused(R"([{"path": "a", "cap": "x", "fps": 0}])", {"\"fps\": 0", "positive"});
  refused(R"([{"path": "a", "cap": "x", "duration": "6"}])", {"\"duration\""});
  refused(R"([{"path": "a", "cap": "x", "num_frames": -1}])", {"\"num_frames\": -1"});
  refused(R"([{"path": "a", "cap": "x", "resolution": [1, 2]}])", {"\"resolution\" of type array"});
  refused(R"([{"path": "a", "cap": "x", "resolution": {"width": 0}}])", {"\"width\": 0"});
  refused(R"([{"path": "a", "cap": "x", "cut": [0, 10]}])", {"\"cut\"", "whole videos"});
  refused(R"([{"path": "a", "cap": "x", "group": 3}])", {"\"group\" of type number"});
  refused("[{\"path\": \"a\"", {"list.json"});
}

}  // namespace
}  // namespace rehyat::data
