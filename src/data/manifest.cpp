#include "data/manifest.h"

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/strings.h"

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

void require_same_identity(const Identity& found, const Identity& expected, const std::string& where) {
  std::vector<std::string> differences;
  for (const auto& [key, value] : expected.items()) {
    const std::string was = found.contains(key) ? found[key].dump() : "nothing";
    if (was != value.dump()) differences.push_back(cat(key, ": found ", was, ", expected ", value.dump()));
  }
  for (const auto& [key, value] : found.items()) {
    if (!expected.contains(key)) differences.push_back(cat(key, ": found ", value.dump(), ", expected nothing"));
  }
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
