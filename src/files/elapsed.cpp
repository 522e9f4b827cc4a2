#include "files/elapsed.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat {

ElapsedTime::ElapsedTime(std::filesystem::path file, std::chrono::milliseconds interval)
    : file_(std::move(file)), start_(std::chrono::steady_clock::now()) {
  remove_leftovers(file_.parent_path());
  if (std::filesystem::exists(file_)) {
    const auto found = parse_json_if(read_file(file_, 1 << 16)).value_or(nlohmann::ordered_json());
    const bool whole = found.is_object() && found.contains("seconds") && found["seconds"].is_number();
    if (whole && std::isfinite(found["seconds"].get<double>()) && found["seconds"] >= 0) before_ = found["seconds"];
  }
  thread_ = std::thread([this, interval] {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, interval, [this] { return end_; })) save();
  });
}

ElapsedTime::~ElapsedTime() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  wake_.notify_one();
  thread_.join();
  save();
}

double ElapsedTime::seconds() const {
  return before_ + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void ElapsedTime::save() noexcept {
  try {
    write_file_atomic(file_, nlohmann::json({{"seconds", seconds()}}).dump() + "\n");
  } catch (const std::exception& error) {
    // A clock is no reason to end the work that it measures.
    log::warn("the time taken is not saved: ", error.what());
  }
}

}  // namespace rehyat
