#include "core/progress.h"

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/strings.h"
#include "core/units.h"

namespace rehyat {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr double kLongestPause = 600;  // seconds
constexpr double kGrowth = 4.0 / 3;    // from one pause to the next

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

bool GrowingPauses::over(double seconds) {
  if (seconds - last_ < pause_) return false;
  last_ = seconds;
  pause_ = std::min(pause_ * kGrowth, std::max(pause_, kLongestPause));
  return true;
}

Progress::Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done,
                   std::chrono::milliseconds first_pause)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      done_before_(done),
      pauses_(std::chrono::duration<double>(first_pause).count()),
      start_(Clock::now()),
      drawn_(start_) {}

Progress::~Progress() {
  if (!finished_ && log::interactive()) log::end_bar();
}

double Progress::seconds() const {
  return seconds_between(start_, Clock::now());
}

double Progress::seconds_left() const {
  const std::int64_t done_here = done_ - done_before_;
  return done_here > 0 ? seconds() / static_cast<double>(done_here) *
                             static_cast<double>(std::max<std::int64_t>(total_ - done_, 0))
                       : 0;
}

void Progress::show(std::int64_t by, const std::string& note) {
  done_ += by;
  const auto now = Clock::now();
  if (!log::interactive() || now - drawn_ < kBarInterval) return;
  drawn_ = now;
  log::draw_bar(bar(false, note));
}

void Progress::advance(std::int64_t by, const std::string& note) {
  show(by, note);
  if (!pauses_.over(seconds())) return;
  log::interactive() ? log::record(line(false, note)) : log::info(line(false, note));
}

void Progress::finish(const std::string& note) {
  if (finished_) return;
  finished_ = true;
  const std::string text = line(true, note);
  if (!log::interactive()) {
    log::info(text);
    return;
  }
  log::draw_bar(bar(true, note));
  log::end_bar();
  log::record(text);
}

ProgressBar Progress::bar(bool last, const std::string& note) const {
  ProgressBar out{title_, unit_, done_, total_, "", human_seconds(seconds()), "", {}};
  const double rate = seconds() > 0 ? static_cast<double>(done_ - done_before_) / seconds() : 0;
  if (rate > 0) out.rate = cat(human_number(rate, 3), ' ', unit_, "/s");
  if (!last && rate > 0) out.left = human_seconds(seconds_left()) + " left";
  for (std::size_t at = 0; at < note.size();) {
    const std::size_t end = std::min(note.find(", ", at), note.size());
    out.remarks.push_back(note.substr(at, end - at));
    at = end + 2;
  }
  return out;
}

std::string Progress::line(bool last, const std::string& note) const {
  const ProgressBar all = bar(last, note);
  std::string text = cat(all.title, ": ", all.done, '/', all.total, ' ', all.unit);
  for (const std::string* part : {&all.rate, &all.taken, &all.left, &note}) {
    if (!part->empty()) text += ", " + *part;
  }
  return text;
}

}  // namespace rehyat
