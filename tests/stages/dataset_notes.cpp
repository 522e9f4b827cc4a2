#include "stages/dataset_notes.h"

#include <gtest/gtest.h>

#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "stages/stage_folder.h"

namespace rehyat::stages {
namespace {

using testing::TempFolder;

data::Identity identity(std::int64_t size, const std::string& codec, bool flip = false) {
  return {{"format", 2}, {"settings", {{"size", {size, size}}, {"flip", flip}}}, {"codec", codec}};
}

void dataset(const TempFolder& run, const data::Identity& made_from) {
  const StageFolder stage(run.path(), "prepare", made_from);
  static_cast<void>(stage.open());
  data::dataset_folder(stage.folder(), made_from).finish({{"samples", 1}});
}

TEST(NearestDataset, NamesWhatChanged) {
  const TempFolder run;
  const data::Identity wanted = identity(80, "wan");
  EXPECT_EQ(nearest_dataset(run.path(), wanted), "");
  EXPECT_EQ(nearest_dataset(run / "none", wanted), "");
  dataset(run, wanted);
  EXPECT_EQ(nearest_dataset(run.path(), wanted), "");  // itself
  dataset(run, identity(64, "other", true));
  dataset(run, identity(64, "wan"));
  make_folder(run / "prepare-unfinished");
  make_folder(run / "prepare-damaged");
  write_file_atomic(run / "prepare-damaged/manifest.json", "{");
  const std::string text = nearest_dataset(run.path(), wanted);
  EXPECT_NE(text.find("made from something else (data.size: found [64,64], expected [80,80])"), std::string::npos)
      << text;
  EXPECT_NE(text.find(StageFolder(run.path(), "prepare", identity(64, "wan")).folder().string()), std::string::npos)
      << text;
}

TEST(NearestDataset, NamesEncoders) {
  const TempFolder run;
  dataset(run, identity(64, "block transform"));
  EXPECT_NE(
      nearest_dataset(run.path(), identity(64, "wan")).find("video codec: found \"block transform\", expected \"wan\""),
      std::string::npos);
}

TEST(RecallDataset, FindsTheOneThatWasNoted) {
  const TempFolder run;
  const data::Identity made_from = identity(64, "wan");
  EXPECT_FALSE(recall_dataset(run.path(), "key"));
  dataset(run, made_from);
  remember_dataset(run.path(), "key", made_from);
  EXPECT_EQ(recall_dataset(run.path(), "key"), made_from);
  EXPECT_FALSE(recall_dataset(run.path(), "other"));
}

}  // namespace
}  // namespace rehyat::stages
