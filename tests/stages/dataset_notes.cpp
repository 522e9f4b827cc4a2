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
