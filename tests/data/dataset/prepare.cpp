#include "data/dataset/prepare.h"

#include "core/log.h"
#include "data/dataset/prepare_test.h"

namespace rehyat::data {
namespace {

using Samples = std::vector<std::string>;

class Prepare : public PrepareTest {};

TEST_F(Prepare, WindowsFollowEachOther) {
  clip("a", 11);
  EXPECT_EQ(prepared().samples, 2);
  EXPECT_EQ(samples(), (Samples{"a 0 4", "a 5 9"}));
  config_.stride = 3;
  prepared("overlapping");
  EXPECT_EQ(samples("overlapping"), (Samples{"a 0 4", "a 3 7", "a 6 10"}));
  config_.max_windows = 2;
  prepared("two");
  EXPECT_EQ(samples("two"), (Samples{"a 0 4", "a 3 7"}));
  config_.stride = 6;
  config_.max_windows = 0;
  prepared("apart");
  EXPECT_EQ(samples("apart"), (Samples{"a 0 4", "a 6 10"}));
}

TEST_F(Prepare, ShortClipsAreSetAsideOrBounced) {
  clip("long", 5);
  clip("short", 3);
  prepared();
  EXPECT_EQ(samples(), (Samples{"long 0 4"}));
  EXPECT_NE(read("out/quarantine.jsonl").find("found 3 frames at 10 fps, expected at least 5"), std::string::npos);
  config_.short_clips = ShortClips::bounce;
  prepared("bounced");
  EXPECT_EQ(samples("bounced"), (Samples{"long 0 4", "short 0 0"}));  // 0 1 2 1 0
  EXPECT_EQ(read("bounced/quarantine.jsonl"), "");
}

TEST_F(Prepare, ABadClipIsListedAndTheOthersAreKept) {
  clip("a", 5);
  broken("b");
  clip("c", 5, 2);
  const PrepareResult summary = prepared();
  EXPECT_EQ(summary.clips, 3);
  EXPECT_EQ(summary.usable_clips, 2);
  EXPECT_EQ(summary.quarantined, 1);
  EXPECT_EQ(samples(), (Samples{"a 0 4", "c 2 6"}));
  const std::string list = read("out/quarantine.jsonl");
  EXPECT_NE(list.find("\"file\":\"b.mkv\""), std::string::npos) << list;
  EXPECT_NE(list.find("expected a readable video"), std::string::npos) << list;
}

TEST_F(Prepare, DamageAfterSomeWindowsTakesThemBack) {
  ClipSpec jump;
  for (std::int64_t i = 0; i < 12; ++i) jump.pts.push_back(100 * i + (i > 10 ? 60'000 : 0));
  clip("a", 5);
  make_clip(config_.videos / "b.mkv", grey_steps(12, 32, 32), jump);
  file("clips/b.txt", "caption");
  clip("c", 5, 1);
  config_.clips_per_shard = 3;
  prepared();
  EXPECT_EQ(samples(), (Samples{"a 0 4", "c 1 5"}));
  EXPECT_NE(read("out/quarantine.jsonl").find("a jump of"), std::string::npos);
}

TEST_F(Prepare, TooManyBadClipsNameTheWayOut) {
  clip("a", 5);
  broken("b");
  config_.max_bad_share = 0.1;
  expect_refused([&] { prepared(); }, {"quarantine.jsonl", "1 of 2", "data.max_bad_share", "b.mkv", "raise"});
  config_.max_bad_share = 0.5;  // not part of the identity: the same folder is finished
  EXPECT_EQ(prepared().usable_clips, 1);
}

TEST_F(Prepare, LibtorchFailingOnOneClipIsItsReason) {
  clip("a", 5);
  clip("bright", 5, 8);
  codec_.fails_on_bright = true;
  prepared();
  EXPECT_EQ(samples(), (Samples{"a 0 4"}));
  EXPECT_NE(read("out/quarantine.jsonl").find("the codec's own failure"), std::string::npos);
  EXPECT_EQ(read("out/quarantine.jsonl").find("second line"), std::string::npos);
}

TEST_F(Prepare, HdrIsSaidOnce) {
  for (const char* name : {"a", "b"}) {
    make_clip(config_.videos / (std::string(name) + ".mkv"), grey_steps(5, 32, 32),
              {{0, 100, 200, 300, 400}, {}, 1, true});
    file(std::string("clips/") + name + ".txt", "caption");
  }
  clip("c", 5);
  {
    const log::FileScope log(folder_ / "log.txt");
    prepared();
  }
  const std::string text = read("log.txt");
  const std::size_t said = text.find("2 clips are HDR (PQ or HLG)");
  EXPECT_NE(said, std::string::npos) << text;
  EXPECT_EQ(text.find("HDR", said + 20), std::string::npos) << text;
}

TEST_F(Prepare, MirrorsAndParts) {
  at::Tensor frames = at::zeros({5, 32, 32, 3}, at::kByte);
  frames.narrow(2, 0, 16).fill_(255);  // the left half is bright
  make_clip(config_.videos / "a.mkv", frames, {{0, 100, 200, 300, 400}, {}, 1});
  file("clips/a.txt", "caption");
  config_.flip = true;
  config_.crops = 2;
  EXPECT_EQ(prepared().samples, 6);  // whole and two parts, each with its mirror image
  const LatentDataset data = dataset();
  const at::Tensor whole = data.get(Split::train, 0).latents;
  EXPECT_GT(whole[0][0][0][0].item<float>(), 0.9F);
  EXPECT_LT(whole[0][0][0][3].item<float>(), -0.9F);
  for (const std::int64_t i : {0, 2, 4})
    EXPECT_TRUE(at::allclose(data.get(Split::train, i).latents.flip(3), data.get(Split::train, i + 1).latents));
  prepared("again");
  EXPECT_EQ(read("out/shard-00000.h5"), read("again/shard-00000.h5"));
}

TEST_F(Prepare, MissingCaptions) {
  clip("a", 5);
  clip("b", 5, 1);
  std::filesystem::remove(config_.videos / "b.txt");
  expect_refused([&] { prepared(); }, {"b.mkv", "no caption"});
  config_.allow_missing_captions = true;
  prepared();
  const LatentDataset data = dataset();
  EXPECT_EQ(data.get(Split::train, 0).caption, "caption of a");
  EXPECT_EQ(data.get(Split::train, 1).caption, "");
  EXPECT_TRUE(at::equal(data.get(Split::train, 1).text, data.empty_text()));
}

TEST_F(Prepare, SplitsByClipAndGroup) {
  std::string lines;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    clip(name, 11);
    const bool grouped = name[0] == 'b' || name[0] == 'e';
    lines += std::string("{\"file\": \"") + name + ".mkv\", \"caption\": \"x\"" +
             (grouped ? ", \"group\": \"g\"}\n" : "}\n");
  }
  config_.captions = file("m.jsonl", lines);
  config_.validation_share = 0.34;
  prepared();
  const LatentDataset data = dataset();
  std::set<std::string> train, held;
  for (std::int64_t i = 0; i < data.size(Split::train); ++i) train.insert(data.get(Split::train, i).clip);
  for (std::int64_t i = 0; i < data.size(Split::validation); ++i) held.insert(data.get(Split::validation, i).clip);
  EXPECT_EQ(held.size(), 2U);
  EXPECT_EQ(train.size(), 4U);
  for (const std::string& name : held) EXPECT_FALSE(train.contains(name));
  EXPECT_EQ(held.contains("b.mkv"), held.contains("e.mkv"));
}

}  // namespace
}  // namespace rehyat::data
