#pragma once

#include <string>
#include <vector>

#include "report/markup.h"
#include "report/report.h"

namespace rehyat::report {

/// About `count` round values that are 1, 2 or 5 times a power of ten apart: the first is at most `low`, the last at
/// least `high`. Both must be finite; where they are equal, the ticks span a range around them.
std::vector<double> nice_ticks(double low, double high, int count = 5);

/// Ticks of a logarithmic axis, for 0 < low <= high: powers of ten, and also 2 and 5 times them where few powers fit.
std::vector<double> log_ticks(double low, double high);

/// Short labels that tell neighbouring ticks apart: "0.25", "20k", "1e-05".
std::string tick_label(double value, double step);

/// Bars side by side, one group a category. A value that is not finite leaves its place empty.
struct BarChart {
  struct Bars {
    std::string name;
    std::vector<double> values;  ///< one a category
  };
  std::string title, x_label, y_label;
  std::vector<std::string> categories;
  std::vector<Bars> bars;
};

/// Each writes a <figure> with its legend and an SVG whose colours come from the page's style sheet.
void line_chart(Markup& page, const Chart& chart);
void bar_chart(Markup& page, const BarChart& chart);

}  // namespace rehyat::report
