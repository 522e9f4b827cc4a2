#include <cstring>
#include <map>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/atomic_file.h"
#include "files/protobuf.h"
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

struct Scalars {
  std::map<std::string, double> last;
  std::int64_t first_step = -1, last_step = -1;
};

/// Event {step 2, summary 5 {value 1 {tag 1, simple_value 2}}}.
void read_event(protobuf::Reader event, Scalars& out) {
  std::int64_t step = 0;
  bool has_values = false;
  while (const auto field = event.next()) {
    if (field->number == 2) step = field->integer();
    if (field->number != 5) continue;
    protobuf::Reader summary = event.inside(*field);
    while (const auto value = summary.next()) {
      protobuf::Reader scalar = summary.inside(*value);
      std::string tag;
      while (const auto part = scalar.next()) {
        if (part->number == 1) tag = part->bytes;
        if (part->number != 2) continue;
        out.last[tag] = static_cast<double>(part->real32());
        has_values = true;
      }
    }
  }
  if (has_values && out.first_step < 0) out.first_step = step;
  if (has_values) out.last_step = step;
}

}  // namespace

json inspect_events(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  Scalars scalars;
  std::int64_t records = 0;
  std::size_t at = 0;
  // Each record: length, its CRC, the data, their CRC.
  while (at < file.size()) {
    const std::string where = cat(path.string(), ": byte ", at, ", record ", records);
    const char* hint = "a killed run leaves the last one cut off";
    const auto damaged = [&](const char* what) { return to_sentence({where, what, "a whole record", hint}); };
    require(file.size() - at >= 12, [&] { return damaged("the end of the file"); });
    const auto size = number_at<std::uint64_t>(file, at);
    require(train::masked_crc32c(file.substr(at, 8)) == number_at<std::uint32_t>(file, at + 8),
            [&] { return damaged("a length with another checksum"); });
    require(size <= file.size() - at - 12 && file.size() - at - 12 - size >= 4,
            [&] { return damaged("the end of the file"); });
    const std::string data = file.substr(at + 12, size);
    require(train::masked_crc32c(data) == number_at<std::uint32_t>(file, at + 12 + size),
            [&] { return damaged("data with another checksum"); });
    read_event(protobuf::Reader(data, {where, "an event", hint}), scalars);
    at += 16 + size;
    ++records;
  }
  json tags = json::array();
  for (const auto& [tag, value] : scalars.last) tags.push_back({{"tag", printable(tag)}, {"last", value}});
  return {{"type", "event file"},           {"records", records},
          {"checksums", "verified"},        {"first_step", scalars.first_step},
          {"last_step", scalars.last_step}, {"scalars", tags}};
}

}  // namespace rehyat::inspect
