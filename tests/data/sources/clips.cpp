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

TEST_F(Clips, QuarantineIsKeptAndContinued) {
  const auto path = folder_ / "bad.jsonl";
  Quarantine first(path);
  EXPECT_EQ(first.size(), 0U);
  first.add("b.mp4", "an \"odd\" reason\nover two lines");
  first.add("a\xFF.mp4", "a name that is not UTF-8");
  first.add("b.mp4", "another");
  first.save();
  Quarantine second(path);
  EXPECT_EQ(second.size(), 2U);
  EXPECT_TRUE(second.contains("b.mp4"));
  EXPECT_EQ(second.reasons().at("b.mp4"), "another");
  second.remove("b.mp4");
  second.save();
  EXPECT_FALSE(Quarantine(path).contains("b.mp4"));
}

TEST_F(Clips, QuarantineRefusesDamagedLists) {
  expect_refused([&] { Quarantine(file("q.jsonl", "{\"file\": \"a\", \"reason\": \"b\"}\n{\"file\"")); },
                 {"q.jsonl:2"});
  expect_refused([&] { Quarantine(file("q.jsonl", "{\"file\": \"a\", \"reason\": 1}\n")); }, {"q.jsonl:1"});
}

TEST_F(Clips, ShareOfBadClipsIsBounded) {
  Quarantine list(folder_ / "bad.jsonl");
  EXPECT_NO_THROW(list.require_share(10, 0));
  list.add("a.mp4", "cut short");
  EXPECT_NO_THROW(list.require_share(10, 0.1));
  expect_refused([&] { list.require_share(10, 0.05); },
                 {"bad.jsonl", "1 of 10", "data.max_bad_share", "a.mp4", "cut short", "raise"});
  expect_refused([&] { list.require_share(1, 1.0); }, {"1 of 1"});
}

}  // namespace
}  // namespace rehyat::data
