#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// One self-contained HTML page that shows what a run did: no scripts, no external resources, readable from file://.
namespace rehyat::report {

/// A statement that the run put to the test. `info` marks a number that has no expected value.
struct Check {
  enum class State { passed, missed, info };
  std::string statement, measured, expected;
  State state = State::info;
};

struct LossRow {
  std::string model;
  double loss = 0;
  std::string note;
};

/// Relative errors of one block's attention output against softmax attention; NaN marks what was not measured.
struct BlockError {
  std::int64_t block = 0;
  std::string attention;
  double window_only = 0, untrained = 0, distilled = 0;
};

/// Points are joined in the order given. Those that are not finite (or not positive on a logarithmic axis) are
/// skipped, and the legend says how many.
struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;
};

struct Chart {
  std::string title, x_label, y_label;
  bool log_y = false;
  std::vector<Series> series;
};

/// One model's video: the bytes of an MP4 file and of PNG files, either of which may be missing.
struct Clip {
  std::string label;
  std::string mp4;
  std::vector<std::string> png_frames;
};

/// Clips of several models from one prompt and one seed.
struct Comparison {
  std::string prompt;
  std::uint64_t seed = 0;
  std::vector<Clip> clips;
};

/// A clip that was mixed with noise, and what each model predicts as the clip without noise.
struct Denoised {
  std::string caption;
  double sigma = 0;  ///< share of noise
  std::vector<Clip> clips;
};

/// The cost of one pass: 10^12 FLOP by the paper's count and by the recurrent form's, the part of the paper's count
/// that is attention, and the bytes that the recurrent form holds. NaN marks what is not defined.
struct CostRow {
  std::string label;
  double paper_tflops = 0, recurrent_tflops = 0, attention_tflops = 0;
  std::int64_t state_bytes = 0, ring_bytes = 0;
};

/// A part of the run. A budget that is not finite or not positive means that none was set.
struct Stage {
  std::string name;
  double budget_seconds = 0, seconds = 0;
};

struct ReportData {
  std::string title, subtitle, date, hardware;
  std::vector<Check> checks;
  std::vector<LossRow> losses;
  std::vector<BlockError> errors;
  std::vector<Chart> charts;
  std::vector<Denoised> denoised;
  std::vector<Comparison> comparisons;
  std::vector<CostRow> costs;
  std::vector<Stage> stages;
  std::vector<std::string> commands;
  std::string config_yaml;
  std::vector<std::pair<std::string, std::string>> environment;
};

/// The page. The same data give the same bytes. Every string is escaped; a section whose data are empty is left out.
std::string render_html(const ReportData& data);

}  // namespace rehyat::report
