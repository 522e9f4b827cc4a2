#include <gtest/gtest.h>

#include "comm/mpi_test_main.h"
#include "core/temp_folder.h"
#include "data/dataset/content_settings.h"
#include "data/dataset/fake_encoders.h"
#include "data/dataset/identity.h"
#include "data/dataset/latent_dataset.h"
#include "data/dataset/prepare.h"
#include "data/video/clip_maker.h"
#include "files/tar_maker.h"

namespace rehyat::data {
namespace {

using testing::TarMaker;

using testing::world;

/// Seventeen clips of two sizes in two tars, one of them noise and one too small, with 40 captions beyond those.
void pack(const std::filesystem::path& folder) {
  for (int part = 0; part < 2; ++part) {
    TarMaker tar;
    for (int i = part; i < 17; i += 2) {
      const std::int64_t height = i == 3 ? 16 : 32, width = i % 3 == 0 ? 64 : 32;
      const auto path = folder / ("clip-" + std::to_string(i) + ".mkv");
      ClipSpec spec;
      for (std::int64_t frame = 0; frame < 5 + i % 7; ++frame) spec.pts.push_back(100 * frame);
      make_clip(path, grey_steps(5 + i % 7, height, width), spec);
      const std::string key = std::to_string(i);
      tar.add(key + ".mkv", i == 5 ? "no video" : read_file(path)).add(key + ".txt", "caption " + key);
    }
    tar.end().save(folder / ("part-" + std::to_string(part) + ".tar"));
  }
}

class PrepareOnRanks : public ::testing::Test {
 protected:
  PrepareOnRanks() {
    world().all_or_none([&] {
      if (world().rank() == 0) {
        folder_.emplace();
        path_ = folder_->path();
        pack(path_);
      }
    });
    path_ = world().broadcast(path_.string(), 0);
    config_.videos = path_ / "part-{0,1}.tar";
    config_.buckets = {{{32, 32}, 5}, {{32, 64}, 5}, {{32, 32}, 9}};
    config_.fps = 10;
    config_.validation_share = 0.2;
    config_.clips_per_shard = 2;
  }
  /// No rank takes the folder away while another still reads.
  void TearDown() override { world().barrier(); }

  PrepareResult prepared(const std::string& out, const comm::Communicator& ranks) {
    ChecksumMemory memory;
    const ClipList clips = list_clips(config_, ranks);
    const MarkedFolder folder =
        dataset_folder(path_ / out, dataset_identity({config_, clips, codec_, text_, 1}, content_of(config_), memory));
    std::optional<FolderLock> lock;
    ranks.all_or_none([&] {
      if (ranks.rank() == 0) lock.emplace(folder.open());
    });
    return prepare_dataset({config_, clips, codec_, text_, 1}, folder, ranks);
  }

  std::optional<testing::TempFolder> folder_;
  std::filesystem::path path_;
  DataConfig config_;
  FakeCodec codec_;
  FakeText text_;
};

TEST_F(PrepareOnRanks, TheDatasetIsTheSameAsOnOne) {
  const comm::Communicator alone;
  const PrepareResult shared = prepared("shared", world());
  world().all_or_none([&] {
    if (world().rank() != 0) return;
    const PrepareResult single = prepared("alone", alone);
    EXPECT_EQ(shared.throughput.ranks, world().size());
    EXPECT_EQ(shared.throughput.clips, 17);
    EXPECT_GT(shared.throughput.clips_per_second, 0);
    for (const double share : {shared.throughput.wait_share, shared.throughput.decode_share,
                               shared.throughput.vae_share, shared.throughput.text_share}) {
      EXPECT_GE(share, 0);
      EXPECT_LE(share, 1);
    }
    const auto without_speed = [](PrepareResult result) {
      result.throughput = {};
      return config::to_json(result);
    };
    EXPECT_EQ(without_speed(shared), without_speed(single));
    EXPECT_EQ(shared.dropped, 1);
    EXPECT_EQ(shared.quarantined, 1);
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(path_ / "alone")) {
      const auto name = entry.path().filename();
      EXPECT_EQ(read_file(entry.path()), read_file(path_ / "shared" / name)) << name;
      ++files;
    }
    EXPECT_GT(files, 11U);
    for (const auto& entry : std::filesystem::directory_iterator(path_ / "shared"))
      EXPECT_TRUE(std::filesystem::exists(path_ / "alone" / entry.path().filename())) << entry.path();
  });
}

TEST_F(PrepareOnRanks, AllKnowTheClipsOfOne) {
  const ClipList mine = list_clips(config_), shared = list_clips(config_, world());
  EXPECT_EQ(shared.videos, mine.videos);
  EXPECT_EQ(shared.captions.content(), mine.captions.content());
  EXPECT_EQ(shared.other_members, mine.other_members);
  ASSERT_EQ(shared.files.size(), mine.files.size());
  for (std::size_t i = 0; i < mine.files.size(); ++i) {
    const ClipFile &a = mine.files[i], &b = shared.files[i];
    EXPECT_EQ(std::tie(a.path, a.member, a.offset, a.bytes), std::tie(b.path, b.member, b.offset, b.bytes));
  }
  config_.videos = path_ / "nothing";
  EXPECT_THROW(list_clips(config_, world()), UserError);
}

TEST_F(PrepareOnRanks, EachClipIsReadByOneOfThem) {
  const ClipList clips = list_clips(config_, world());
  ChecksumMemory shared, alone;
  share_checksums(clips, shared, world());
  for (const ClipFile& clip : clips.files)
    EXPECT_EQ(clip_checksum(clip, shared), clip_checksum(clip, alone)) << clip.shown();
  EXPECT_EQ(dataset_identity({config_, clips, codec_, text_, 1}, content_of(config_), shared),
            dataset_identity({config_, clips, codec_, text_, 1}, content_of(config_), alone));
}

TEST_F(PrepareOnRanks, OnlyWhatIsMissingIsDoneAgain) {
  prepared("out", world());
  std::string before;
  world().all_or_none([&] {
    if (world().rank() != 0) return;
    before = read_file(path_ / "out/shard-00004.h5") + read_file(path_ / "out/manifest.json");
    for (const char* name : {"manifest.json", "shard-00004.h5", "text.h5"})
      std::filesystem::remove(path_ / "out" / name);
  });
  EXPECT_EQ(prepared("out", world()).throughput.clips, 2);
  if (world().rank() == 0) {
    EXPECT_EQ(read_file(path_ / "out/shard-00004.h5") + read_file(path_ / "out/manifest.json"), before);
  }
}

TEST_F(PrepareOnRanks, OneMistakeEndsAllRanks) {
  world().all_or_none([&] {
    if (world().rank() == 0) make_folder(path_ / "out" / "shard-00003.h5" / "in the way");
  });
  EXPECT_THROW(prepared("out", world()), std::exception);
}

}  // namespace
}  // namespace rehyat::data
