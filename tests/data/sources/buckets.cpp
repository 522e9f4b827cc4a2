#include "data/sources/buckets.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "data/dataset/dataset_table.h"
#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

DataConfig with(const std::vector<BucketConfig>& buckets) {
  DataConfig config;
  config.fps = 16;
  config.buckets = buckets;
  return config;
}

struct Case {
  std::int64_t width, height, pictures, bucket;  ///< -1: smaller than every one, -2: shorter
};

void expect_choices(const DataConfig& config, const std::vector<Case>& table) {
  for (const Case& row : table) {
    const BucketChoice choice = choose_bucket(config, {row.height, row.width, row.pictures});
    const std::string shown =
        std::to_string(row.width) + "x" + std::to_string(row.height) + ", " + std::to_string(row.pictures);
    if (row.bucket >= 0) {
      EXPECT_EQ(choice.bucket, static_cast<std::size_t>(row.bucket)) << shown;
    } else {
      EXPECT_FALSE(choice.bucket) << shown;
      EXPECT_EQ(choice.kind, row.bucket == -1 ? "smaller than every bucket"
                                              : "shorter than every bucket that it is large enough for")
          << shown;
    }
  }
}

TEST(ChooseBucket, ByAspectRatioAmongThoseThatFit) {
  const DataConfig config = with({{{480, 832}, 81}, {{832, 480}, 81}, {{640, 640}, 81}, {{240, 416}, 33}});
  expect_choices(config, {{1280, 720, 200, 0},   // wide
                          {720, 1280, 200, 1},   // upright
                          {1080, 1080, 200, 2},  // square
                          {1080, 1000, 200, 2},  // 1.08 is nearer to 1 than to 1.73
                          {1440, 1080, 200, 0},  // 4:3 is nearer to 1.73 than to 1 by its logarithm
                          {832, 480, 81, 0},     // just large and long enough
                          {831, 480, 81, 3},     // a pixel short of the large ones
                          {832, 480, 80, 3},     // a picture short of them
                          {1280, 720, 33, 3},
                          {720, 1280, 40, 3},  // nothing upright is that short: cropped rather than dropped
                          {1280, 720, 32, -2},
                          {415, 240, 500, -1},
                          {416, 239, 500, -1},
                          {320, 180, 5, -1}});  // both: size comes first
}

TEST(ChooseBucket, EqualAspectsTakeMostFramesTimesPixels) {
  expect_choices(with({{{240, 416}, 81}, {{480, 832}, 81}, {{240, 416}, 33}}),
                 {{1280, 720, 100, 1}, {500, 300, 100, 0}, {500, 300, 50, 2}});
  expect_choices(with({{{32, 32}, 17}, {{16, 16}, 81}}), {{64, 64, 100, 1}, {64, 64, 20, 0}});  // 20736 over 17408
}

TEST(ChooseBucket, EnlargesOnlyWhereToldTo) {
  DataConfig config = with({{{64, 64}, 5}, {{64, 128}, 5}});
  expect_choices(config, {{32, 32, 10, -1}});
  config.upscale = true;
  expect_choices(config, {{32, 32, 10, 0}, {60, 30, 10, 1}});
}

TEST(ChooseBucket, PartsAtTwiceTheSizeNeedTwiceThePicture) {
  DataConfig config = with({{{64, 64}, 5}, {{32, 32}, 5}});
  config.crops = 1;
  expect_choices(config, {{128, 128, 10, 0}, {127, 127, 10, 1}, {63, 63, 10, -1}});
  EXPECT_NE(choose_bucket(config, {32, 32, 10}).reason.find("twice the size"), std::string::npos);
}

TEST(ChooseBucket, ShortClipsBounceInTheShortestBucket) {
  DataConfig config = with({{{64, 64}, 81}, {{32, 32}, 17}, {{32, 64}, 17}});
  expect_choices(config, {{64, 64, 16, -2}});
  config.short_clips = ShortClips::bounce;
  expect_choices(config, {{64, 64, 16, 1}, {64, 32, 16, 2}, {64, 64, 20, 1}, {64, 64, 2, 1}, {64, 64, 1, -2}});
}

TEST(ShapeOf, CountsPicturesAtTheWantedRate) {
  VideoInfo info;
  info.width = 64;
  info.height = 48;
  info.rate = 24;
  info.seconds = 2;
  info.frames = 48;
  EXPECT_EQ(shape_of(info, 16).pictures, 32);
  EXPECT_EQ(shape_of(info, 16).height, 48);
  info.seconds = 1.9;  // a container that leaves out the last frame's own length
  EXPECT_EQ(shape_of(info, 24).pictures, 48);
  info.seconds = 2.0004;  // rounded to milliseconds
  EXPECT_EQ(shape_of(info, 16).pictures, 32);
  info.seconds = 0;
  info.frames = 0;
  EXPECT_EQ(shape_of(info, 16).pictures, 1);
}

TEST(BucketConfig, IsReadAndRefused) {
  const auto load = [](const std::string& text) {
    return config::load<DataConfig>(config::Document::from_text(text, "c.yaml"));
  };
  DataConfig config =
      load("{videos: v, buckets: [{size: [32, 64], frames: 5}, {size: [64, 32], frames: 9}], upscale: true}");
  ASSERT_EQ(config.buckets.size(), 2U);
  config.resolve();
  EXPECT_EQ(config.size, (std::vector<std::int64_t>{32, 64}));
  EXPECT_EQ(config.frames, 5);
  EXPECT_EQ(config.of_bucket(1).frames, 9);
  EXPECT_TRUE(config.of_bucket(1).buckets.empty());
  const json dumped = config::to_json(config);
  EXPECT_FALSE(dumped.contains("size"));
  EXPECT_EQ(dumped["buckets"][1]["size"][0], 64);
  const json single = config::to_json(load("{videos: v}"));
  EXPECT_FALSE(single.contains("buckets"));
  EXPECT_FALSE(single.contains("upscale"));
  const auto refused = [&](const std::string& text, const std::vector<std::string>& parts) {
    SCOPED_TRACE(text);
    expect_refused([&] { load(text).check_sizes({{4, 8, 8, 16}, {1, 2, 2}}); }, parts);
  };
  const std::string one = "buckets: [{size: [32, 64], frames: 5}";
  refused("{videos: v, " + one + "], size: [32, 32]}", {"size", "only without data.buckets"});
  refused("{videos: v, " + one + "], frames: 5}", {"frames", "only without data.buckets"});
  refused("{videos: v, upscale: true}", {"upscale", "only with data.buckets"});
  refused("{videos: v, buckets: []}", {"buckets", "at least one"});
  refused("{videos: v, " + one + ", {size: [32, 60], frames: 5}]}", {"data.buckets[1].size", "[32, 60]", "16"});
  refused("{videos: v, " + one + ", {size: [32, 32], frames: 6}]}", {"data.buckets[1].frames", "6", "such as 5"});
  refused("{videos: v, " + one + ", {size: [32, 64], frames: 5}]}", {"data.buckets[1]", "another bucket"});
  refused("{videos: v, buckets: [{size: [32, 64]}]}", {"frames"});
}

TEST(DatasetTable, CountsWhatWentWhere) {
  DataConfig config = with({{{64, 64}, 5}, {{32, 64}, 9}});
  ClipList clips;
  for (const char* name : {"a", "b", "c", "d", "e", "f"}) {
    clips.videos.emplace_back(name);
    clips.files.emplace_back(std::string("clips/") + name);
  }
  ClipOutcomes outcomes;
  outcomes.samples = {{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 1, 1, 2}};
  outcomes.dropped = {{{"file", "c"}, {"why", "smaller than every bucket"}, {"reason", "r"}}};
  outcomes.quarantine = {{{"file", "d"}, {"reason", "clips/d: found nothing, expected a video"}},
                         {{"file", "e"}, {"reason", "clips/e: found noise"}},
                         {{"file", "f"}, {"reason", "clips/f: found nothing, expected a video"}}};
  const DatasetTable counted = dataset_table(config, clips, outcomes, {1});
  const json table = config::to_json(counted);
  EXPECT_EQ(table["buckets"][0],
            (json{{"size", {64, 64}}, {"frames", 5}, {"clips", 1}, {"windows", 2}, {"validation_windows", 0}}));
  EXPECT_EQ(table["buckets"][1]["validation_windows"], 1);
  EXPECT_EQ(table["dropped"], (json::array({{{"why", "smaller than every bucket"}, {"clips", 1}}})));
  EXPECT_EQ(table["quarantined"], (json::array({{{"why", "found nothing, expected a video"}, {"clips", 2}},
                                                {{"why", "found noise"}, {"clips", 1}}})));
  const auto lines = table_lines(counted);
  ASSERT_EQ(lines.size(), 6U);
  EXPECT_NE(lines[1].find("64x64, 5 frames"), std::string::npos);
  EXPECT_NE(lines[3].find("smaller than every bucket"), std::string::npos);
}

TEST(DatasetTable, ManyReasonsAreCutShort) {
  ClipOutcomes outcomes;
  for (int i = 0; i < 30; ++i)
    outcomes.quarantine.push_back({{"file", "x"}, {"reason", "reason " + std::to_string(i)}});
  const DatasetTable table = dataset_table(DataConfig(), {}, outcomes, {});
  EXPECT_EQ(table.buckets.size(), 1U);
  EXPECT_EQ(table.quarantined.size(), 21U);
  EXPECT_EQ(table.quarantined.back().clips, 10);
}

}  // namespace
}  // namespace rehyat::data
