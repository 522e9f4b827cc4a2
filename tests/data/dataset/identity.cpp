#include "data/dataset/identity.h"

#include <fstream>

#include "data/dataset/content_settings.h"
#include "data/dataset/fake_encoders.h"
#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

class DatasetIdentity : public VideoTest {
 protected:
  void SetUp() override {
    VideoTest::SetUp();
    make_folder(folder_ / "clips");
    for (const char* name : {"a", "b"}) {
      file(std::string("clips/") + name + ".mp4", std::string("video ") + name);
      file(std::string("clips/") + name + ".txt", std::string("caption ") + name);
    }
    config_.videos = folder_ / "clips";
  }
  Identity identity(const DataConfig& config) const {
    FakeCodec codec;
    FakeText text;
    ChecksumMemory memory;
    const ClipList clips = list_clips(config);
    return dataset_identity({config, clips, codec, text, 1}, content_of(config), memory);
  }
  Identity identity() const { return identity(config_); }

  DataConfig config_;
};

TEST_F(DatasetIdentity, NoticesCaptionsBesideTheClips) {
  const Identity before = identity();
  file("clips/b.txt", "caption c");
  EXPECT_NE(identity(), before);
  file("clips/b.txt", " caption b\n");
  EXPECT_EQ(identity(), before);  // the same caption
}

TEST_F(DatasetIdentity, NoticesAnotherVideoOfTheSameSize) {
  const Identity before = identity();
  file("clips/b.mp4", "video c");
  EXPECT_NE(identity(), before);
}

TEST_F(DatasetIdentity, NoticesGroups) {
  config_.captions =
      file("m.jsonl", "{\"file\": \"a.mp4\", \"caption\": \"A\"}\n{\"file\": \"b.mp4\", \"caption\": \"B\"}\n");
  const Identity before = identity();
  config_.captions =
      file("n.jsonl", "{\"caption\": \"A\", \"file\": \"a.mp4\"}\n{\"file\": \"b.mp4\", \"caption\": \"B\"}\n");
  EXPECT_EQ(identity(), before);  // another file that says the same
  config_.captions = file("o.jsonl",
                          "{\"file\": \"a.mp4\", \"caption\": \"A\", \"group\": \"g\"}\n"
                          "{\"file\": \"b.mp4\", \"caption\": \"B\"}\n");
  EXPECT_NE(identity(), before);
}

TEST_F(DatasetIdentity, LeavesOutWhatDoesNotDecideTheContent) {
  const Identity before = identity();
  DataConfig other = config_;
  other.stride = other.frames;  // what 0 means
  other.videos = folder_ / "." / "clips" / "";
  EXPECT_EQ(identity(other), before);
  std::filesystem::rename(folder_ / "clips", folder_ / "moved");
  other.videos = folder_ / "moved";
  EXPECT_EQ(identity(other), before);
  other.flip = true;
  EXPECT_NE(identity(other), before);
}

TEST_F(DatasetIdentity, SectionIsNamedWithoutItsVideos) {
  FakeCodec codec;
  FakeText text;
  const std::string key = section_key(config_, content_of(config_), codec, text, 1);
  DataConfig other = config_;
  other.videos = folder_ / "x" / ".." / "clips" / "";
  EXPECT_EQ(section_key(other, content_of(other), codec, text, 1), key);
  std::filesystem::remove_all(folder_ / "clips");
  EXPECT_EQ(section_key(config_, content_of(config_), codec, text, 1), key);
  EXPECT_NE(section_key(config_, content_of(config_), codec, text, 2), key);
  other.videos = folder_ / "other";
  EXPECT_NE(section_key(other, content_of(other), codec, text, 1), key);
}

TEST_F(DatasetIdentity, ChecksumsOfLargeFilesSeeHeadMiddleAndTail) {
  std::string bytes(8 << 20, 'x');
  const std::string before = clip_checksum(file("large.mp4", bytes));
  for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
    std::string changed = bytes;
    changed[at] = 'y';
    EXPECT_NE(clip_checksum(file("large.mp4", changed)), before) << at;
  }
  EXPECT_NE(clip_checksum(file("large.mp4", bytes + "x")), before);
  EXPECT_EQ(clip_checksum(file("large.mp4", bytes)), before);
  EXPECT_EQ(clip_checksum(folder_ / "none.mp4"), "unreadable");
}

TEST_F(DatasetIdentity, ChangedClipsAreNamed) {
  ChecksumMemory memory;
  const auto marks = [&] { return clip_marks(list_clips(config_), memory); };
  const auto saved = folder_ / "clips.json";
  EXPECT_EQ(clip_changes(saved, marks()), "");
  save_clip_marks(saved, marks());
  EXPECT_EQ(clip_changes(saved, marks()), "");
  file("clips/a.txt", "another");
  file("clips/b.mp4", "video c");
  file("clips/c.mp4", "video d");
  file("clips/c.txt", "caption");
  EXPECT_EQ(clip_changes(saved, marks()),
            "1 clip new (c.mp4), 1 clip with another content (b.mp4), 1 clip with another caption or group (a.mp4)");
  for (const char* name : {"a.mp4", "b.mp4"}) std::filesystem::remove(config_.videos / name);
  EXPECT_EQ(clip_changes(saved, marks()), "1 clip new (c.mp4), 2 clips gone (a.mp4, b.mp4)");
  for (const char* foreign : {"[]", "{\"c.mp4\": 3}", "{"}) {
    file("clips.json", foreign);
    EXPECT_EQ(clip_changes(saved, marks()), "") << foreign;
  }
}

}  // namespace
}  // namespace rehyat::data
