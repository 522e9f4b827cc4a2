#include "files/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "files/file_format.h"
#include "files/json.h"

namespace rehyat::safetensors {
namespace {

constexpr std::uint64_t kLengthBytes = 8, kLargestHeader = 100'000'000;

using json = nlohmann::ordered_json;

/// Names of one file: the largest models shipped have some ten thousand tensors a file.
constexpr std::size_t kMostTensors = 200'000;

/// The format asks for a JSON object right behind the length, filled up with spaces.
json parse_header(const std::string& where, std::string_view text) {
  std::string_view body = text;
  while (body.ends_with(' ')) body.remove_suffix(1);
  require(body.ends_with('}'), [&] {
    return where +
           ": found a header that does not end with '}' and spaces, expected a JSON object; the header is not "
           "JSON or was altered; check that the download is complete";
  });
  JsonLimits limits;
  limits.depth = 8;
  limits.members = kMostTensors;
  limits.values = 24 * kMostTensors;  // a tensor of 16 dimensions has 22
  limits.what = "a safetensors header";
  limits.hint = "check that the download is complete";
  return parse_json(body, where + ": header", limits);
}

/// A value of the file for a message.
std::string brief(const json& value) {
  if (value.is_structured() && value.size() > 32) return cat("a ", value.type_name(), " of ", value.size());
  if (value.is_string()) return '"' + excerpt(value.get_ref<const std::string&>()) + '"';
  return excerpt(value.dump());
}

std::uint64_t offset_of(const json& value, const std::string& where) {
  require(value.is_number_unsigned(),
          [&] { return cat(where, ": found the offset ", brief(value), ", expected a whole number >= 0"); });
  return value.get<std::uint64_t>();
}

std::string no_byte_count(DType dtype, const std::vector<std::int64_t>& shape) {
  return cat(": found the shape ", shape_string(shape), " of ", name_of(dtype),
             ", whose bytes overflow 64 bits or are no whole number");
}

TensorInfo parse_tensor(const std::string& path, const std::string& name, const json& value) {
  const std::string where = path + ": tensor '" + excerpt(name) + "'";
  TensorInfo info;
  info.name = name;
  require(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
              value.contains("data_offsets"),
          [&] { return where + ": found other keys than dtype, shape and data_offsets, expected exactly these"; });
  const json& dtype = value["dtype"];
  const auto found = dtype.is_string() ? dtype_named(dtype.get_ref<const std::string&>()) : std::nullopt;
  require(found.has_value(), [&] {
    return cat(where, ": found the dtype ", brief(dtype), ", expected one of the format, such as F32, BF16 or F8_E4M3");
  });
  info.dtype = *found;
  require(value["shape"].is_array() && value["shape"].size() <= 16, [&] {
    return cat(where, ": found the shape ", brief(value["shape"]), ", expected a list of at most 16 sizes");
  });
  for (const json& extent : value["shape"]) {
    require(extent.is_number_unsigned() &&
                extent.get<std::uint64_t>() <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()),
            [&] { return cat(where, ": found the size ", brief(extent), ", expected a whole number >= 0"); });
    info.shape.push_back(extent.get<std::int64_t>());
  }
  const json& offsets = value["data_offsets"];
  require(offsets.is_array() && offsets.size() == 2,
          [&] { return cat(where, ": found the offsets ", brief(offsets), ", expected [begin, end]"); });
  info.begin = offset_of(offsets[0], where);
  info.end = offset_of(offsets[1], where);
  const auto bytes = byte_count(info.shape, info.dtype);
  require(bytes.has_value(), [&] { return where + no_byte_count(info.dtype, info.shape); });
  require(info.begin <= info.end && info.end - info.begin == *bytes, [&] {
    return cat(where, ": found the offsets [", info.begin, ", ", info.end, "], expected ", *bytes, " bytes for ",
               name_of(info.dtype), ' ', shape_string(info.shape));
  });
  return info;
}

}  // namespace

Reader::Reader(const std::filesystem::path& path)
    : path_(path), mapping_(std::make_shared<MappedFile>(path, "a safetensors file", kLengthBytes)) {
  const std::string where = path.string();
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, mapping_->data(), kLengthBytes);  // little-endian, as every machine that we support
  const std::uint64_t available = mapping_->size() - kLengthBytes;
  const std::string_view start(reinterpret_cast<const char*>(mapping_->data()), mapping_->size());
  const auto refuse = [&](const std::string& found, const std::string& hint) {
    throw UserError(explain_by_start({where, found, "a safetensors file", hint}, start, FileFormat::safetensors));
  };
  if (header_bytes > kLargestHeader)
    refuse(cat("a header of ", header_bytes, " bytes, where at most ", kLargestHeader, " are allowed"),
           "is this a safetensors file?");
  if (header_bytes > available)
    refuse(cat(available, " bytes after the header's length, which says that ", header_bytes, " follow"),
           "the file is cut off");
  const std::string_view text = start.substr(kLengthBytes, header_bytes);
  if (!text.starts_with('{'))
    refuse(cat("a header that is no JSON object (it begins with '", excerpt(text.substr(0, 8)), "', not with '{')"),
           "is this a safetensors file?");
  const json header = parse_header(where, text);
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      tensors_.push_back(parse_tensor(where, name, value));
      continue;
    }
    require(value.is_object(),
            [&] { return where + ": found __metadata__ that is no object, expected names and strings"; });
    for (const auto& [key, item] : value.items()) {
      require(item.is_string(), [&] {
        return cat(where, ": found the metadata '", excerpt(key), "' = ", brief(item), ", expected a string");
      });
      metadata_[key] = item.get<std::string>();
    }
  }
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  data_offset_ = kLengthBytes + header_bytes;
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorInfo& info = tensors_[i];
    require(info.begin == next, [&] {
      return cat(where, ": tensor '", excerpt(info.name), "': found its data at ", info.begin, ", expected ", next,
                 info.begin > next ? " (a hole)" : " (an overlap)");
    });
    next = info.end;
    index_[info.name] = i;
  }
  const std::uint64_t data_bytes = mapping_->size() - data_offset_;
  require(data_bytes == next, [&] {
    return cat(where, ": found ", data_bytes, " bytes of data, expected ", next,
               data_bytes < next ? "; the file is cut off" : "; something follows the last tensor");
  });
}

Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;

const TensorInfo* Reader::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorInfo& Reader::at(std::string_view name) const {
  const TensorInfo* info = find(name);
  if (info != nullptr) return *info;
  std::vector<std::string> names;
  for (const TensorInfo& tensor : tensors_) names.push_back(tensor.name);
  const std::string near = nearest(name, names);
  throw UserError({path_.string(), cat("no tensor '", excerpt(name), "'"), "one of that name",
                   near.empty() ? "" : "the nearest is '" + excerpt(near) + "'"});
}

std::span<const std::byte> Reader::bytes(const TensorInfo& info) const {
  return {mapping_->data() + data_offset_ + info.begin, info.end - info.begin};
}

std::shared_ptr<const void> Reader::mapping() const {
  return mapping_;
}

void Reader::release(const TensorInfo& info) const {
  // Only whole pages: the first and the last may hold a neighbour's values too.
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto base = reinterpret_cast<std::uintptr_t>(mapping_->data()) + data_offset_;
  const std::uintptr_t begin = (base + info.begin + page - 1) / page * page, end = (base + info.end) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // advice: may fail
}

void write(const std::filesystem::path& path, const std::vector<Item>& items, const Metadata& metadata) {
  std::vector<Entry> entries;
  for (const Item& item : items) entries.push_back({item.name, item.dtype, item.shape});
  write(path, entries, metadata, [&](std::size_t i) { return items[i].bytes; });
}

void write(const std::filesystem::path& path, const std::vector<Entry>& entries, const Metadata& metadata,
           const std::function<std::span<const std::byte>(std::size_t)>& bytes_of) {
  json header = json::object();
  if (!metadata.empty()) {
    json plain = json::object();
    for (const auto& [key, value] : metadata) plain[key] = value;
    header["__metadata__"] = plain;
  }
  std::uint64_t offset = 0;
  std::unordered_set<std::string> names;
  for (const Entry& entry : entries) {
    const auto bytes = byte_count(entry.shape, entry.dtype);
    require(bytes.has_value(), [&] {
      return cat(path.string(), ": tensor '", entry.name, "'") + no_byte_count(entry.dtype, entry.shape);
    });
    require(entry.name != "__metadata__" && names.insert(entry.name).second,
            [&] { return cat(path.string(), ": found the tensor name '", entry.name, "' twice, expected it once"); });
    // Appended, not assigned by name, which would search all earlier ones.
    static_cast<json::object_t::Container&>(header.get_ref<json::object_t&>())
        .emplace_back(
            entry.name,
            json{{"dtype", name_of(entry.dtype)}, {"shape", entry.shape}, {"data_offsets", {offset, offset + *bytes}}});
    offset += *bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // keeps the data aligned for readers that map it
  const std::uint64_t length = text.size();
  AtomicFile file(path);
  file.write(&length, sizeof length);
  file.write(text);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::span<const std::byte> bytes = bytes_of(i);
    require(bytes.size() == byte_count(entries[i].shape, entries[i].dtype), [&] {
      return cat(path.string(), ": tensor '", entries[i].name, "': found ", bytes.size(), " bytes, expected those of ",
                 name_of(entries[i].dtype), ' ', shape_string(entries[i].shape));
    });
    file.write(bytes.data(), bytes.size());
  }
  file.commit();
}

}  // namespace rehyat::safetensors
