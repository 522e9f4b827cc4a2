#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace rehyat {

/// Progress of long work with an estimate of the time left: a bar on a terminal, a line now and then in a log.
class Progress {
 public:
  /// `total` in `unit`s ("clips", "steps"); `done` were finished by an earlier run and do not count for the speed.
  Progress(std::string title, std::int64_t total, std::string unit, std::int64_t done = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(std::int64_t by = 1, const std::string& note = "");
  /// Counts without drawing, where the caller writes lines of its own.
  void count(std::int64_t by = 1) { done_ += by; }
  /// Ends the bar and prints the closing line with the time taken.
  void finish(const std::string& note = "");

  double seconds() const;       ///< since the start
  double seconds_left() const;  ///< estimate; 0 when nothing is known

 private:
  using Clock = std::chrono::steady_clock;
  void draw(bool last, const std::string& note);

  std::string title_, unit_;
  std::int64_t total_, done_, first_;
  Clock::time_point start_, drawn_;
  bool finished_ = false;
};

}  // namespace rehyat
