#include "data/cache/activation_cache.h"
#include "data/dataset/latent_dataset.h"
#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

class Datasets : public VideoTest {
 protected:
  const Identity identity_ = {{"seed", 3}};

  /// Two shards of two samples; sample i is filled with i.
  json latents() const {
    json shards = json::array(), samples = json::array();
    for (int shard = 0; shard < 2; ++shard) {
      const std::string name = "shard-" + std::to_string(shard) + ".h5";
      Hdf5Writer writer(folder_ / name);
      for (int i = 0; i < 2; ++i) {
        writer.write("latents/" + std::to_string(i), at::full({16, 2, 4, 4}, 2 * shard + i, at::kFloat));
        samples.push_back({{"shard", shard},
                           {"index", i},
                           {"clip", name + std::to_string(i)},
                           {"caption", 1 + i},
                           {"validation", shard == 1 && i == 1}});
      }
      writer.commit();
      shards.push_back(file_entry(folder_, name));
    }
    Hdf5Writer writer(folder_ / "text.h5");
    for (int i = 0; i < 3; ++i) writer.write("text/" + std::to_string(i), at::full({2, 3}, 10 + i, at::kFloat));
    writer.commit();
    return {{"shards", shards},
            {"text", file_entry(folder_, "text.h5")},
            {"captions", {"", "A", "B"}},
            {"samples", samples}};
  }
  void mark(const json& content) const {
    const MarkedFolder folder = dataset_folder(folder_, identity_);
    const FolderLock lock = folder.open();
    folder.finish(content);
  }
  void cache() const {
    const FolderLock lock = cache_folder(folder_, identity_).open();
    for (int i = 0; i < 2; ++i) {
      TrajectoryWriter writer(folder_, i);
      for (int point = 0; point < 3; ++point)
        for (int block : {1, 4}) writer.add(point, block, at::full({5, 4}, 100 * i + 10 * point + block, at::kFloat));
      writer.commit({{0, true}, {1, true}, {1, false}});
    }
    finish_cache(cache_folder(folder_, identity_), {false, true}, {1, 4}, {2, 4, 4});
  }
};

TEST_F(Datasets, LatentsBySplitInOrder) {
  mark(latents());
  const LatentDataset dataset(folder_, identity_);
  ASSERT_EQ(dataset.size(Split::train), 3);
  ASSERT_EQ(dataset.size(Split::validation), 1);
  for (std::int64_t i = 0; i < 3; ++i) {
    const LatentSample sample = dataset.get(Split::train, i);
    EXPECT_TRUE(at::equal(sample.latents, at::full({16, 2, 4, 4}, i, at::kFloat)));
    EXPECT_EQ(sample.caption, i == 1 ? "B" : "A");
    EXPECT_EQ(sample.text[0][0].item<float>(), i == 1 ? 12 : 11);
  }
  EXPECT_EQ(dataset.get(Split::validation, 0).clip, "shard-1.h51");
  EXPECT_EQ(dataset.empty_text()[0][0].item<float>(), 10);
  EXPECT_EQ(dataset.captions(Split::train), (std::vector<std::size_t>{1, 2}));
  EXPECT_EQ(dataset.caption(1) + dataset.caption(2), "AB");
  expect_refused([&] { dataset.get(Split::train, 3); }, {folder_.string(), "sample 3"});
  expect_refused([&] { dataset.get(Split::validation, -1); }, {"sample -1"});
  expect_refused([&] { LatentDataset(folder_, {{"seed", 4}}); }, {"seed: found 3, expected 4"});
}

TEST_F(Datasets, ManyShardsNeedFewOpenFiles) {
  json content = latents();
  const json shard = content["shards"][0];
  content["shards"] = json::array();
  content["samples"] = json::array();
  for (int i = 0; i < 300; ++i) {
    const std::string name = "many-" + std::to_string(i) + ".h5";
    std::filesystem::copy_file(folder_ / "shard-0.h5", folder_ / name);
    content["shards"].push_back({{"file", name}, {"bytes", shard["bytes"]}, {"checksum", shard["checksum"]}});
    content["samples"].push_back({{"shard", i}, {"index", 1}, {"clip", name}, {"caption", 1}, {"validation", false}});
  }
  mark(content);
  const LatentDataset dataset(folder_, identity_);
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  const auto before = open_files();
  for (std::int64_t i = 0; i < 300; ++i) EXPECT_EQ(dataset.get(Split::train, i).latents[0][0][0][0].item<float>(), 1);
  EXPECT_LE(open_files() - before, 64);
}

TEST_F(Datasets, RefusesManifestsThatDoNotFit) {
  const json good = latents();
  const auto refuse = [&](const std::function<void(json&)>& change, const std::vector<std::string>& parts) {
    json content = good;
    change(content);
    mark(content);
    expect_refused([&] { LatentDataset(folder_, identity_); }, parts);
  };
  refuse([](json& c) { c.erase("samples"); }, {"manifest.json", "lacks values"});
  refuse([](json& c) { c["samples"][0]["shard"] = "two"; }, {"manifest.json", "lacks values"});
  refuse([](json& c) { c["samples"][0]["shard"] = 2; }, {"manifest.json", "not listed"});
  refuse([](json& c) { c["samples"][0]["caption"] = 3; }, {"manifest.json", "not listed"});
  refuse([](json& c) { c["shards"][1]["bytes"] = 10; }, {"shard-1.h5", "expected 10 bytes"});
  refuse([](json& c) { c["shards"][1]["file"] = "none.h5"; }, {"none.h5", "no file"});
  refuse(
      [](json& c) {
        for (json& s : c["samples"]) s["validation"] = true;
      },
      {"no training sample"});
}

TEST_F(Datasets, CacheBySplitInOrder) {
  EXPECT_FALSE(trajectory_done(folder_, 0));
  cache();
  EXPECT_TRUE(trajectory_done(folder_, 0));
  const ActivationCache read(folder_, identity_);
  EXPECT_EQ(read.size(Split::train), 3);
  EXPECT_EQ(read.size(Split::validation), 3);
  EXPECT_EQ(read.blocks(), (std::vector<std::int64_t>{1, 4}));
  EXPECT_EQ(read.latent(), (std::vector<std::int64_t>{2, 4, 4}));
  EXPECT_FALSE(read.has_targets());
  EXPECT_EQ(read.input(Split::train, 2, 4)[0][0].item<float>(), 24);
  EXPECT_EQ(read.input(Split::validation, 0, 1)[0][0].item<float>(), 101);
  expect_refused([&] { read.input(Split::train, 3, 1); }, {"point 3"});
  expect_refused([&] { read.input(Split::train, 0, 2); }, {"block-2", "trajectory-000000.h5"});
  expect_refused([&] { read.target(Split::train, 0, 1); }, {"target"});
  expect_refused([&] { ActivationCache(folder_, {{"seed", 4}}); }, {"seed"});
}

TEST_F(Datasets, CacheRefusesCutOrMissingFiles) {
  cache();
  const auto path = folder_ / "trajectory-000001.h5";
  const std::string bytes = read_file(path);
  file("trajectory-000001.h5", bytes.substr(0, bytes.size() / 2));
  expect_refused([&] { ActivationCache(folder_, identity_); }, {"trajectory-000001.h5", "bytes", "rehyat cache"});
  std::filesystem::remove(path);
  expect_refused([&] { ActivationCache(folder_, identity_); }, {"trajectory-000001.h5", "no file"});
  std::filesystem::remove(folder_ / "manifest.json");
  expect_refused([&] { ActivationCache(folder_, identity_); }, {"manifest.json"});
}

}  // namespace
}  // namespace rehyat::data
