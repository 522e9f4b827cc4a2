#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rehyat {

/// Progress of long work with an estimate of the time left: a bar on a terminal, and a line now and then in the log
/// (on a terminal: in its files).
class Progress {
 public:
  /// `total` in `unit`s ("clips", "steps"); `done` were finished by an earlier run and do not count for the speed.
  /// `between_lines`: the least time from one line of the log to the next.
  Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done = 0,
           std::chrono::milliseconds between_lines = std::chrono::seconds(20));
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t by = 1, const std::string& note = "");
  /// Counts and draws the bar of a terminal, where the caller writes lines of its own.
  void show(std::int64_t by = 1, const std::string& note = "");
  /// Ends the bar and prints the closing line with the time taken.
  void finish(const std::string& note = "");

  double seconds() const;       ///< since the start
  double seconds_left() const;  ///< estimate; 0 when nothing is known

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(bool last, const std::string& note) const;
  void draw(const std::string& text) const;

  std::string title_, unit_;
  std::int64_t total_, done_, first_;
  std::chrono::milliseconds between_lines_;
  Clock::time_point start_, drawn_, logged_;
  bool finished_ = false;
};

}  // namespace rehyat
