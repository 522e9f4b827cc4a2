#include <cstdlib>

#include "core/fixtures.h"
#include "data/dataset/prepare_test.h"
#include "files/json.h"
#include "files/tar_maker.h"

namespace rehyat::data {
namespace {

using testing::TarMaker;

/// The clips that scripts/fetch_clips.sh fetches, which the demo does; or those of the folder that REHYAT_CLIPS names.
std::filesystem::path real_clips() {
  const char* named = std::getenv("REHYAT_CLIPS");
  return named ? named : testing::fixtures() / ".." / ".." / ".data" / "clips";
}

class RealClips : public PrepareTest {};

TEST_F(RealClips, TheSameLatentsFromAFolderAndFromATar) {
  const std::filesystem::path clips = real_clips();
  if (!std::filesystem::exists(clips / "metadata.jsonl"))
    GTEST_SKIP() << "no clips in " << clips
                 << ": fetch them with scripts/fetch_clips.sh .data/clips, or name their "
                    "folder in REHYAT_CLIPS";
  TarMaker tar;
  std::size_t count = 0;
  const std::string metadata = read_file(clips / "metadata.jsonl");
  for (const std::string& line : split(metadata, '\n')) {
    if (trim(line).empty()) continue;
    const auto entry = parse_json(line, "metadata.jsonl");
    const std::string name = entry.at("file");
    // A sample's key ends with the first dot, and these names have one.
    tar.add(name, read_file(clips / name));
    tar.add(name.substr(0, name.find('.')) + ".json", entry.dump());
    ++count;
  }
  const auto archive = tar.end().save(folder_ / "real.tar");
  config_.size = {64, 64};
  config_.frames = 17;
  config_.fps = 16;
  config_.max_windows = 2;
  config_.short_clips = ShortClips::bounce;
  config_.max_bad_share = 0;
  config_.videos = clips;
  config_.captions = clips / "metadata.jsonl";
  const PrepareResult folder = prepared("folder");
  config_.videos = archive;
  config_.captions.clear();
  const PrepareResult packed = prepared("tar");
  EXPECT_EQ(folder.usable_clips, static_cast<std::int64_t>(count));
  const auto without_speed = [](PrepareResult result) {
    result.throughput = {};
    return config::to_json(result);
  };
  EXPECT_EQ(without_speed(folder), without_speed(packed));
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "folder")) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".h5")) continue;
    EXPECT_EQ(read("folder/" + name), read("tar/" + name)) << name;
  }
}

TEST_F(RealClips, InBuckets) {
  config_.videos = real_clips();
  config_.captions = config_.videos / "metadata.jsonl";
  if (!std::filesystem::exists(config_.captions)) GTEST_SKIP() << "no clips in " << config_.videos;
  config_.buckets = {{{144, 176}, 17}, {{144, 240}, 33}, {{480, 832}, 9}};
  config_.fps = 16;
  config_.max_windows = 1;
  const PrepareResult summary = prepared();
  std::int64_t clips = 0;
  for (const BucketCount& bucket : summary.table.buckets) clips += bucket.clips;
  EXPECT_EQ(summary.quarantined, 0);
  EXPECT_EQ(clips, summary.usable_clips);
  EXPECT_EQ(clips + summary.dropped, summary.clips);
  EXPECT_GT(summary.table.buckets[2].clips, 0);  // bigbuckbunny.mp4 is 1280x720
  EXPECT_GT(summary.table.buckets[0].clips, 0);
}

}  // namespace
}  // namespace rehyat::data
