#include "stages/encoders.h"

#include <algorithm>
#include <utility>

#include "core/hash.h"
#include "core/strings.h"
#include "files/checksum_memory.h"

namespace rehyat::stages {
namespace {

namespace fs = std::filesystem;

/// Checksum of a file, or of the names and contents of all files of a folder.
std::string checksum_of(const fs::path& path, ChecksumMemory& memory) {
  if (!fs::is_directory(path)) return memory.at(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Hasher hasher;
  for (const fs::path& file : files) hasher.update(fs::relative(file, path).generic_string()).update(memory.at(file));
  return hasher.digest();
}

std::string fingerprint_of(const std::vector<fs::path>& paths, const fs::path& memory_file) {
  ChecksumMemory memory(memory_file);
  Hasher hasher;
  for (const fs::path& path : paths) hasher.update(checksum_of(path, memory));
  // A dry run leaves no folder behind.
  if (fs::is_directory(memory_file.parent_path())) memory.save();
  return hasher.digest();
}

}  // namespace

RunEncoders make_encoders(const ModelConfig& model, const models::ModelFiles& files,
                          const models::Architecture& architecture, const models::EncoderRegistry& registry,
                          const std::function<at::Device()>& device, const fs::path& folder) {
  models::EncoderRequest request;
  request.weights = model.weights;
  request.files.vae = model.vae.empty() ? files.vae : model.vae;
  request.files.text = model.text.empty() ? files.text : model.text;
  request.model = architecture;
  request.settings = model.encoder_settings;
  request.device = device;
  request.checksum = [folder](const std::vector<fs::path>& paths, const std::string& name) {
    return fingerprint_of(paths, folder / cat("checksums-", name, ".json"));
  };
  const models::EncoderFamily& family = registry.choose(model.encoders, request.files);
  return {family.open(request), family.has_files(request.files)};
}

}  // namespace rehyat::stages
