#include "core/progress.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/log.h"
#include "core/units.h"

namespace rehyat {
namespace {

constexpr auto kBarInterval = std::chrono::milliseconds(100);

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

Progress::Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done,
                   std::chrono::milliseconds between_lines)
    : title_(std::move(title)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      first_(done),
      between_lines_(between_lines),
      start_(Clock::now()),
      drawn_(start_),
      logged_(start_) {}

Progress::~Progress() {
  if (!finished_ && log::interactive()) log::end_bar();
}

double Progress::seconds() const {
  return seconds_between(start_, Clock::now());
}

double Progress::seconds_left() const {
  const std::int64_t ours = done_ - first_;
  return ours > 0
             ? seconds() / static_cast<double>(ours) * static_cast<double>(std::max<std::int64_t>(total_ - done_, 0))
             : 0;
}

void Progress::show(std::int64_t by, const std::string& note) {
  done_ += by;
  const auto now = Clock::now();
  if (!log::interactive() || now - drawn_ < kBarInterval) return;
  drawn_ = now;
  draw(line(false, note));
}

void Progress::advance(std::int64_t by, const std::string& note) {
  show(by, note);
  const auto now = Clock::now();
  if (now - logged_ < between_lines_) return;
  logged_ = now;
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
  draw(text);
  log::end_bar();
  log::record(text);
}

std::string Progress::line(bool last, const std::string& note) const {
  const double elapsed = seconds();
  const double rate = elapsed > 0 ? static_cast<double>(done_ - first_) / elapsed : 0;
  std::ostringstream text;
  text.precision(3);
  text << title_ << ": " << done_ << '/' << total_ << ' ' << unit_;
  if (rate > 0) text << ", " << rate << ' ' << unit_ << "/s";
  text << ", " << human_seconds(elapsed);
  if (!last && rate > 0) text << ", " << human_seconds(seconds_left()) << " left";
  if (!note.empty()) text << ", " << note;
  return text.str();
}

void Progress::draw(const std::string& text) const {
  constexpr std::int64_t kWidth = 24;
  const std::int64_t filled = total_ > 0 ? std::clamp<std::int64_t>(done_ * kWidth / total_, 0, kWidth) : kWidth;
  log::draw_bar('[' + std::string(static_cast<std::size_t>(filled), '#') +
                std::string(static_cast<std::size_t>(kWidth - filled), '.') + "] " + text);
}

}  // namespace rehyat
