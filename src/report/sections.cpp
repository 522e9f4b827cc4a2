#include "report/sections.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/strings.h"
#include "core/units.h"
#include "report/svg_chart.h"

namespace rehyat::report {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

struct Column {
  enum class Kind { text, number, meter };
  std::string name;
  Kind kind = Kind::text;
};
constexpr Column::Kind kNumber = Column::Kind::number;
constexpr Column::Kind kMeter = Column::Kind::meter;

void open_table(Markup& page, const std::vector<Column>& columns, const std::string& style = "") {
  page.open("div", {{"class", "scroll"}}).open("table", {{"class", style}}).open("thead").open("tr");
  for (const Column& column : columns) {
    const char* kind = column.kind == kNumber ? "n" : column.kind == kMeter ? "meter" : "t";
    page.element("th", {{"scope", "col"}, {"class", kind}}, column.name);
  }
  page.close().close().open("tbody");
}

void close_table(Markup& page) {
  page.close().close().close();
}

/// `name` stands before the text where the table is too narrow for columns.
void number_cell(Markup& page, const std::string& name, const std::string& text, bool best = false) {
  page.element("td", {{"class", best ? "n best" : "n"}, {"data-name", name}}, text);
}

std::string bytes_text(std::int64_t bytes) {
  return bytes > 0 ? human_bytes(bytes) : bytes == 0 ? "0" : "–";
}

/// A count of 10^12 operations, in the unit that needs no exponent.
std::string flop_text(double tera) {
  if (!std::isfinite(tera)) return "–";
  double value = tera;
  for (const char* unit : {"TFLOP", "GFLOP", "MFLOP", "kFLOP"}) {
    if (value >= 1 || value == 0) return significant(value) + " " + unit;
    value *= 1000;
  }
  return significant(value) + " FLOP";
}

std::string seconds_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "–";
  return seconds < 60 ? fixed(seconds, 1) + " s" : human_seconds(seconds);
}

/// A cell with a bar that fills `share` of it.
void meter_cell(Markup& page, double share, const std::string& colour, const std::string& tooltip) {
  page.open("td", {{"class", "meter"}});
  if (std::isfinite(share)) {
    page.open("svg", {{"viewBox", "0 0 100 10"}, {"preserveAspectRatio", "none"}, {"aria-hidden", "true"}});
    page.open("rect", {{"width", fixed(100 * std::clamp(share, 0.0, 1.0), 2)}, {"height", "10"}, {"class", colour}});
    page.element("title", {}, tooltip).close().close();
  }
  page.close();
}

void errors_chart(Markup& page, const std::vector<BlockError>& errors) {
  BarChart chart{"Relative error of each block's attention", "block", "relative error", {}, {}};
  chart.bars = {{"window only", {}}, {"untrained", {}}, {"distilled", {}}};
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const BlockError& error : errors) {
    chart.categories.push_back(cat(error.block));
    const double values[] = {error.window_only, error.untrained, error.distilled};
    for (std::size_t i = 0; i < 3; ++i) {
      chart.bars[i].values.push_back(values[i]);
      if (values[i] > 0 && std::isfinite(values[i])) low = std::min(low, values[i]), high = std::max(high, values[i]);
    }
  }
  if (high <= 30 * low) return bar_chart(page, chart);
  // Bars begin at zero, which would make the small errors look like none, so that points on a logarithmic axis show
  // them.
  Chart lines{chart.title, chart.x_label, chart.y_label, true, {}};
  for (const BarChart::Bars& bars : chart.bars) {
    Series& series = lines.series.emplace_back(Series{bars.name, {}});
    for (std::size_t i = 0; i < errors.size(); ++i) {
      series.points.emplace_back(static_cast<double>(errors[i].block), bars.values[i]);
    }
  }
  line_chart(page, lines);
}

void clip_figure(Markup& page, const Clip& clip) {
  page.open("figure", {{"class", "clip"}}).element("figcaption", {}, clip.label);
  if (!clip.mp4.empty()) {
    page.element("video", {{"autoplay", ""},
                           {"loop", ""},
                           {"muted", ""},
                           {"playsinline", ""},
                           {"aria-label", clip.label},
                           {"src", "data:video/mp4;base64," + base64(clip.mp4)}});
  } else if (clip.png_frames.empty()) {
    page.element("p", {{"class", "note"}}, "No video was kept.");
  }
  if (!clip.png_frames.empty()) {
    page.open("div", {{"class", clip.mp4.empty() ? "strip large" : "strip"}, {"tabindex", "0"}});
  }
  for (std::size_t i = 0; i < clip.png_frames.size(); ++i) {
    page.empty("img", {{"alt", cat(clip.label, ", frame ", i + 1, " of ", clip.png_frames.size())},
                       {"title", cat("frame ", i + 1)},
                       {"src", "data:image/png;base64," + base64(clip.png_frames[i])}});
  }
  if (!clip.png_frames.empty()) page.close();
  page.close();
}

/// A text with its clips in a row below it.
void clips_article(Markup& page, const std::string& text, const std::string& detail, const std::vector<Clip>& clips) {
  page.open("article", {{"class", "comparison"}}).element("h3", {}, "“" + text + "”");
  page.element("small", {}, detail);
  const std::size_t columns = std::clamp<std::size_t>(clips.size(), 1, 6);
  page.open("div", {{"class", "clips"}, {"style", cat("--columns: ", columns)}});
  for (const Clip& clip : clips) clip_figure(page, clip);
  page.close().close();
}

}  // namespace

void checks_section(Markup& page, const ReportData& data) {
  open_table(page, {{"Result"}, {"Statement"}, {"Measured"}, {"Asked for"}}, "stacked");
  for (const Check& check : data.checks) {
    const bool passed = check.state == Check::State::passed, missed = check.state == Check::State::missed;
    const std::string style = passed ? "passed" : missed ? "missed" : "info";
    const char* word = passed ? "✓ passed" : missed ? "✗ missed" : "• for information";
    page.open("tr").element("td", {{"class", "state " + style}}, word);
    page.element("td", {}, check.statement);
    page.element("td", {{"data-name", "measured"}}, check.measured);
    page.element("td", {{"data-name", "asked for"}}, check.expected.empty() ? "–" : check.expected).close();
  }
  close_table(page);
}

void losses_section(Markup& page, const ReportData& data) {
  double best = std::numeric_limits<double>::infinity(), worst = 0;
  for (const LossRow& row : data.losses) {
    if (std::isfinite(row.loss)) best = std::min(best, row.loss), worst = std::max(worst, row.loss);
  }
  open_table(page, {{"Model"}, {"Loss", kNumber}, {"Above the best", kNumber}, {"From zero", kMeter}, {"Note"}},
             "stacked");
  for (const LossRow& row : data.losses) {
    const bool is_best = row.loss == best;
    page.open("tr").element("td", {{"class", "first"}}, row.model);
    number_cell(page, "loss", significant(row.loss, 5), is_best);
    const double above = best > 0 ? 100 * (row.loss / best - 1) : kNaN;
    const std::string distance = is_best ? "best" : std::isfinite(above) ? cat("+", fixed(above, 1), " %") : "–";
    number_cell(page, "above the best", distance, is_best);
    meter_cell(page, worst > 0 ? row.loss / worst : kNaN, "dot s0", significant(row.loss, 5));
    page.element("td", {}, row.note).close();
  }
  close_table(page);
}

void errors_section(Markup& page, const ReportData& data) {
  errors_chart(page, data.errors);
  page.open("details").element("summary", {}, "The numbers, block by block");
  open_table(page, {{"Block", kNumber},
                    {"Attention"},
                    {"Window only", kNumber},
                    {"Untrained", kNumber},
                    {"Distilled", kNumber},
                    {"Distilled / window only", kNumber}});
  for (const BlockError& error : data.errors) {
    page.open("tr");
    number_cell(page, "block", cat(error.block));
    page.element("td", {}, error.attention);
    number_cell(page, "window only", significant(error.window_only));
    number_cell(page, "untrained", significant(error.untrained));
    number_cell(page, "distilled", significant(error.distilled),
                error.distilled < std::min(error.window_only, error.untrained));
    number_cell(page, "distilled / window only",
                error.window_only > 0 ? significant(error.distilled / error.window_only, 3) : "–");
    page.close();
  }
  close_table(page);
  page.close();
}

void charts_section(Markup& page, const ReportData& data) {
  page.open("div", {{"class", "charts"}});
  for (const Chart& chart : data.charts) line_chart(page, chart);
  page.close();
}

void denoised_section(Markup& page, const ReportData& data) {
  for (const Denoised& row : data.denoised)
    clips_article(page, row.caption, cat(number(100 * row.sigma, 3), " % noise"), row.clips);
}

void comparisons_section(Markup& page, const ReportData& data) {
  for (const Comparison& row : data.comparisons) clips_article(page, row.prompt, cat("seed ", row.seed), row.clips);
}

void costs_section(Markup& page, const ReportData& data) {
  open_table(page,
             {{"One block"},
              {"Paper's count", kNumber},
              {"of which attention", kNumber},
              {"Recurrent count", kNumber},
              {"State", kNumber},
              {"Window of keys and values", kNumber}},
             "stacked");
  for (const CostRow& row : data.costs) {
    page.open("tr").element("td", {{"class", "first"}}, row.label);
    number_cell(page, "paper's count", flop_text(row.paper_tflops));
    number_cell(page, "of which attention", flop_text(row.attention_tflops));
    number_cell(page, "recurrent count", flop_text(row.recurrent_tflops));
    number_cell(page, "state", bytes_text(row.state_bytes));
    number_cell(page, "window of keys and values", bytes_text(row.ring_bytes));
    page.close();
  }
  close_table(page);
}

void stages_section(Markup& page, const ReportData& data) {
  double budget = 0, spent = 0, longest = 0;
  for (const Stage& stage : data.stages) {
    const bool has_budget = std::isfinite(stage.budget_seconds) && stage.budget_seconds > 0;
    if (has_budget) budget += stage.budget_seconds;
    if (std::isfinite(stage.seconds)) spent += stage.seconds, longest = std::max(longest, stage.seconds);
  }
  open_table(page, {{"Part"}, {"Took", kNumber}, {"Budget", kNumber}, {"", kMeter}});
  for (const Stage& stage : data.stages) {
    const bool has_budget = std::isfinite(stage.budget_seconds) && stage.budget_seconds > 0;
    const bool over = has_budget && stage.seconds > stage.budget_seconds;
    page.open("tr").element("td", {}, stage.name);
    page.element("td", {{"class", over ? "n missed" : "n"}}, seconds_text(stage.seconds) + (over ? " (over)" : ""));
    number_cell(page, "budget", has_budget ? seconds_text(stage.budget_seconds) : "–");
    meter_cell(page, longest > 0 ? stage.seconds / longest : kNaN, over ? "dot s-over" : "dot s0",
               seconds_text(stage.seconds));
    page.close();
  }
  page.close().open("tfoot").open("tr").element("td", {}, "Together");
  number_cell(page, "took", seconds_text(spent));
  number_cell(page, "budget", budget > 0 ? seconds_text(budget) : "–");
  page.element("td", {{"class", "meter"}}).close();
  close_table(page);
}

void commands_section(Markup& page, const ReportData& data) {
  page.open("pre", {{"tabindex", "0"}}).element("code", {}, join(data.commands, "\n")).close();
}

void config_section(Markup& page, const ReportData& data) {
  page.open("details").element("summary", {}, "Show the configuration");
  page.open("pre", {{"tabindex", "0"}}).element("code", {}, data.config_yaml).close().close();
}

void environment_section(Markup& page, const ReportData& data) {
  page.open("div", {{"class", "scroll"}}).open("table").open("tbody");
  for (const auto& [name, value] : data.environment) {
    page.open("tr").element("th", {{"scope", "row"}}, name).element("td", {}, value).close();
  }
  page.close().close().close();
}

}  // namespace rehyat::report
