#include "data/dataset/left_out_clips.h"

#include "core/strings.h"
#include "data/video/clip_maker.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

class LeftOut : public VideoTest {};

TEST_F(LeftOut, OneLineAClipSortedByFile) {
  LeftOutClips clips;
  EXPECT_EQ(clips.size(), 0U);
  clips.add("b.mp4", "an \"odd\" reason\nover two lines");
  clips.add("a\xFF.mp4", "a name that is not UTF-8");
  clips.add("c.mp4", "an \"odd\" reason\nover two lines");
  clips.add("b.mp4", "another");
  EXPECT_EQ(clips.size(), 3U);
  clips.save(folder_ / "bad.jsonl");
  const auto lines = split(read_file(folder_ / "bad.jsonl"), '\n');
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(parse_json(lines[0], "a")["reason"], "a name that is not UTF-8");
  EXPECT_EQ(parse_json(lines[1], "b"), (nlohmann::ordered_json{{"file", "b.mp4"}, {"reason", "another"}}));
  EXPECT_EQ(parse_json(lines[2], "c")["reason"], "an \"odd\" reason\nover two lines");
  EXPECT_EQ(lines[3], "");
}

TEST_F(LeftOut, TheirShareIsBounded) {
  LeftOutClips clips;
  const auto path = folder_ / "bad.jsonl";
  EXPECT_NO_THROW(clips.require_at_most(0, 10, path));
  clips.add("a.mp4", "cut short");
  EXPECT_NO_THROW(clips.require_at_most(0.1, 10, path));
  expect_refused([&] { clips.require_at_most(0.05, 10, path); },
                 {"bad.jsonl", "1 of 10", "data.max_bad_share", "a.mp4", "cut short", "raise"});
  expect_refused([&] { clips.require_at_most(1.0, 1, path); }, {"1 of 1"});
}

}  // namespace
}  // namespace rehyat::data
