#include "train/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "files/protobuf.h"

namespace rehyat::train {
namespace {

std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78U : 0U);
    table[i] = value;
  }
  return table;
}

template <typename T>
void put_raw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::FILE* open_for(const std::filesystem::path& path, const char* mode) {
  std::FILE* file = std::fopen(path.c_str(), mode);
  if (file == nullptr)
    throw UserError(cat(path.string(), ": cannot be written: ", system_reason(errno, Access::write)));
  return file;
}

void write_now(const std::string& data, std::FILE* file, const std::filesystem::path& path) {
  const bool written = std::fwrite(data.data(), 1, data.size(), file) == data.size() && std::fflush(file) == 0;
  require(written, [&] {
    return cat(path.string(), ": cannot be written: ", system_reason(errno, Access::write),
               "; start the same command again once it can");
  });
}

std::string keys_of(const nlohmann::ordered_json& values) {
  std::string keys;
  for (const auto& item : values.items()) keys += item.key() + '\n';
  return keys;
}

}  // namespace

std::uint32_t crc32c(const std::string& data) {
  static const auto table = make_crc_table();
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : data) crc = (crc >> 8) ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return crc ^ 0xFFFFFFFFU;
}

std::uint32_t masked_crc32c(const std::string& data) {
  const std::uint32_t crc = crc32c(data);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

EventFile::EventFile(const std::filesystem::path& folder, std::int64_t purge_from)
    : path_(folder /
            cat("events.out.tfevents.", static_cast<long long>(now()), ".rehyat.", ::getpid(), '.', purge_from)) {
  file_ = open_for(path_, "wb");
  record(protobuf::Writer().real64(1, now()).bytes(3, "brain.Event:2").data());
  if (purge_from <= 0) return;
  const protobuf::Writer session = protobuf::Writer().integer(1, 1);  // SessionLog.START
  record(protobuf::Writer()
             .real64(1, now())
             .integer(2, static_cast<std::uint64_t>(purge_from))
             .bytes(7, session.data())
             .data());
}

EventFile::~EventFile() {
  std::fclose(file_);
}

void EventFile::scalar(const std::string& tag, double value, std::int64_t step) {
  const protobuf::Writer item = protobuf::Writer().bytes(1, tag).real32(2, static_cast<float>(value));
  const protobuf::Writer summary = protobuf::Writer().bytes(1, item.data());
  record(
      protobuf::Writer().real64(1, now()).integer(2, static_cast<std::uint64_t>(step)).bytes(5, summary.data()).data());
}

void EventFile::record(const std::string& event) {
  std::string length, out;
  put_raw(length, static_cast<std::uint64_t>(event.size()));
  out = length;
  put_raw(out, masked_crc32c(length));
  out += event;
  put_raw(out, masked_crc32c(event));
  write_now(out, file_, path_);
}

Metrics::Metrics(const std::filesystem::path& folder, std::int64_t done)
    : path_(folder / "metrics.jsonl"), last_step_(done) {
  std::string earlier;
  if (done > 0 && std::filesystem::exists(path_)) {
    std::istringstream lines(read_file(path_));
    for (std::string line; std::getline(lines, line);) {
      const auto values = parse_json_if(line).value_or(nlohmann::ordered_json());  // a killed run may leave half a line
      const auto step = values.is_object() ? values.find("step") : values.end();
      if (step == values.end() || !step->is_number_integer() || *step > done) continue;
      earlier += line + "\n";
      if (*step == last_step_) last_written_.push_back(keys_of(values));
    }
  }
  write_file_atomic(path_, earlier);
  file_ = open_for(path_, "ab");
  // Also at the start: a run that was killed before its first checkpoint has left events too.
  events_ = std::make_unique<EventFile>(folder, done + 1);
}

Metrics::~Metrics() {
  if (file_ != nullptr) std::fclose(file_);
}

void Metrics::write(const nlohmann::ordered_json& values, const std::string& group) {
  const auto step = values.at("step").get<std::int64_t>();
  if (step == last_step_ && std::count(last_written_.begin(), last_written_.end(), keys_of(values)) > 0) return;
  const std::string line = values.dump() + "\n";
  write_now(line, file_, path_);
  for (const auto& [key, value] : values.items()) {
    if (key != "step" && value.is_number()) events_->scalar(group + "/" + key, value.get<double>(), step);
  }
}

}  // namespace rehyat::train
