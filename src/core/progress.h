#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/progress_bar.h"

namespace rehyat {

/// When a log gets its next line about work that goes on: after pauses that grow by a third each, up to ten minutes, so
/// that work of a minute and work of a week both leave a log that can be read.
class GrowingPauses {
 public:
  explicit GrowingPauses(double first_seconds) : pause_(first_seconds) {}
  /// Whether the pause is over `seconds` after the start; if so, the next one begins.
  bool over(double seconds);

 private:
  double pause_;
  double last_ = 0;  ///< when the present pause began
};

/// Progress of long work with an estimate of the time left: a bar on a terminal, and a line now and then in the log
/// (on a terminal: in its files).
class Progress {
 public:
  /// `total` in `unit`s ("clips", "steps"); `done` were finished by an earlier run and do not count for the speed.
  /// `first_pause`: the time to the first line of the log; the later ones come after growing pauses.
  Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done = 0,
           std::chrono::milliseconds first_pause = std::chrono::seconds(20));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `note`: what else there is to say, in parts between ", ", the most important first.
  void advance(std::int64_t by = 1, const std::string& note = "");
  /// Counts and draws the bar of a terminal, where the caller writes lines of its own.
  void show(std::int64_t by = 1, const std::string& note = "");
  /// Ends the bar and prints the closing line with the time taken.
  void finish(const std::string& note = "");

  double seconds() const;       ///< since the start
  double seconds_left() const;  ///< estimate; 0 when nothing is known

 private:
  using Clock = std::chrono::steady_clock;
  ProgressBar bar(bool last, const std::string& note) const;
  std::string line(bool last, const std::string& note) const;

  std::string title_, unit_;
  std::int64_t total_, done_;
  std::int64_t done_before_;  ///< by an earlier run
  GrowingPauses pauses_;
  Clock::time_point start_, drawn_;
  bool finished_ = false;
};

}  // namespace rehyat
