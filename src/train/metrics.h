#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rehyat::train {

/// Scalars as a TensorBoard event file (TFRecords of Event protobufs, encoded by hand: three message types).
class EventFile {
 public:
  /// `purge_from`: TensorBoard drops what earlier files of the folder say from this step on.
  EventFile(const std::filesystem::path& folder, std::int64_t purge_from);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;
  /// Throws UserError when the file cannot be written.
  void scalar(const std::string& tag, double value, std::int64_t step);

 private:
  void record(const std::string& event);
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

/// CRC-32C of the data, and the masked form of TFRecords.
std::uint32_t crc32c(const std::string& data);
std::uint32_t masked_crc32c(const std::string& data);

/// metrics.jsonl, one object a line in the order of the steps, plus the event file. Steps count from 1, as in the log.
/// A resumed run drops the lines of steps that it will take again, and does not repeat a measurement of the last step
/// that the file has already.
class Metrics {
 public:
  /// `done`: steps that are done and not taken again; 0 starts anew.
  Metrics(const std::filesystem::path& folder, std::int64_t done);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;
  /// `values` needs a key "step". Throws UserError when it cannot be written.
  void write(const nlohmann::ordered_json& values, const std::string& group);

 private:
  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
  std::int64_t last_step_ = 0;             ///< the last step of the earlier runs
  std::vector<std::string> last_written_;  ///< the keys of its lines, which tell measurements apart
  std::unique_ptr<EventFile> events_;
};

}  // namespace rehyat::train
