#include "report/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/strings.h"

namespace rehyat::report {
namespace {

constexpr int kColours = 7;                // --s0 to --s6 of the style sheet
constexpr std::size_t kMostMarkers = 60;   // a line of more points has no markers, and a few places to hover over
constexpr std::size_t kMostColumns = 400;  // a line of more than twice as many points is thinned
constexpr double kLimit = 1e100;           // beyond it the arithmetic of the axes could overflow

using Points = std::vector<std::pair<double, double>>;

std::string colour(std::size_t series) {
  return cat("s", series % kColours);
}

std::string coordinate(double value) {
  return fixed(value, 1);
}

/// A straight map from values (or their logarithms) to pixels.
struct Axis {
  double low = 0, high = 1, pixel_low = 0, pixel_high = 1;
  bool log = false;
  double step = 0;  ///< between ticks; 0 where they are not evenly apart
  std::vector<double> ticks;

  double scaled(double value) const { return log ? std::log10(value) : value; }
  double pixel(double value) const {
    const double share = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low));
    return pixel_low + share * (pixel_high - pixel_low);
  }
  std::string label(double tick) const { return tick_label(tick, step > 0 ? step : tick); }
};

Axis make_axis(std::vector<double> ticks, double pixel_low, double pixel_high, bool log = false) {
  Axis axis;
  if (!ticks.empty()) axis.low = ticks.front(), axis.high = ticks.back();
  axis.pixel_low = pixel_low, axis.pixel_high = pixel_high;
  axis.log = log;
  if (!log && ticks.size() > 1) axis.step = ticks[1] - ticks[0];
  axis.ticks = std::move(ticks);
  return axis;
}

struct Frame {
  double width = 460, height = 280, left = 54, right = 22, top = 32, bottom = 44;
};

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void add(double value) { low = std::min(low, value), high = std::max(high, value); }
  bool empty() const { return low > high; }
};

/// Ends with the values where the next tick lies further out than a twentieth of their range.
Axis fitted_axis(const Range& values, double pixel_low, double pixel_high) {
  Axis axis = make_axis(nice_ticks(values.low, values.high), pixel_low, pixel_high);
  const double room = (values.high - values.low) / 20;
  if (room <= 0) return axis;
  if (axis.ticks.size() > 2 && axis.high - values.high > room) axis.high = values.high, axis.ticks.pop_back();
  if (axis.ticks.size() > 2 && values.low - axis.low > room) {
    axis.low = values.low;
    axis.ticks.erase(axis.ticks.begin());
  }
  return axis;
}

/// A logarithmic axis that ends a little outside of its values, with even ticks where they are close together.
Axis fitted_log_axis(const Range& values, double pixel_low, double pixel_high) {
  constexpr double kRoom = 1.08, kClose = 4;
  const double low = values.low / kRoom, high = values.high * kRoom;
  const bool close = high < kClose * low;
  std::vector<double> ticks = close ? nice_ticks(low, high, 4) : log_ticks(low, high);
  const double step = close ? ticks[1] - ticks[0] : 0;
  std::erase_if(ticks, [&](double tick) { return tick < low * (1 - 1e-9) || tick > high * (1 + 1e-9); });
  Axis axis = make_axis(std::move(ticks), pixel_low, pixel_high, true);
  axis.low = low, axis.high = high, axis.step = step;
  return axis;
}

bool drawable(double value, bool log) {
  return std::isfinite(value) && std::abs(value) < kLimit && (!log || value > 1 / kLimit);
}

void svg_text(Markup& page, double x, double y, const char* anchor, std::string_view text) {
  page.element("text", {{"x", coordinate(x)}, {"y", coordinate(y)}, {"text-anchor", anchor}}, text);
}

void svg_line(Markup& page, double x1, double y1, double x2, double y2, const char* style) {
  page.element("line", {{"x1", coordinate(x1)},
                        {"y1", coordinate(y1)},
                        {"x2", coordinate(x2)},
                        {"y2", coordinate(y2)},
                        {"class", style}});
}

void open_svg(Markup& page, const Frame& frame, const std::string& title) {
  page.open("svg", {{"viewBox", cat("0 0 ", frame.width, " ", frame.height)}, {"role", "img"}, {"aria-label", title}});
}

void y_axis(Markup& page, const Frame& frame, const Axis& axis, const std::string& label) {
  for (const double tick : axis.ticks) {
    const double y = axis.pixel(tick);
    svg_line(page, frame.left, y, frame.width - frame.right, y, "grid");
    svg_text(page, frame.left - 6, y + 4.5, "end", axis.label(tick));
  }
  svg_text(page, 2, 15, "start", label);
}

void x_label(Markup& page, const Frame& frame, const std::string& label) {
  svg_text(page, frame.width - frame.right, frame.height - 6, "end", label);
}

/// Draws a point. The series differ in shape as well as in colour.
void marker(Markup& page, std::size_t series, double x, double y, const std::string& tooltip) {
  constexpr double r = 3.6;
  const std::string style = "dot " + colour(series);
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += coordinate(x + dx) + "," + coordinate(y + dy) + " ";
    page.open("polygon", {{"points", points}, {"class", style}});
  };
  switch (series % 4) {
    case 0:
      page.open("circle", {{"cx", coordinate(x)}, {"cy", coordinate(y)}, {"r", coordinate(r)}, {"class", style}});
      break;
    case 1:
      polygon({{-r, -r}, {r, -r}, {r, r}, {-r, r}});
      break;
    case 2:
      polygon({{0, -r - 1}, {r + 1, r}, {-r - 1, r}});
      break;
    default:
      polygon({{0, -r - 1.4}, {r + 1.4, 0}, {0, r + 1.4}, {-r - 1.4, 0}});
  }
  if (!tooltip.empty()) page.element("title", {}, tooltip);
  page.close();
}

struct LegendEntry {
  std::string name;
  std::size_t skipped = 0;
};

void legend(Markup& page, const std::string& title, const std::vector<LegendEntry>& entries, bool markers) {
  page.open("figcaption");
  page.element("b", {}, title);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    page.open("span", {{"class", "key"}}).open("svg", {{"viewBox", "0 0 18 12"}, {"aria-hidden", "true"}});
    if (markers) {
      svg_line(page, 0, 6, 18, 6, ("line " + colour(i)).c_str());
      marker(page, i, 9, 6, "");
    } else {
      page.element("rect", {{"x", "3"}, {"y", "0"}, {"width", "12"}, {"height", "12"}, {"class", "dot " + colour(i)}});
    }
    page.close().text(entries[i].name);
    if (entries[i].skipped > 0) {
      const char* noun = entries[i].skipped == 1 ? " point" : " points";
      page.element("small", {}, cat(" (", entries[i].skipped, noun, " without a drawable value left out)"));
    }
    page.close();
  }
  page.close();
}

/// Keeps the lowest and the highest point of each column of neighbours, in their order, so that no spike is lost.
Points thinned(const Points& points) {
  if (points.size() <= 2 * kMostColumns) return points;
  Points out;
  for (std::size_t column = 0; column < kMostColumns; ++column) {
    const auto begin = points.begin() + static_cast<std::ptrdiff_t>(column * points.size() / kMostColumns);
    const auto end = points.begin() + static_cast<std::ptrdiff_t>((column + 1) * points.size() / kMostColumns);
    auto [low, high] = std::minmax_element(begin, end, [](auto& a, auto& b) { return a.second < b.second; });
    if (high < low) std::swap(low, high);
    out.push_back(*low);
    if (high != low) out.push_back(*high);
  }
  return out;
}

void draw_series(Markup& page, const Series& series, std::size_t index, const Points& points, const Axis& x,
                 const Axis& y) {
  std::string path;
  for (const auto& [px, py] : thinned(points)) {
    path += cat(path.empty() ? "M" : "L", coordinate(x.pixel(px)), " ", coordinate(y.pixel(py)));
  }
  if (points.size() > 1) page.element("path", {{"d", path}, {"class", "line " + colour(index)}});
  const std::size_t stride = (points.size() + kMostMarkers - 1) / kMostMarkers;
  for (std::size_t i = 0; i < points.size(); i += stride) {
    const std::string tooltip = cat(series.name, ": ", number(points[i].first, 6), ", ", number(points[i].second, 5));
    const double px = x.pixel(points[i].first), py = y.pixel(points[i].second);
    if (points.size() <= kMostMarkers) {
      marker(page, index, px, py, tooltip);
    } else {
      page.open("circle", {{"cx", coordinate(px)}, {"cy", coordinate(py)}, {"r", "6"}, {"class", "hover"}});
      page.element("title", {}, tooltip).close();
    }
  }
}

void nothing_to_draw(Markup& page) {
  page.element("p", {{"class", "note"}}, "No value that can be drawn.");
}

void x_ticks(Markup& page, const Frame& frame, const Axis& x) {
  for (const double tick : x.ticks) {
    svg_text(page, x.pixel(tick), frame.height - frame.bottom + 20, "middle", x.label(tick));
  }
}

}  // namespace

std::vector<double> nice_ticks(double low, double high, int count) {
  if (high < low) std::swap(low, high);
  const double room = std::max(std::max(std::abs(low), std::abs(high)) * 1e-9, 1 / kLimit);
  if (high - low <= room) {
    const double pad = std::abs(high) <= room ? 0.5 : std::max(std::abs(low), std::abs(high)) * 0.05;
    low -= pad, high += pad;
  }
  const double rough = (high - low) / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double lead = rough / power;
  const double step = power * (lead <= 1.0000001 ? 1 : lead <= 2.0000001 ? 2 : lead <= 5.0000001 ? 5 : 10);
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> ticks;
  for (int i = 0; i <= static_cast<int>(last - first); ++i) ticks.push_back((first + i) * step);
  return ticks;
}

std::vector<double> log_ticks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
  const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
  std::vector<double> ticks;
  if (std::log10(high / low) > 2.5) {
    const int stride = (last - first + 6) / 7;
    for (int e = first; e < last + stride; e += stride) ticks.push_back(std::pow(10.0, e));
    return ticks;
  }
  for (int e = first; e <= last + 1; ++e) {
    for (const double lead : {1.0, 2.0, 5.0}) ticks.push_back(lead * std::pow(10.0, e));
  }
  while (ticks.size() > 2 && ticks[1] <= low * (1 + 1e-9)) ticks.erase(ticks.begin());
  while (ticks.size() > 2 && ticks[ticks.size() - 2] >= high * (1 - 1e-9)) ticks.pop_back();
  return ticks;
}

std::string tick_label(double value, double step) {
  const double size = std::abs(value), gap = std::abs(step);
  if (size < gap * 1e-6 || value == 0) return "0";
  if (size >= 1e6 || gap < 1e-4) return number(value, 4);
  if (size >= 1e4 && gap >= 100) return number(value / 1000, 4) + "k";
  const int decimals = gap >= 1 ? 0 : static_cast<int>(std::ceil(-std::log10(gap) - 1e-9));
  return fixed(value, decimals);
}

void line_chart(Markup& page, const Chart& chart) {
  std::vector<Points> kept;
  std::vector<LegendEntry> entries;
  Range xs, ys;
  for (const Series& series : chart.series) {
    Points& points = kept.emplace_back();
    for (const auto& [x, y] : series.points) {
      if (!drawable(x, false) || !drawable(y, chart.log_y)) continue;
      points.emplace_back(x, y);
      xs.add(x), ys.add(y);
    }
    entries.push_back({series.name, series.points.size() - points.size()});
  }
  page.open("figure", {{"class", "chart"}});
  legend(page, chart.title, entries, true);
  if (xs.empty()) {
    nothing_to_draw(page);
    page.close();
    return;
  }
  if (!chart.log_y && ys.low > 0 && ys.low < 0.5 * ys.high) ys.add(0);
  const Frame frame;
  const double bottom = frame.height - frame.bottom;
  const Axis x = fitted_axis(xs, frame.left, frame.width - frame.right);
  const Axis y =
      chart.log_y ? fitted_log_axis(ys, bottom, frame.top) : make_axis(nice_ticks(ys.low, ys.high), bottom, frame.top);
  open_svg(page, frame, chart.title);
  y_axis(page, frame, y, chart.log_y ? chart.y_label + " (log scale)" : chart.y_label);
  svg_line(page, frame.left, bottom, frame.width - frame.right, bottom, "axis");
  x_ticks(page, frame, x);
  x_label(page, frame, chart.x_label);
  for (std::size_t i = 0; i < kept.size(); ++i) draw_series(page, chart.series[i], i, kept[i], x, y);
  page.close().close();
}

void bar_chart(Markup& page, const BarChart& chart) {
  std::vector<LegendEntry> entries;
  Range ys;
  for (const BarChart::Bars& bars : chart.bars) {
    entries.push_back({bars.name});
    for (const double value : bars.values) {
      if (drawable(value, false)) ys.add(value);
    }
  }
  const bool wide = chart.categories.size() > 10;
  page.open("figure", {{"class", wide ? "chart wide" : "chart"}});
  legend(page, chart.title, entries, false);
  if (ys.empty() || chart.categories.empty()) {
    nothing_to_draw(page);
    page.close();
    return;
  }
  ys.add(0);
  Frame frame;
  if (wide) frame.width = 940;
  const Axis y = make_axis(nice_ticks(ys.low, ys.high), frame.height - frame.bottom, frame.top);
  page.open("div", {{"class", "scroll"}});
  open_svg(page, frame, chart.title);
  y_axis(page, frame, y, chart.y_label);
  const double slot = (frame.width - frame.left - frame.right) / static_cast<double>(chart.categories.size());
  const double bar = 0.8 * slot / static_cast<double>(chart.bars.size());
  std::size_t longest = 1;
  for (const std::string& category : chart.categories) longest = std::max(longest, category.size());
  const auto every = static_cast<std::size_t>(std::ceil((static_cast<double>(longest) * 8 + 4) / slot));
  for (std::size_t c = 0; c < chart.categories.size(); ++c) {
    const double left = frame.left + slot * static_cast<double>(c);
    if (c % every == 0) {
      svg_text(page, left + slot / 2, frame.height - frame.bottom + 20, "middle", chart.categories[c]);
    }
    for (std::size_t b = 0; b < chart.bars.size(); ++b) {
      if (c >= chart.bars[b].values.size() || !drawable(chart.bars[b].values[c], false)) continue;
      const double value = chart.bars[b].values[c];
      const double top = std::min(y.pixel(value), y.pixel(0)), height = std::abs(y.pixel(value) - y.pixel(0));
      page.open("rect", {{"x", coordinate(left + 0.1 * slot + bar * static_cast<double>(b))},
                         {"y", coordinate(top)},
                         {"width", coordinate(bar)},
                         {"height", coordinate(height)},
                         {"class", "dot " + colour(b)}});
      page.element("title", {}, cat(chart.categories[c], ", ", chart.bars[b].name, ": ", number(value, 4))).close();
    }
  }
  svg_line(page, frame.left, y.pixel(0), frame.width - frame.right, y.pixel(0), "axis");
  x_label(page, frame, chart.x_label);
  page.close().close().close();
}

}  // namespace rehyat::report
