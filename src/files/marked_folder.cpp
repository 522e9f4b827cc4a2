#include "files/marked_folder.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat {
namespace {

using json = nlohmann::ordered_json;
constexpr int kMarkerFormat = 2;  // 1: the markers of earlier versions, each of its own shape
constexpr const char* kIdentityFile = "identity.json";

std::string name_of_key(const std::string& prefix, const std::string& key,
                        const std::map<std::string, std::string>& names) {
  if (!prefix.empty()) return prefix + "." + key;
  const auto known = names.find(key);
  return known == names.end() ? key : known->second;
}

void add_differences(const json& found, const json& expected, const std::string& prefix,
                     const std::map<std::string, std::string>& names, std::vector<std::string>& out) {
  const auto look = [&](const std::string& key, const json& was, const json& wanted) {
    const std::string name = name_of_key(prefix, key, names);
    if (was.is_object() && wanted.is_object()) {
      add_differences(was, wanted, name, names, out);
    } else if (was.dump() != wanted.dump()) {
      const auto text = [](const json& value) { return value.is_discarded() ? "nothing" : value.dump(); };
      out.push_back(cat(name, ": found ", text(was), ", expected ", text(wanted)));
    }
  };
  const json nothing(json::value_t::discarded);
  for (const auto& [key, value] : expected.items()) look(key, found.contains(key) ? found[key] : nothing, value);
  for (const auto& [key, value] : found.items())
    if (!expected.contains(key)) look(key, value, nothing);
}

/// The results as single files relative to the folder, sorted: the same on every run.
std::vector<std::string> files_of(const std::filesystem::path& folder,
                                  const std::vector<std::filesystem::path>& results) {
  std::vector<std::string> names;
  for (const std::filesystem::path& result : results) {
    if (!std::filesystem::is_directory(folder / result)) {
      names.push_back(result.generic_string());
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / result)) {
      if (entry.is_regular_file()) names.push_back(std::filesystem::relative(entry.path(), folder).generic_string());
    }
  }
  std::ranges::sort(names);
  return names;
}

std::string checksum_of(const json& files, const json& content) {
  return hash_text(json{{"files", files}, {"content", content}}.dump());
}

/// Whether the path stays in the folder that it is relative to.
bool stays_inside(const std::filesystem::path& path) {
  return !path.empty() && path.is_relative() && std::ranges::find(path, "..") == path.end();
}

/// `beside`: whether the file may also lie beside the folder, "../x".
bool is_file_entry(const json& entry, bool beside) {
  if (!entry.is_object() || !entry.contains("file") || !entry["file"].is_string()) return false;
  std::filesystem::path path = entry["file"].get<std::string>();
  if (beside && !path.empty() && *path.begin() == "..") path = path.lexically_relative("..");
  return stays_inside(path) && entry.contains("bytes") && entry["bytes"].is_number_unsigned() &&
         entry.contains("checksum") && entry["checksum"].is_string();
}

}  // namespace

std::vector<std::string> identity_differences(const Identity& found, const Identity& expected,
                                              const std::map<std::string, std::string>& names) {
  std::vector<std::string> out;
  add_differences(found, expected, "", names, out);
  return out;
}

json file_entry(const std::filesystem::path& folder, const std::string& file) {
  return {{"file", file}, {"bytes", std::filesystem::file_size(folder / file)}, {"checksum", hash_file(folder / file)}};
}

Identity saved_identity(const std::filesystem::path& folder) {
  JsonLimits limits;
  limits.bytes = 64 << 20;
  limits.what = "what the folder is made from";
  limits.hint = "remove the folder and make it again";
  return read_json_object(folder / kIdentityFile, limits);
}

std::optional<std::string> marked_fingerprint(const std::filesystem::path& marker) {
  if (!std::filesystem::exists(marker)) return std::nullopt;
  const json found = parse_json_if(read_file(marker)).value_or(json());
  if (!found.is_object() || !found.contains("fingerprint") || !found["fingerprint"].is_string()) return std::nullopt;
  return found["fingerprint"].get<std::string>();
}

struct MarkedFolder::Marker {
  json files, content;
};

MarkedFolder::MarkedFolder(std::filesystem::path folder, Identity identity, Words words, std::string fingerprint)
    : folder_(std::move(folder)),
      identity_(std::move(identity)),
      words_(std::move(words)),
      fingerprint_(fingerprint.empty() ? hash_text(identity_.dump()).substr(0, 16) : std::move(fingerprint)) {}

FolderLock MarkedFolder::open() const {
  FolderLock lock(folder_);
  remove_leftovers(folder_);
  if (identity_.is_null()) return lock;
  if (std::filesystem::exists(folder_ / kIdentityFile)) {
    const std::string found = differences();
    require(found.empty(), [&] {
      return cat(folder_.string(), " was made from something else (", found,
                 "); use another folder or remove this one");
    });
  } else {
    write_file_atomic(folder_ / kIdentityFile, identity_.dump(2) + "\n");
  }
  return lock;
}

void MarkedFolder::finish(const json& content, const std::vector<std::filesystem::path>& results) const {
  json files = json::array();
  for (const std::string& name : files_of(folder_, results)) files.push_back(file_entry(folder_, name));
  const json marker = {{"format", kMarkerFormat},
                       {"fingerprint", fingerprint_},
                       {"checksum", checksum_of(files, content)},
                       {"files", files},
                       {"content", content}};
  write_file_atomic(folder_ / words_.marker, marker.dump(1) + "\n");
}

MarkedFolder::Marker MarkedFolder::read() const {
  const std::filesystem::path path = folder_ / words_.marker;
  JsonLimits limits;
  limits.what = "a marker";
  limits.hint = words_.again;
  require(std::filesystem::exists(path), [&] {
    return cat(folder_.string(), ": found no ", words_.marker, ", so ", words_.what, " is not complete; ",
               words_.first);
  });
  const json marker = read_json(path, limits);
  const auto refuse = [&](const std::string& found, const std::string& expected) {
    throw UserError({path.string(), found, expected, words_.again});
  };
  if (!marker.is_object() || !marker.contains("fingerprint") || !marker["fingerprint"].is_string() ||
      marker.value("format", json()) != kMarkerFormat)
    refuse("a marker that is altered or of another version", cat("one of format ", kMarkerFormat));
  const std::string fingerprint = marker["fingerprint"];
  if (fingerprint != fingerprint_) {
    const std::string other = differences();
    refuse("fingerprint " + fingerprint,
           fingerprint_ + (other.empty() ? "" : ": it was made from something else (" + other + ")"));
  }
  const auto fits = [&](const json& entry) { return is_file_entry(entry, words_.beside); };
  if (!marker.contains("files") || !marker["files"].is_array() || !std::ranges::all_of(marker["files"], fits))
    refuse("a list of files without names in the folder, sizes and checksums", "one");
  if (!marker.contains("content") ||
      marker.value("checksum", json()) != checksum_of(marker["files"], marker["content"]))
    refuse("a marker that was altered", "it as it was written");
  return {marker["files"], marker["content"]};
}

/// How what is saved beside the marker differs from the identity; empty where nothing is.
std::string MarkedFolder::differences() const {
  if (identity_.is_null() || !std::filesystem::exists(folder_ / kIdentityFile)) return "";
  return join(identity_differences(saved_identity(folder_), identity_, words_.names), "; ");
}

void MarkedFolder::unmark() const {
  remove_file(folder_ / words_.marker);
}

bool MarkedFolder::complete() const {
  if (!std::filesystem::exists(folder_ / words_.marker)) return false;
  read();
  return true;
}

json MarkedFolder::content() const {
  return read().content;
}

std::vector<std::filesystem::path> MarkedFolder::results() const {
  std::vector<std::filesystem::path> out;
  for (const json& entry : read().files) out.emplace_back(entry["file"].get<std::string>());
  return out;
}

void MarkedFolder::require_complete() const {
  read();
}

void MarkedFolder::require_intact() const {
  const std::string marker = (folder_ / words_.marker).string();
  for (const json& entry : read().files) {
    const std::filesystem::path file = folder_ / entry["file"].get<std::string>();
    std::error_code error;
    const std::uint64_t bytes = std::filesystem::file_size(file, error), expected = entry["bytes"];
    if (error || bytes != expected)
      throw UserError({file.string(), error ? std::string("no file") : cat(bytes, " bytes"),
                       cat(expected, " bytes as ", marker, " says"), words_.again});
    if (hash_file(file) != entry["checksum"].get<std::string>())
      throw UserError({file.string(), "another checksum than " + marker + " names", "the file as written",
                       "it was changed or the disk is failing: " + words_.again});
  }
}

}  // namespace rehyat
