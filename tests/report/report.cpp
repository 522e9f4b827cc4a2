#include "report/report.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <limits>

#include "report/html_checks.h"
#include "report/markup.h"

namespace rehyat::report {
namespace {

using testing::count_of;
using testing::unbalanced;

constexpr double kNotANumber = std::numeric_limits<double>::quiet_NaN();
constexpr int kSide = 64;

std::string big_endian(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xffU);
  return out;
}

std::string png_chunk(const std::string& body) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : body) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) ? crc >> 1 ^ 0xedb88320U : crc >> 1;
  }
  return big_endian(static_cast<std::uint32_t>(body.size() - 4)) + body + big_endian(~crc);
}

/// A disc on a slope of colour, as a PNG whose one deflate block is stored.
std::string png_frame(double centre, int tint) {
  std::string rows;
  for (int y = 0; y < kSide; ++y) {
    rows += '\0';
    for (int x = 0; x < kSide; ++x) {
      const bool inside = std::hypot(x - centre, y - 32.0) < 12;
      for (const int value : {inside ? 240 : x * 2, inside ? 200 - tint : y * 2, inside ? 60 : 90 + tint}) {
        rows += static_cast<char>(value);
      }
    }
  }
  std::uint32_t a = 1, b = 0;
  for (const char c : rows) a = (a + static_cast<unsigned char>(c)) % 65521, b = (b + a) % 65521;
  const auto size = static_cast<std::uint32_t>(rows.size());
  std::string deflate = {'\x78', '\x01', '\x01'};
  for (const std::uint32_t half : {size, ~size}) {
    deflate += static_cast<char>(half & 0xffU), deflate += static_cast<char>(half >> 8 & 0xffU);
  }
  const std::string header = "IHDR" + big_endian(kSide) + big_endian(kSide) + std::string("\x08\x02\0\0\0", 5);
  return "\x89PNG\r\n\x1a\n" + png_chunk(header) + png_chunk("IDAT" + deflate + rows + big_endian(b << 16 | a)) +
         png_chunk("IEND");
}

Clip clip(const std::string& label, int tint, const std::string& mp4) {
  Clip made{label, mp4, {}};
  for (int frame = 0; frame < 9; ++frame) made.png_frames.push_back(png_frame(8 + 6 * frame, tint));
  return made;
}

Chart curves() {
  Chart chart{"Training loss", "step", "loss", true, {{"softmax", {}}, {"hybrid", {}}, {"window only", {}}}};
  for (int step = 0; step < 3000; ++step) {
    const double noise = 0.08 * std::sin(step * 12.9898) + 0.05 * std::sin(step * 78.233);
    for (std::size_t s = 0; s < 3; ++s) {
      const double floor = 0.08 + 0.03 * static_cast<double>(s);
      chart.series[s].points.emplace_back(step, (floor + std::exp(-step / 300.0)) * (1 + noise));
    }
  }
  return chart;
}

ReportData sample() {
  ReportData data{"From softmax to hybrid attention", "A small model, distilled and fine-tuned in one sitting",
                  "2026-01-31", "one processor with 2 cores"};
  data.checks = {
      {"The recurrent form equals the parallel form", "largest difference 3.1e-13", "at most 1e-10",
       Check::State::passed},
      {"Distillation beats the window alone in every block", "7 of 8 blocks", "8 of 8", Check::State::missed},
      {"Memory of chunk-by-chunk sampling", "1.8 MB for every length", "", Check::State::info}};
  data.losses = {{"softmax teacher", 0.1123, "the model that is imitated"},
                 {"hybrid, distilled", 0.1391, ""},
                 {"hybrid, fine-tuned", 0.1187, "500 steps"},
                 {"window only", 0.2205, "no summary of older frames"},
                 {"diverged", kNotANumber, "stopped after 20 steps"}};
  for (int block = 0; block < 16; ++block) {
    const double depth = 1 + 0.5 * std::sin(block);
    data.errors.push_back({block, block % 2 ? "rehyat tc 3 to 2" : "rehyat tc 1 to 1", 0.31 * depth,
                           block == 5 ? kNotANumber : 0.44 * depth, 0.07 * depth});
  }
  data.charts = {curves(),
                 {"Seconds for a video",
                  "frames",
                  "seconds",
                  false,
                  {{"softmax", {{17, 3.1}, {33, 9.8}, {65, 34}, {129, 128}}},
                   {"recurrent", {{17, 2.2}, {33, 4.3}, {65, 8.5}, {129, 17}}},
                   {"parallel", {{17, 2.0}, {33, 4.1}, {65, kNotANumber}}}}}};
  data.comparisons = {{"A ball rolls <script>alert('x')</script> from left to right & stops", 42, {}},
                      {"the same without video files", 7, {}}};
  for (auto& comparison : data.comparisons) {
    const bool with_video = comparison.seed == 42;
    comparison.clips = {clip("softmax teacher", 0, with_video ? "mp4-a" : ""),
                        clip("hybrid", 40, with_video ? "mp4-b" : ""), clip("window only", 90, "")};
  }
  data.comparisons[1].clips.push_back({"nothing kept", "", {}});
  data.denoised = {{"A ball <b>through</b> noise", 0.5, {clip("the clip", 0, "mp4-c"), clip("with noise", 20, "")}}};
  data.costs = {{"softmax", 5.81, kNotANumber, 3.94, 0, 0},
                {"rehyat tc 3 to 2", 1.934, 1.861, 0.552, 12'779'520, 38'338'560},
                {"linear", 1.71, 1.70, 0.31, 12'779'520, 0}};
  data.stages = {{"data", 60, 12.4}, {"teacher", 900, 811}, {"distillation", 300, 342.5}, {"pictures", 0, 31}};
  data.commands = {"rehyat experiment --config tiny.yaml --out run", "rehyat report run > report.html"};
  data.config_yaml = "model:\n  blocks: 8  # all of them\n  attention: {tc: 3, to: 2}\n";
  data.environment = {{"compiler", "gcc 12.2"}, {"libtorch", "2.6.0"}};
  return data;
}

TEST(Report, IsBalancedAndWrittenForALook) {
  const std::string html = render_html(sample());
  EXPECT_EQ(unbalanced(html), "");
  std::ofstream(::testing::TempDir() + "rehyat_report_sample.html", std::ios::binary) << html;
}

TEST(Report, IsAPureFunctionOfItsData) {
  EXPECT_EQ(render_html(sample()), render_html(sample()));
}

TEST(Report, EscapesEveryString) {
  const std::string evil = "</title></script><script>alert(1)</script>\" onload=\"x' &";
  ReportData data{evil, evil, evil, evil};
  data.checks = {{evil, evil, evil, Check::State::passed}};
  data.losses = {{evil, 1, evil}};
  data.errors = {{1, evil, 1, 2, 3}};
  data.charts = {{evil, evil, evil, false, {{evil, {{0, 1}, {1, 2}}}}}};
  data.comparisons = {{evil, 1, {{evil, evil, {evil}}, {evil, "", {}}}}};
  data.denoised = {{evil, 0.5, {{evil, evil, {evil}}}}};
  data.costs = {{evil, 1, 1, 1, 1, 1}};
  data.stages = {{evil, 1, 1}};
  data.commands = {evil};
  data.config_yaml = evil;
  data.environment = {{evil, evil}};
  const std::string html = render_html(data);
  EXPECT_EQ(unbalanced(html), "");
  EXPECT_EQ(count_of(html, "<script"), 0U);
  EXPECT_EQ(count_of(html, "onload=\""), 0U);
  EXPECT_EQ(count_of(html, "</title>"), count_of(html, "<title>"));
  EXPECT_GT(count_of(html, "&lt;script&gt;alert(1)&lt;/script&gt;"), 20U);
}

TEST(Report, LeavesOutEmptySections) {
  const std::string empty = render_html({"Nothing yet"});
  EXPECT_EQ(unbalanced(empty), "");
  EXPECT_EQ(count_of(empty, "<section"), 0U);
  EXPECT_EQ(count_of(empty, "<nav"), 0U);
  EXPECT_EQ(count_of(empty, "class=\"verdict\""), 0U);
  ReportData one{"One section"};
  one.commands = {"rehyat verify"};
  const std::string html = render_html(one);
  EXPECT_EQ(count_of(html, "<section"), 1U);
  EXPECT_NE(html.find("id=\"commands\""), std::string::npos);
  EXPECT_EQ(count_of(render_html(sample()), "<section"), 11U);
}

TEST(Report, NeedsNothingFromOutside) {
  const std::string html = render_html(sample());
  for (const char* outside : {"http:", "https:", "url(", "@import", "<script", "<link", "<iframe"}) {
    EXPECT_EQ(count_of(html, outside), 0U) << outside;
  }
  EXPECT_EQ(count_of(html, " src=\""), count_of(html, " src=\"data:"));
}

TEST(Report, PlaysVideosWhereThereAreBytesAndShowsEveryFrame) {
  const std::string html = render_html(sample());
  EXPECT_EQ(count_of(html, "<video autoplay=\"\" loop=\"\" muted=\"\" playsinline=\"\""), 3U);
  EXPECT_NE(html.find("data:video/mp4;base64," + base64("mp4-a")), std::string::npos);
  EXPECT_EQ(count_of(html, "<img "), 8U * 9U);
  EXPECT_EQ(count_of(html, "No video was kept."), 1U);
}

TEST(Report, CountsTheChecks) {
  const std::string html = render_html(sample());
  EXPECT_NE(html.find("<li class=\"passed\"><b>1</b>passed</li><li class=\"missed\"><b>1</b>missed</li>"),
            std::string::npos);
}

TEST(Report, ShowsNoNumberThatIsNotOne) {
  ReportData data{"NaN"};
  data.losses = {{"a", kNotANumber, ""}, {"b", std::numeric_limits<double>::infinity(), ""}};
  data.errors = {{0, "x", kNotANumber, kNotANumber, kNotANumber}};
  data.costs = {{"c", kNotANumber, kNotANumber, kNotANumber, -1, 0}};
  data.stages = {{"d", kNotANumber, kNotANumber}};
  const std::string html = render_html(data);
  const std::string body = html.substr(html.find("<body"));
  EXPECT_EQ(unbalanced(html), "");
  EXPECT_EQ(count_of(body, "nan"), 0U);
  EXPECT_EQ(count_of(body, ">inf"), 0U);
}

TEST(Report, CountsOperationsInAUnitThatNeedsNoExponent) {
  ReportData data{"costs"};
  data.costs = {
      {"large", 4.3, 4.256, 1.2, 0, 0}, {"small", 3.026e-7, 0.0042, 2e-5, 0, 0}, {"none", 0, kNotANumber, 1e-13, 0, 0}};
  const std::string html = render_html(data);
  for (const char* text :
       {"4.300 TFLOP", "4.256 TFLOP", "302.6 kFLOP", "4.200 GFLOP", "20.00 MFLOP", ">0 TFLOP", ">0.1000 FLOP"})
    EXPECT_NE(html.find(text), std::string::npos) << text;
  EXPECT_EQ(count_of(html, "e-07") + count_of(html, "e-05"), 0U);
}

TEST(Report, SaysWhatEachNumberIsWhereATableIsTooNarrowForColumns) {
  const std::string html = render_html(sample());
  for (const char* cell : {"<td class=\"n\" data-name=\"recurrent count\">1.861 TFLOP</td>",
                           "<td class=\"n\" data-name=\"loss\">0.13910</td>",
                           "<td class=\"n\" data-name=\"above the best\">+23.9 %</td>", "<td data-name=\"measured\">"})
    EXPECT_NE(html.find(cell), std::string::npos) << cell;
  EXPECT_EQ(count_of(html, "<table class=\"stacked\">"), 3U);
}

TEST(Report, DrawsErrorsOfVeryDifferentSizesOnALogarithmicAxis) {
  ReportData data{"errors"};
  data.errors = {{0, "x", 0.3, 0.5, 0.1}, {1, "x", 0.2, 0.6, 0.05}};
  EXPECT_EQ(count_of(render_html(data), "(log scale)"), 0U);
  data.errors[1].distilled = 1e-4;
  EXPECT_EQ(count_of(render_html(data), "(log scale)"), 1U);
}

}  // namespace
}  // namespace rehyat::report
