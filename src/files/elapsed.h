#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

namespace rehyat {

/// The time that work has taken over all its starts. A small file keeps it, which is written every few seconds and at
/// the end, so that a killed start loses a few seconds at most.
class ElapsedTime {
 public:
  /// Goes on from what the file says, if it is there and whole. Its folder must exist, and no other process may be at
  /// work in it: what a killed start left half-written there is removed.
  explicit ElapsedTime(std::filesystem::path file, std::chrono::milliseconds interval = std::chrono::seconds(5));
  ~ElapsedTime();
  ElapsedTime(const ElapsedTime&) = delete;
  ElapsedTime& operator=(const ElapsedTime&) = delete;

  double seconds() const;

 private:
  void save() noexcept;

  std::filesystem::path file_;
  double before_ = 0;
  std::chrono::steady_clock::time_point start_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool end_ = false;
  std::thread thread_;
};

}  // namespace rehyat
