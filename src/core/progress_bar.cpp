#include "core/progress_bar.h"

#include <algorithm>

#include "core/strings.h"
#include "core/terminal.h"
#include "core/utf8.h"

namespace rehyat {
namespace {

constexpr std::size_t kGauge = 10, kLongestGauge = 24, kColumnsForGauge = 60;

/// "[####....] " of so many characters between the brackets; nothing of none.
std::string gauge(std::int64_t done, std::int64_t total, std::size_t width) {
  if (width == 0) return "";
  const double share = total > 0 ? std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0) : 1;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  return cat('[', std::string(filled, '#'), std::string(width - filled, '.'), "] ");
}

/// The title and the count where they stand alone.
std::string cut_head(const std::string& title, const std::string& count, std::size_t columns) {
  const std::string behind = ": " + count;
  const std::size_t taken = columns_of(behind);
  if (taken >= columns) return std::string(first_columns(count, columns));
  return cat(first_columns(title, columns - taken), behind);
}

}  // namespace

std::string ProgressBar::in_columns(std::size_t columns) const {
  const std::string count = cat(done, '/', total), name = printable(title);
  std::size_t width = columns >= kColumnsForGauge ? kGauge : 0;
  const std::size_t taken_by_head = columns_of(cat(gauge(done, total, width), name, ": ", count));
  if (taken_by_head > columns) return cut_head(name, count, columns);
  std::size_t free = columns - taken_by_head;

  // Parts in the order in which they are given room; they are shown in another.
  std::vector<std::string> kept_remarks;
  std::string shown_unit, shown_left, shown_taken, shown_rate;
  const auto take = [&free](const std::string& text, std::string& out, std::size_t separator) {
    const std::string line = printable(text);
    const std::size_t needed = columns_of(line) + separator;
    if (line.empty()) return true;
    if (needed > free) return false;
    free -= needed;
    out = line;
    return true;
  };
  bool all = take(unit, shown_unit, 1) && take(left, shown_left, 2);
  for (const std::string& remark : remarks) {
    std::string shown;
    all = all && take(remark, shown, 2);
    if (!shown.empty()) kept_remarks.push_back(shown);
  }
  all = all && take(taken, shown_taken, 2);
  if (all) take(rate, shown_rate, 2);

  if (width > 0) width = std::min(kLongestGauge, width + free);
  std::string text = cat(gauge(done, total, width), name, ": ", count);
  if (!shown_unit.empty()) text += ' ' + shown_unit;
  for (const std::string* part : {&shown_rate, &shown_taken, &shown_left}) {
    if (!part->empty()) text += ", " + *part;
  }
  for (const std::string& remark : kept_remarks) text += ", " + remark;
  return text;
}

}  // namespace rehyat
