#include "data/dataset/decoded_clips.h"

#include <chrono>

#include "data/dataset/prepare_test.h"

namespace rehyat::data {
namespace {

class DecodedClipsTest : public PrepareTest {
 protected:
  /// The grey step of each window's first picture, by clip: "0 5", and "fault" at the end of one that has one.
  std::vector<std::string> all_windows(int threads) {
    const std::vector<DataConfig> settings = {config_.of_bucket(0)};
    const ClipList clips = list_clips(config_);
    DecodedClips decoded(config_, settings, clips, threads);
    std::vector<std::string> out;
    for (std::size_t i = 0; i < clips.videos.size(); ++i) decoded.add({i});
    for (std::size_t i = 0; i < clips.videos.size(); ++i) {
      std::string text;
      while (const auto window = decoded.next([] {}))
        text = cat(text, (window->whole[0].to(at::kFloat).mean().item<double>() - 10) / 20 + 0.5 < 1 ? "" : "*",
                   window->start, ' ');
      const ClipEnd end = decoded.end();
      EXPECT_FALSE(end.state.empty());
      out.push_back(text + (end.fault ? "fault" : ""));
    }
    return out;
  }
};

TEST_F(DecodedClipsTest, ComeInTheOrderOfTheClipsOnAnyNumberOfThreads) {
  for (const char* name : {"a", "c", "d", "f"}) clip(name, name[0] == 'c' ? 15 : 6, name[0] == 'a' ? 0 : 2);
  broken("b");
  clip("e", 2);
  const std::vector<std::string> expected = {"0 ", "fault", "*0 *5 *10 ", "*0 ", "fault", "*0 "};
  for (const int threads : {1, 2, 5}) EXPECT_EQ(all_windows(threads), expected) << threads;
}

TEST_F(DecodedClipsTest, GoOnWhileNobodyTakesThem) {
  for (const char* name : {"a", "b", "c"}) clip(name, 11);
  const std::vector<DataConfig> settings = {config_.of_bucket(0)};
  const ClipList clips = list_clips(config_);
  DecodedClips decoded(config_, settings, clips, 2);
  decoded.add({0, 1, 2});
  int looked = 0;
  ASSERT_TRUE(decoded.next([&] { ++looked; }));
  // The rest of the first clip is not wanted: its thread goes on with the third.
  EXPECT_FALSE(decoded.end().fault);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!decoded.all_begun() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(decoded.all_begun());
  const auto second = decoded.next([] {});
  ASSERT_TRUE(second);
  EXPECT_EQ(second->start, 0);
  // Two clips are taken away while they are decoded.
}

TEST_F(DecodedClipsTest, WhatIsThrownWhileWaitingEndsTheWait) {
  clip("a", 5);
  const std::vector<DataConfig> settings = {config_.of_bucket(0)};
  const ClipList clips = list_clips(config_);
  DecodedClips decoded(config_, settings, clips, 0);  // nobody decodes
  decoded.add({0});
  EXPECT_THROW(decoded.next([] { throw Stopped("stop"); }), Stopped);
}

TEST_F(DecodedClipsTest, TheDatasetIsTheSameOnAnyNumberOfThreads) {
  for (const char* name : {"a", "b", "c", "d", "e"}) clip(name, 5 + 3 * (name[0] - 'a'), name[0] - 'a');
  broken("bad");
  clip("short", 3);
  config_.flip = true;
  config_.crops = 1;
  config_.decode_threads = 1;
  const PrepareResult single = prepared("single");
  EXPECT_GE(single.throughput.wait_share, 0);
  EXPECT_GT(single.throughput.decode_share, 0);
  EXPECT_LE(single.throughput.wait_share + single.throughput.vae_share + single.throughput.text_share, 1);
  config_.decode_threads = 4;
  EXPECT_EQ(prepared("several").samples, single.samples);
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "single")) {
    const std::string name = entry.path().filename().string();
    EXPECT_EQ(read("several/" + name), read("single/" + name)) << name;
    ++files;
  }
  EXPECT_GT(files, 4U);
}

}  // namespace
}  // namespace rehyat::data
