#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "report/html_checks.h"
#include "report/svg_chart.h"

namespace rehyat::report {
namespace {

using testing::count_of;
using testing::unbalanced;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

std::string line(const Chart& chart) {
  Markup page;
  line_chart(page, chart);
  return page.finish();
}

std::string bars(const BarChart& chart) {
  Markup page;
  bar_chart(page, chart);
  return page.finish();
}

void expect_ticks(const std::vector<double>& found, const std::vector<double>& wanted) {
  ASSERT_EQ(found.size(), wanted.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-12 + std::abs(wanted[i]) * 1e-9);
}

TEST(NiceTicks, AreRoundAndHoldTheRange) {
  expect_ticks(nice_ticks(0, 1), {0, 0.2, 0.4, 0.6, 0.8, 1});
  expect_ticks(nice_ticks(0, 2000), {0, 500, 1000, 1500, 2000});
  expect_ticks(nice_ticks(-3, 7), {-4, -2, 0, 2, 4, 6, 8});
  expect_ticks(nice_ticks(7, -3), {-4, -2, 0, 2, 4, 6, 8});
}

TEST(NiceTicks, CopeWithEveryRange) {
  const std::pair<double, double> ranges[] = {{0, 0},      {5, 5},        {-2, -2},   {1e12, 1e12 + 1},
                                              {0, 1e-300}, {-1e99, 1e99}, {0.1, 0.3}, {1e-12, 2e-12}};
  for (const auto& [low, high] : ranges) {
    const std::vector<double> ticks = nice_ticks(low, high);
    ASSERT_GE(ticks.size(), 2U) << low << " " << high;
    EXPECT_LE(ticks.size(), 12U);
    const double slack = 1e-6 * (ticks.back() - ticks.front());
    EXPECT_LE(ticks.front(), low + slack);
    EXPECT_GE(ticks.back(), high - slack);
    EXPECT_LT(ticks[0], ticks[1]);
  }
}

TEST(LogTicks, ArePowersOfTenOrOneTwoFive) {
  expect_ticks(log_ticks(0.003, 40), {0.001, 0.01, 0.1, 1, 10, 100});
  expect_ticks(log_ticks(0.15, 0.7), {0.1, 0.2, 0.5, 1});
  for (const double high : {1e-3, 2e-3, 1e5, 1e90}) {
    const std::vector<double> ticks = log_ticks(1e-3, high);
    EXPECT_LE(ticks.size(), 9U);
    EXPECT_LE(ticks.front(), 1e-3 * 1.000001);
    EXPECT_GE(ticks.back(), high * 0.999999);
  }
}

TEST(TickLabel, TellsNeighboursApart) {
  EXPECT_EQ(tick_label(0.1 + 0.2, 0.1), "0.3");
  EXPECT_EQ(tick_label(1e-18, 0.1), "0");
  EXPECT_EQ(tick_label(20000, 5000), "20k");
  EXPECT_EQ(tick_label(12500, 2500), "12.5k");
  EXPECT_EQ(tick_label(1.25, 0.05), "1.25");
  EXPECT_EQ(tick_label(0.001, 0.001), "0.001");
  EXPECT_EQ(tick_label(1e-5, 1e-5), "1e-05");
}

TEST(LineChart, SkipsWhatIsNotFiniteAndSaysHowMany) {
  const std::string svg =
      line({"loss", "step", "loss", false, {{"train", {{0, 1}, {1, kNaN}, {2, kInf}, {kNaN, 1}, {3, 0.5}}}}});
  EXPECT_EQ(unbalanced(svg), "");
  EXPECT_EQ(count_of(svg, "nan"), 0U);
  EXPECT_EQ(count_of(svg, "inf"), 0U);
  EXPECT_EQ(count_of(svg, "<title>"), 2U);
  EXPECT_NE(svg.find("3 points without"), std::string::npos);
}

TEST(LineChart, LogarithmicAxisSkipsZeroAndBelow) {
  const std::string svg = line({"loss", "step", "loss", true, {{"train", {{0, 1}, {1, 0}, {2, -1}, {3, 0.01}}}}});
  EXPECT_EQ(count_of(svg, "<title>"), 2U);
  EXPECT_NE(svg.find("(log scale)"), std::string::npos);
  EXPECT_NE(svg.find("2 points without"), std::string::npos);
}

TEST(LineChart, WithoutAnyPointSaysSo) {
  for (const Chart& chart : {Chart{"a", "x", "y", false, {}}, Chart{"a", "x", "y", true, {{"s", {{1, kNaN}}}}}}) {
    const std::string html = line(chart);
    EXPECT_EQ(unbalanced(html), "");
    EXPECT_NE(html.find("No value"), std::string::npos);
  }
}

TEST(LineChart, OfOnePointHasAMarkerAndNoLine) {
  const std::string svg = line({"a", "x", "y", false, {{"only", {{3, 7}}}}});
  EXPECT_EQ(count_of(svg, "<path"), 0U);
  EXPECT_NE(svg.find("only: 3, 7"), std::string::npos);
}

TEST(LineChart, ThinsLongSeriesButKeepsItsSpikes) {
  Chart chart{"a", "x", "y", false, {{"long", {}}}};
  for (int i = 0; i < 50000; ++i) chart.series[0].points.emplace_back(i, i == 31415 ? 100 : 1);
  const std::string svg = line(chart);
  EXPECT_LT(svg.size(), 40000U);
  // The spike is at the very top of the axis, 32 pixels below the edge.
  EXPECT_EQ(count_of(svg, " 32.0L"), 1U);
}

/// Where the first path's points are, in pixels.
std::vector<std::pair<double, double>> path_points(const std::string& svg) {
  std::vector<std::pair<double, double>> points;
  const std::size_t from = svg.find(" d=\"") + 4, to = svg.find('"', from);
  std::string path = svg.substr(from, to - from);
  std::replace_if(
      path.begin(), path.end(), [](char c) { return c == 'M' || c == 'L'; }, ' ');
  std::istringstream numbers(path);
  for (double x = 0, y = 0; numbers >> x >> y;) points.emplace_back(x, y);
  return points;
}

TEST(LineChart, UsesItsWholeWidthAndMostOfItsHeight) {
  // The demo's finetuning: 150 steps, and losses that are close together, on a logarithmic axis.
  Chart chart{"a", "step", "loss", true, {{"hybrid", {}}}};
  for (int step = 1; step <= 150; ++step) chart.series[0].points.emplace_back(step, step % 2 == 1 ? 0.42 : 0.62);
  const std::string svg = line(chart);
  const auto points = path_points(svg);
  ASSERT_EQ(points.size(), 150U);
  EXPECT_NEAR(points.back().first, 438, 0.2);  // of 460, less the margin of 22
  EXPECT_LT(points.front().first, 54 + 5);     // the axis begins at 0
  EXPECT_GT(points[0].second - points[1].second, 0.6 * (280 - 44 - 32));
  for (const char* tick : {">0.4<", ">0.5<", ">0.6<"}) EXPECT_EQ(count_of(svg, tick), 1U) << tick;
  EXPECT_EQ(count_of(svg, ">200<"), 0U);
}

TEST(LineChart, EveryValueIsInsideOfTheAxes) {
  for (const bool log : {false, true}) {
    for (const double ratio : {1.0, 1.001, 1.5, 3.4, 3.6, 5.0, 9.0, 40.0, 1e3, 1e9}) {
      for (const double low : {1e-9, 0.37, 0.99, 1234.5}) {
        const std::string svg = line({"a", "x", "y", log, {{"s", {{3, low}, {1003, low * ratio}}}}});
        for (const auto& [x, y] : path_points(svg)) {
          EXPECT_TRUE(54 - 0.1 <= x && x <= 438.1 && 31.9 <= y && y <= 236.1)
              << low << " " << ratio << ": " << x << ", " << y;
        }
        EXPECT_GE(count_of(svg, "text-anchor=\"end\""), 2U) << low << " " << ratio;  // a tick at least, and the x label
      }
    }
  }
}

TEST(BarChart, LeavesOutWhatIsNotFinite) {
  const std::string svg = bars({"e", "block", "error", {"0", "1", "2"}, {{"a", {1, kNaN, 2}}, {"b", {kInf, -1}}}});
  EXPECT_EQ(unbalanced(svg), "");
  EXPECT_EQ(count_of(svg, "<title>"), 3U);
  EXPECT_EQ(count_of(svg, "nan"), 0U);
}

TEST(BarChart, EscapesItsNames) {
  const std::string svg = bars({"<t>", "<x>", "<y>", {"<c>"}, {{"<q>", {1}}}});
  EXPECT_EQ(unbalanced(svg), "");
  for (const char* name : {"<t>", "<x>", "<y>", "<c>", "<q>"}) EXPECT_EQ(count_of(svg, name), 0U);
}

}  // namespace
}  // namespace rehyat::report
