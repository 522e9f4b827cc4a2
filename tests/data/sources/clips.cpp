#include "data/sources/clips.h"

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

class Clips : public VideoTest {};

TEST_F(Clips, ListsVideosSorted) {
  for (const char* folder : {"b", "a/deep", ".hidden"}) make_folder(folder_ / folder);
  for (const char* name : {"z.mp4", "b/1.MKV", "a/deep/x.webm", "a.txt", ".part.mp4", ".hidden/y.mp4", "noext"})
    file(name, "x");
  EXPECT_EQ(list_videos(folder_), (std::vector<std::string>{"a/deep/x.webm", "b/1.MKV", "z.mp4"}));
}

TEST_F(Clips, RefusesFoldersWithoutVideos) {
  expect_refused([&] { list_videos(folder_); }, {folder_.string(), "no video", ".mp4"});
  expect_refused([&] { list_videos(folder_ / "none"); }, {"none", "nothing"});
  expect_refused([&] { list_videos(file("f.mp4", "x")); }, {"not a folder"});
}

TEST_F(Clips, KnowsTheUsualExtensions) {
  for (const char* name : {"a.m2ts", "b.VOB", "c.mxf", "d.y4m", "e.3g2", "f.ogg", "g.h264", "h.hevc", "i.ivf", "j.dv"})
    file(name, "x");
  EXPECT_EQ(list_videos(folder_).size(), 10U);
}

TEST_F(Clips, RefusesNamesThatAreNotUtf8) {
  file("good.mp4", "x");
  file("caf\xE9.mp4", "x");
  expect_refused([&] { list_videos(folder_); }, {"caf\\xE9.mp4", "UTF-8", "rename"});
}

}  // namespace
}  // namespace rehyat::data
