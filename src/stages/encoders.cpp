#include "stages/encoders.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/checksum_memory.h"
#include "stages/noted_encoders.h"

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

/// A run's folder that may not be written to can still be read.
void remember(const ChecksumMemory& memory) {
  try {
    memory.save();
  } catch (const UserError& error) {
    log::warn(error.what(), "; the checksums of the encoders are made anew at each start");
  }
}

std::string fingerprint_of(const std::vector<fs::path>& paths, const fs::path& memory_file) {
  ChecksumMemory memory(memory_file);
  Hasher hasher;
  for (const fs::path& path : paths) hasher.update(checksum_of(path, memory));
  // A dry run leaves no folder behind.
  if (fs::is_directory(memory_file.parent_path())) remember(memory);
  return hasher.digest();
}

/// Everything that decides the encoders, for their notes.
InputNotes::Input input_of(const ModelConfig& model, const models::EncoderFiles& files) {
  nlohmann::ordered_json of = config::to_json(model);
  of.erase("architecture");
  of.erase("published");
  for (const auto& [key, path] : {std::pair("weights", model.weights), {"vae", model.vae}, {"text", model.text}})
    of[key] = full_path(path);
  InputNotes::Input input{"", of, files.vae, true};
  for (const fs::path& path : {files.text, files.vae}) {
    if (path.empty() || fs::exists(path)) continue;
    input.there = false;
    input.path = path;
  }
  return input;
}

}  // namespace

RunEncoders make_encoders(const ModelConfig& model, const models::ModelFiles& files,
                          const models::Architecture& architecture, const models::EncoderRegistry& registry,
                          const std::function<at::Device()>& device, InputNotes& notes,
                          const std::optional<std::string>& assume) {
  models::EncoderRequest request;
  request.weights = model.weights;
  request.files.vae = model.vae.empty() ? files.vae : model.vae;
  request.files.text = model.text.empty() ? files.text : model.text;
  if (model.text.empty()) request.files.doubt = files.text_doubt;
  if (model.vae.empty() && !files.vae_doubt.empty()) request.files.doubt = files.vae_doubt;
  request.model = architecture;
  request.settings = model.encoder_settings;
  request.device = device;
  request.checksum = [folder = notes.run_folder()](const std::vector<fs::path>& paths, const std::string& name) {
    return fingerprint_of(paths, folder / cat("checksums-", name, ".json"));
  };
  const bool open_question = model.encoders == models::kAutomaticEncoders && request.files.vae.empty() &&
                             request.files.text.empty() && !assume.value_or("").empty();
  const models::EncoderFamily& family = registry.choose(open_question ? assume.value() : model.encoders, request.files);
  if (assume) {
    std::vector<std::string> missing = family.missing(request.files);
    if (!missing.empty() && !notes.knows(NotedCodec::layout_of(input_of(model, request.files))))
      return {family.assume(request), true, std::move(missing)};
  }
  if (!family.has_files(request.files)) return {family.open(request), false};
  const InputNotes::Input input = input_of(model, request.files);
  models::Encoders found;
  if (input.there || !notes.knows(NotedCodec::layout_of(input))) found = family.open(request);
  return {{std::make_unique<NotedCodec>(std::move(found.codec), input, notes),
           std::make_unique<NotedTextEncoder>(std::move(found.text), input, notes)},
          true};
}

}  // namespace rehyat::stages
