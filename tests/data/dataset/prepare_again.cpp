#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "core/child.h"
#include "data/dataset/prepare_test.h"

namespace rehyat::data {
namespace {

using Samples = std::vector<std::string>;

class PrepareAgain : public PrepareTest {
 protected:
  /// A file that is written again is another one, even with the same bytes.
  std::uint64_t inode(const std::string& name) const {
    struct stat info = {};
    return ::stat((folder_ / "out" / name).c_str(), &info) == 0 ? info.st_ino : 0;
  }
  /// Four clips in two shards, the third broken, too many for the share: the run ends in an error after its shards.
  void half_done() {
    clip("a", 5);
    clip("b", 5, 1);
    broken("c");
    clip("d", 5, 2);
    config_.max_bad_share = 0.1;
    expect_refused([&] { prepared(); }, {"1 of 4"});
    // Inodes are reused at once: hold those there are.
    for (const char* name : {"shard-00000.h5", "shard-00001.h5"})
      std::filesystem::create_hard_link(folder_ / "out" / name, folder_ / "out" / (std::string("held-") + name));
    first_ = inode("shard-00000.h5");
    second_ = inode("shard-00001.h5");
  }
  std::uint64_t first_ = 0, second_ = 0;
};

TEST_F(PrepareAgain, FinishedShardsAreKept) {
  half_done();
  expect_refused([&] { prepared(); }, {"1 of 4"});
  EXPECT_EQ(inode("shard-00000.h5"), first_);
  EXPECT_EQ(inode("shard-00001.h5"), second_);
  std::filesystem::remove(folder_ / "out" / "shard-00000.h5");  // as if it had been killed before
  config_.max_bad_share = 0.25;
  prepared();
  EXPECT_EQ(inode("shard-00001.h5"), second_);
  EXPECT_EQ(samples(), (Samples{"a 0 4", "b 1 5", "d 2 6"}));
  prepared("undisturbed");
  for (const char* name : {"shard-00000.h5", "shard-00001.h5", "manifest.json", "quarantine.jsonl"})
    EXPECT_EQ(read(std::string("out/") + name), read(std::string("undisturbed/") + name)) << name;
}

TEST_F(PrepareAgain, WhatWasEncodedBeforeAKillIsKept) {
  for (const char* name : {"a", "b", "c", "d"}) clip(name, 5);
  broken("e");
  config_.clips_per_shard = 16;
  const pid_t child = testing::start_child([&] {
    codec_.after_encoding = [&] {
      if (codec_.encoded == 3) ::raise(SIGKILL);
    };
    prepared();
  });
  EXPECT_EQ(testing::wait_for(child), -SIGKILL);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "shard-00000.h5"));
  const PrepareResult summary = prepared();
  EXPECT_EQ(codec_.encoded, 2);            // c and d
  EXPECT_EQ(summary.throughput.clips, 3);  // and e, which cannot be decoded
  prepared("undisturbed");
  for (const char* name : {"shard-00000.h5", "manifest.json", "quarantine.jsonl"})
    EXPECT_EQ(read(std::string("out/") + name), read(std::string("undisturbed/") + name)) << name;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "out"))
    EXPECT_EQ(entry.path().filename().string().find("clip-part"), std::string::npos) << entry.path();
}

TEST_F(PrepareAgain, ADamagedClipOfAnUnfinishedShardIsASentence) {
  clip("a", 5);
  clip("b", 5, 1);
  const pid_t child = testing::start_child([&] {
    codec_.after_encoding = [&] {
      if (codec_.encoded == 2) ::raise(SIGKILL);
    };
    prepared();
  });
  EXPECT_EQ(testing::wait_for(child), -SIGKILL);
  file("out/clip-part-000000.h5", "no HDF5 at all");
  expect_refused([&] { prepared(); }, {"clip-part-000000.h5", "remove the file"});
  std::filesystem::remove(folder_ / "out" / "clip-part-000000.h5");
  EXPECT_EQ(prepared().samples, 2);
}

TEST_F(PrepareAgain, ABadClipWhoseFileChangedIsTriedAgain) {
  half_done();
  std::filesystem::last_write_time(config_.videos / "c.mkv", std::filesystem::file_time_type::clock::now());
  expect_refused([&] { prepared(); }, {"1 of 4"});
  EXPECT_EQ(inode("shard-00000.h5"), first_);
  EXPECT_NE(inode("shard-00001.h5"), second_);
}

TEST_F(PrepareAgain, ABadClipIsTriedAgainWithAnotherLibrary) {
  half_done();
  std::string tried = read("out/shard-00001.tried.json");
  tried.replace(tried.find("FFmpeg"), 6, "FFold!");
  file("out/shard-00001.tried.json", tried);
  expect_refused([&] { prepared(); }, {"1 of 4"});
  EXPECT_EQ(inode("shard-00000.h5"), first_);
  EXPECT_NE(inode("shard-00001.h5"), second_);
}

TEST_F(PrepareAgain, AFailureOfLibtorchIsTriedAgain) {
  clip("a", 5);
  clip("bright", 5, 8);
  config_.max_bad_share = 0.1;
  codec_.fails_on_bright = true;
  expect_refused([&] { prepared(); }, {"1 of 2"});
  codec_.fails_on_bright = false;
  EXPECT_EQ(prepared().quarantined, 0);
  EXPECT_EQ(samples(), (Samples{"a 0 4", "bright 8 12"}));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "shard-00000.tried.json"));
}

TEST_F(PrepareAgain, AnotherShardSizeGoesOnWithTheFoldersOwn) {
  half_done();
  config_.clips_per_shard = 1;
  config_.max_bad_share = 0.25;
  prepared();
  EXPECT_EQ(inode("shard-00000.h5"), first_);
  EXPECT_EQ(samples(), (Samples{"a 0 4", "b 1 5", "d 2 6"}));
  prepared("single");  // the same samples in the same order
  EXPECT_TRUE(std::filesystem::exists(folder_ / "single" / "shard-00003.h5"));
  EXPECT_EQ(samples("single"), samples());
  file("out/layout.json", "{}");
  expect_refused([&] { prepared(); }, {"layout.json"});
}

TEST_F(PrepareAgain, AFullDiskIsNoFaultOfTheClip) {
  clip("a", 12);
  config_.stride = 1;
  const Identity made_from = identity();
  static_cast<void>(dataset_folder(folder_ / "out", made_from).open());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{6000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const ClipList clips = list_clips(config_);
  expect_refused([&] { prepare_dataset(inputs(clips), dataset_folder(folder_ / "out", made_from), alone_); },
                 {"clip-part-000000.h5", "space"});
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "shard-00000.h5"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out" / "quarantine.jsonl"));
  EXPECT_EQ(prepared().samples, 8);
}

TEST_F(PrepareAgain, AFolderMadeFromSomethingElseIsRefused) {
  clip("a", 5);
  prepared();
  file("clips/a.txt", "another caption");
  expect_refused([&] { prepared(); }, {"captions", "made from something else"});
}

}  // namespace
}  // namespace rehyat::data
