#include "data/sources/clips.h"

#include <sys/stat.h>

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using Names = std::vector<std::string>;

class Clips : public VideoTest {
 protected:
  static Names videos_in(const std::filesystem::path& folder) { return videos_of(folder, list_folder(folder)); }
};

TEST_F(Clips, ListsVideosSorted) {
  for (const char* folder : {"b", "a/deep", ".hidden"}) make_folder(folder_ / folder);
  for (const char* name : {"z.mp4", "b/1.MKV", "a/deep/x.webm", "a.txt", ".part.mp4", ".hidden/y.mp4", "noext"})
    file(name, "x");
  EXPECT_EQ(videos_in(folder_), (Names{"a/deep/x.webm", "b/1.MKV", "z.mp4"}));
}

TEST_F(Clips, RefusesFoldersWithoutVideos) {
  expect_refused([&] { videos_in(folder_); }, {folder_.string(), "no video", ".mp4"});
  expect_refused([&] { videos_in(folder_ / "none"); }, {"none", "nothing"});
  expect_refused([&] { videos_in(file("f.mp4", "x")); }, {"not a folder"});
}

TEST_F(Clips, KnowsTheUsualExtensions) {
  for (const char* name : {"a.m2ts", "b.VOB", "c.mxf", "d.y4m", "e.3g2", "f.ogg", "g.h264", "h.hevc", "i.ivf", "j.dv"})
    file(name, "x");
  EXPECT_EQ(videos_in(folder_).size(), 10U);
}

TEST_F(Clips, RefusesNamesThatAreNotUtf8) {
  file("good.mp4", "x");
  file("caf\xE9.mp4", "x");
  expect_refused([&] { videos_in(folder_); }, {"caf\\xE9.mp4", "UTF-8", "rename"});
}

TEST_F(Clips, LinkedFoldersAreListedOnce) {
  for (const char* folder : {"clips/own", "disk2/deep"}) make_folder(folder_ / folder);
  for (const char* name : {"clips/own/a.mp4", "disk2/b.mp4", "disk2/deep/c.mp4", "d.mp4"}) file(name, "x");
  const auto link = [&](const char* to, const char* from) {
    std::filesystem::create_symlink(to, folder_ / "clips" / from);
  };
  link("../disk2", "more");
  link("../disk2/deep", "twice");
  link("own", "inside");
  link("..", "own/loop");
  link("../d.mp4", "d.mp4");
  const FolderContent content = list_folder(folder_ / "clips");
  EXPECT_EQ(content.videos, (Names{"d.mp4", "more/b.mp4", "more/deep/c.mp4", "own/a.mp4"}));
  EXPECT_TRUE(content.warnings.empty());
  ASSERT_EQ(content.remarks.size(), 1U);
  EXPECT_NE(content.remarks[0].find("3 links to folders that are listed already left out: inside, own/loop, twice"),
            std::string::npos)
      << content.remarks[0];
}

TEST_F(Clips, WhatIsLeftOutIsCountedAndNamed) {
  for (const char* name : {"a.mp4", "._a.mp4", ".part.MP4", ".notes"}) file(name, "x");
  for (const char* name : {"1.mkv", "2.mkv", "3.mkv", "unmounted"})
    std::filesystem::create_symlink("nowhere/x", folder_ / name);
  std::filesystem::create_symlink("loop", folder_ / "loop");
  ASSERT_EQ(::mkfifo((folder_ / "pipe.mp4").c_str(), 0600), 0);
  const FolderContent content = list_folder(folder_);
  EXPECT_EQ(content.videos, (Names{"a.mp4"}));
  ASSERT_EQ(content.warnings.size(), 2U);
  EXPECT_NE(content.warnings[0].find("5 links that lead nowhere left out: 1.mkv, 2.mkv, 3.mkv …"), std::string::npos)
      << content.warnings[0];
  EXPECT_NE(content.warnings[1].find("no regular file left out: pipe.mp4"), std::string::npos) << content.warnings[1];
  ASSERT_EQ(content.remarks.size(), 1U);
  EXPECT_NE(content.remarks[0].find("2 names that begin with a dot left out: ._a.mp4, .part.MP4"), std::string::npos)
      << content.remarks[0];
}

}  // namespace
}  // namespace rehyat::data
