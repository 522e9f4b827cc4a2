#include <cstring>
#include <map>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "inspect/files.h"
#include "train/metrics.h"

namespace rehyat::inspect {
namespace {

using json = nlohmann::ordered_json;

template <typename Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// The fields of one protobuf message; what runs over its end is an error.
class Message {
 public:
  explicit Message(std::string_view bytes) : bytes_(bytes) {}

  struct Field {
    std::uint64_t number = 0, value = 0;  ///< value: of a varint or fixed field
    std::string_view bytes;               ///< of a field with a length
  };
  /// False at the end and after an error, which `damaged` tells.
  bool next(Field& out) {
    if (at_ >= bytes_.size() || damaged_) return false;
    const std::uint64_t key = varint();
    out.number = key >> 3;
    const std::uint64_t type = key & 7;
    if (type == 0) {
      out.value = varint();
    } else if (type == 2) {
      out.bytes = take(varint());
    } else if (type == 5 || type == 1) {
      const std::string_view raw = take(type == 5 ? 4 : 8);
      if (!damaged_) out.value = type == 5 ? number_at<std::uint32_t>(raw, 0) : number_at<std::uint64_t>(raw, 0);
    } else {
      damaged_ = true;
    }
    return !damaged_;
  }
  bool damaged() const { return damaged_; }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ >= bytes_.size()) break;
      const auto byte = static_cast<unsigned char>(bytes_[at_++]);
      value |= static_cast<std::uint64_t>(byte & 127U) << shift;
      if (byte < 128) return value;
    }
    damaged_ = true;
    return 0;
  }
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_) damaged_ = true;
    if (damaged_) return {};
    const std::string_view out = bytes_.substr(at_, size);
    at_ += size;
    return out;
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  bool damaged_ = false;
};

struct Scalars {
  std::map<std::string, double> last;
  std::int64_t first_step = -1, last_step = -1;
};

/// Event {step 2, summary 5 {value 1 {tag 1, simple_value 2}}}.
bool read_event(std::string_view bytes, Scalars& out) {
  Message event(bytes);
  std::int64_t step = 0;
  bool has_values = false;
  for (Message::Field field; event.next(field);) {
    if (field.number == 2) step = static_cast<std::int64_t>(field.value);
    if (field.number != 5) continue;
    Message summary(field.bytes);
    for (Message::Field value; summary.next(value);) {
      Message scalar(value.bytes);
      std::string tag;
      for (Message::Field part; scalar.next(part);) {
        if (part.number == 1) tag = part.bytes;
        if (part.number != 2) continue;
        const auto raw = static_cast<std::uint32_t>(part.value);
        float number;
        std::memcpy(&number, &raw, sizeof number);
        out.last[tag] = static_cast<double>(number);
        has_values = true;
      }
      if (scalar.damaged()) return false;
    }
    if (summary.damaged()) return false;
  }
  if (has_values && out.first_step < 0) out.first_step = step;
  if (has_values) out.last_step = step;
  return !event.damaged();
}

}  // namespace

json inspect_events(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  Scalars scalars;
  std::int64_t records = 0;
  std::size_t at = 0;
  // Each record: length, its CRC, the data, their CRC.
  while (at < file.size()) {
    const auto damaged = [&](const char* what) {
      return cat(path.string(), ": byte ", at, ", record ", records, ": found ", what,
                 ", expected a whole record; a killed run leaves the last one cut off");
    };
    require(file.size() - at >= 12, [&] { return damaged("the end of the file"); });
    const auto size = number_at<std::uint64_t>(file, at);
    require(train::masked_crc32c(file.substr(at, 8)) == number_at<std::uint32_t>(file, at + 8),
            [&] { return damaged("a length with another checksum"); });
    require(size <= file.size() - at - 12 && file.size() - at - 12 - size >= 4,
            [&] { return damaged("the end of the file"); });
    const std::string data = file.substr(at + 12, size);
    require(train::masked_crc32c(data) == number_at<std::uint32_t>(file, at + 12 + size),
            [&] { return damaged("data with another checksum"); });
    require(read_event(data, scalars), [&] { return damaged("text that is no event"); });
    at += 16 + size;
    ++records;
  }
  json tags = json::array();
  for (const auto& [tag, value] : scalars.last) tags.push_back({{"tag", tag}, {"last", value}});
  return {{"type", "event file"},           {"records", records},
          {"checksums", "verified"},        {"first_step", scalars.first_step},
          {"last_step", scalars.last_step}, {"scalars", tags}};
}

}  // namespace rehyat::inspect
