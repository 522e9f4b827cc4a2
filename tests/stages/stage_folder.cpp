#include "stages/stage_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::stages {
namespace {

using testing::expect_error;
using testing::TempFolder;
using json = nlohmann::ordered_json;

StageFolder stage_of(const TempFolder& folder) {
  return StageFolder(folder / "runs", "pretrain", {{"format", 1}, {"seed", 3}});
}

/// A complete stage with the files that others load.
void complete(const StageFolder& stage) {
  const FolderLock lock = stage.open();
  make_folder(stage.folder() / "model");
  make_folder(stage.folder() / "phi-00001");
  write_file_atomic(stage.folder() / "model/weights.safetensors", std::string(1000, 'w'));
  write_file_atomic(stage.folder() / "phi-00001.safetensors", "phi");
  write_file_atomic(stage.folder() / "phi-00001/before.json", "work");
  write_file_atomic(stage.folder() / "manifest.json", "{}");
  write_file_atomic(stage.folder() / "metrics.jsonl", "{}");
  stage.finish({{"loss", 1}}, {"model", "phi-00001.safetensors", "manifest.json"});
}

TEST(StageFolder, IsCompleteOnlyOnceItIsFinished) {
  const TempFolder folder;
  const StageFolder stage = stage_of(folder);
  EXPECT_FALSE(stage.complete());
  expect_error<UserError>([&] { stage.require_complete(); }, {"not complete", "run `rehyat pretrain`"});
  complete(stage);
  EXPECT_TRUE(stage.complete());
  EXPECT_EQ(stage.result(), json({{"loss", 1}}));
  EXPECT_NO_THROW(stage.require_intact());
}

TEST(StageFolder, AFlippedBitIsNamedWithTheCommandThatMendsIt) {
  const TempFolder folder;
  const StageFolder stage = stage_of(folder);
  complete(stage);
  for (const char* name : {"model/weights.safetensors", "phi-00001.safetensors", "manifest.json"}) {
    const auto path = stage.folder() / name;
    const std::string whole = read_file(path);
    std::string flipped = whole;
    flipped[flipped.size() / 2] ^= 1;
    std::ofstream(path) << flipped;
    expect_error<UserError>([&] { stage.require_intact(); }, {path.string(), "another checksum",
                                                              "run `rehyat pretrain` again", stage.folder().string()});
    std::ofstream(path) << whole.substr(1);
    expect_error<UserError>([&] { stage.require_intact(); }, {path.string(), "bytes, expected"});
    std::filesystem::remove(path);
    expect_error<UserError>([&] { stage.require_intact(); }, {path.string(), "no file"});
    std::ofstream(path) << whole;
  }
  // What no other stage loads may change.
  std::ofstream(stage.folder() / "metrics.jsonl") << "more";
  std::ofstream(stage.folder() / "phi-00001/before.json") << "more";
  EXPECT_NO_THROW(stage.require_intact());
}

TEST(StageFolder, ADamagedMarkerIsASentence) {
  const TempFolder folder;
  const StageFolder stage = stage_of(folder);
  complete(stage);
  const std::string good = read_file(stage.folder() / "stage.json");
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("{\"fingerprint\": 3, \"summary\": 1}"),
        std::string(100'000, '['), good.substr(0, good.size() / 2)}) {
    std::ofstream(stage.folder() / "stage.json") << text;
    expect_error<UserError>([&] { stage.require_intact(); }, {"stage.json", "remove"});
  }
  std::string other = good;
  other.replace(other.find(stage.fingerprint()), 4, "dead");
  std::ofstream(stage.folder() / "stage.json") << other;
  expect_error<UserError>([&] { static_cast<void>(stage.complete()); }, {"found fingerprint dead"});
  json files = json::parse(good);
  files["files"][0].erase("checksum");
  std::ofstream(stage.folder() / "stage.json") << files.dump();
  expect_error<UserError>([&] { stage.require_intact(); }, {"without names in the folder, sizes and checksums"});
}

TEST(StageFolder, OneRunAtATimeAndLeftoversGoWhenItIsOpened) {
  const TempFolder folder;
  const StageFolder stage = stage_of(folder);
  make_folder(stage.folder() / "checkpoints/.rehyat-part-5");
  std::ofstream(stage.folder() / ".shard.h5.rehyat-part-1-0") << "half";
  {
    const FolderLock lock = stage.open();
    EXPECT_TRUE(std::filesystem::is_empty(stage.folder() / "checkpoints"));
    EXPECT_FALSE(std::filesystem::exists(stage.folder() / ".shard.h5.rehyat-part-1-0"));
    std::ofstream(stage.folder() / ".live.rehyat-part-1-0") << "of this run";
    expect_error<UserError>([&] { static_cast<void>(stage.open()); }, {"another run", "process"});
    EXPECT_TRUE(std::filesystem::exists(stage.folder() / ".live.rehyat-part-1-0"));
  }
  EXPECT_NO_THROW(static_cast<void>(stage.open()));
}

}  // namespace
}  // namespace rehyat::stages
