#include "data/dataset/manifest.h"

#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kIdentity = "made-from.json";
constexpr std::uint64_t kLargest = 1 << 30;

json parse(const std::filesystem::path& path) {
  JsonLimits limits;
  limits.bytes = kLargest;
  limits.hint = "remove the folder and make it again";
  return read_json(path, limits);
}

/// How a value of an identity is called where the user sets it.
std::string name_of(const std::string& prefix, const std::string& key) {
  if (!prefix.empty()) return prefix + "." + key;
  static const std::map<std::string, std::string> names = {{"settings", "data"},
                                                           {"files", "videos (their names and contents)"},
                                                           {"captions", "captions (and groups)"},
                                                           {"codec", "video codec"},
                                                           {"text_encoder", "text encoder"},
                                                           {"seed", "run.seed"}};
  const auto known = names.find(key);
  return known == names.end() ? key : known->second;
}

void add_differences(const json& found, const json& expected, const std::string& prefix,
                     std::vector<std::string>& out) {
  const auto look = [&](const std::string& key, const json& was, const json& wanted) {
    const std::string name = name_of(prefix, key);
    if (was.is_object() && wanted.is_object()) {
      add_differences(was, wanted, name, out);
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

}  // namespace

json file_entry(const std::filesystem::path& folder, const std::string& file) {
  return {{"file", file}, {"bytes", std::filesystem::file_size(folder / file)}, {"checksum", hash_file(folder / file)}};
}

void write_manifest(const std::filesystem::path& folder, const Identity& identity, const json& content) {
  const std::string body = content.dump();
  const json manifest = {{"format", 1}, {"identity", identity}, {"checksum", hash_text(body)}, {"content", content}};
  write_file_atomic(folder / kManifest, manifest.dump(1) + "\n");
}

json read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / kManifest;
  require(std::filesystem::exists(path), [&] {
    return path.string() + ": found no manifest, so the folder is not complete; run the command that makes it again";
  });
  const json manifest = parse(path);
  const bool whole = manifest.is_object() && manifest.value("format", json()) == 1 && manifest.contains("identity") &&
                     manifest.contains("content") && manifest.contains("checksum") &&
                     manifest["checksum"] == hash_text(manifest["content"].dump());
  require(whole, [&] {
    return path.string() +
           ": found a manifest that was altered or is of another format; remove the folder and make it again";
  });
  return manifest;
}

std::vector<std::string> identity_differences(const Identity& found, const Identity& expected) {
  std::vector<std::string> out;
  add_differences(found, expected, "", out);
  return out;
}

void require_same_identity(const Identity& found, const Identity& expected, const std::string& where) {
  const std::vector<std::string> differences = identity_differences(found, expected);
  require(differences.empty(), [&] {
    return cat(where, " was made from something else (", join(differences, "; "),
               "); use another folder or remove this one");
  });
}

void open_folder(const std::filesystem::path& folder, const Identity& identity) {
  make_folder(folder);
  const std::filesystem::path path = folder / kIdentity;
  if (std::filesystem::exists(path)) {
    require_same_identity(parse(path), identity, folder.string());
  } else {
    write_file_atomic(path, identity.dump(2) + "\n");
  }
  remove_leftovers(folder);
}

}  // namespace rehyat::data
