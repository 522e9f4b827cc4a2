#include <gtest/gtest.h>

#include <fstream>

#include "core/temp_folder.h"
#include "stages/report_parts.h"

namespace rehyat::stages {
namespace {

TEST(Report, CurvesStandAtTheStepsThatTheMetricsName) {
  const testing::TempFolder folder;
  std::ofstream(folder / "metrics.jsonl") << "{\"step\": 1, \"loss\": 0.5}\n{\"step\": 2, \"loss\": 0.25, "
                                             "\"validation_loss\": 0.75}\nhalf a li";
  const report::Series loss = metrics_series(folder.path(), "loss", "training");
  EXPECT_EQ(loss.name, "training");
  EXPECT_EQ(loss.points, (std::vector<std::pair<double, double>>{{1, 0.5}, {2, 0.25}}));
  EXPECT_EQ(metrics_series(folder.path(), "validation_loss", "").points,
            (std::vector<std::pair<double, double>>{{2, 0.75}}));
  EXPECT_TRUE(metrics_series(folder / "nowhere", "loss", "").points.empty());
}

}  // namespace
}  // namespace rehyat::stages
