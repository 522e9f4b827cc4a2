#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::train {
namespace {

using json = nlohmann::ordered_json;
constexpr int kFormat = 1;

/// The checkpoint was made by another training: no reason to take an older one.
class ForeignCheckpoint : public UserError {
 public:
  using UserError::UserError;
};

}  // namespace

const NamedTensors& Checkpoint::part(const std::string& name) const {
  for (const auto& [key, tensors] : parts) {
    if (key == name) return tensors;
  }
  throw UserError({"checkpoint of step " + std::to_string(step), "no part '" + name + "'", "one", ""});
}

CheckpointFolder::CheckpointFolder(std::filesystem::path folder, std::string fingerprint)
    : folder_(std::move(folder)), fingerprint_(std::move(fingerprint)) {}

std::filesystem::path CheckpointFolder::path_of(std::int64_t step) const {
  char name[32];
  std::snprintf(name, sizeof name, "step-%08lld", static_cast<long long>(step));
  return folder_ / name;
}

std::vector<std::int64_t> CheckpointFolder::steps() const {
  std::vector<std::int64_t> found;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder_, error);
  // A folder that cannot be listed is not one without checkpoints: training would begin anew over them.
  require(!error || error == std::errc::no_such_file_or_directory, [&] {
    return cat(folder_.string(), ": cannot be listed: ", error.message(), "; start the same command again once it can");
  });
  for (const auto& item : entry) {
    const std::string name = item.path().filename().string();
    if (name.starts_with("step-")) found.push_back(std::atoll(name.c_str() + 5));
  }
  std::sort(found.begin(), found.end());
  return found;
}

void CheckpointFolder::save(const Checkpoint& checkpoint, std::int64_t keep) const {
  make_folder(folder_);
  const std::filesystem::path part = folder_ / cat(".rehyat-part-", checkpoint.step), target = path_of(checkpoint.step);
  remove_leftovers(folder_);  // of a save that was killed
  make_folder(part);
  json files = json::object();
  for (const auto& [name, tensors] : checkpoint.parts) {
    const std::filesystem::path file = part / (name + ".safetensors");
    write_tensors(file, tensors);
    files[name] = {{"bytes", std::filesystem::file_size(file)}, {"checksum", hash_file(file)}};
  }
  const json state = {{"format", kFormat},
                      {"step", checkpoint.step},
                      {"fingerprint", fingerprint_},
                      {"files", files},
                      {"state", checkpoint.state}};
  write_file_atomic(part / "state.json", state.dump(2) + "\n");
  std::filesystem::remove_all(target);
  std::filesystem::rename(part, target);
  flush_folder(folder_);
  // What is newer than this one was passed over as damaged: it must not count as kept.
  for (const std::int64_t step : steps()) {
    if (step > checkpoint.step) std::filesystem::remove_all(path_of(step));
  }
  const std::vector<std::int64_t> all = steps();
  for (std::size_t i = 0; i + static_cast<std::size_t>(keep) < all.size(); ++i)
    std::filesystem::remove_all(path_of(all[i]));
}

Checkpoint CheckpointFolder::read(std::int64_t step) const {
  const std::filesystem::path folder = path_of(step), marker = folder / "state.json";
  json state;
  try {
    state = read_json_object(marker);
    require(state.at("format") == kFormat,
            [&] { return cat(marker.string(), ": found format ", state.at("format").dump(), ", expected ", kFormat); });
    const std::string found = state.at("fingerprint");
    if (found != fingerprint_) {
      throw ForeignCheckpoint({marker.string(), "a checkpoint of another training (" + found + ")", fingerprint_,
                               "use another run folder or remove this one"});
    }
    Checkpoint out;
    out.step = state.at("step");
    require(out.step == step, [&] {
      return cat(marker.string(), ": found step ", out.step, ", expected ", step, " as in the folder's name");
    });
    out.state = state.at("state");
    for (const auto& [name, info] : state.at("files").items()) {
      const std::filesystem::path file = folder / (name + ".safetensors");
      require(std::filesystem::exists(file) && std::filesystem::file_size(file) == info.at("bytes"),
              [&] { return cat(file.string(), ": found another size, expected ", info.at("bytes").dump(), " bytes"); });
      require(hash_file(file) == info.at("checksum").get<std::string>(),
              [&] { return cat(file.string(), ": found another checksum than ", marker.string(), " names"); });
      const safetensors::Reader reader(file);
      NamedTensors tensors;
      for (const auto& tensor : reader.tensors()) tensors.emplace_back(tensor.name, read_tensor(reader, tensor));
      out.parts.emplace_back(name, std::move(tensors));
    }
    return out;
  } catch (const json::exception& error) {
    throw UserError({marker.string(), "a state that cannot be read", "JSON as written by this program", ""});
  }
}

std::optional<Checkpoint> CheckpointFolder::newest() const {
  std::vector<std::int64_t> all = steps();
  for (auto step = all.rbegin(); step != all.rend(); ++step) {
    try {
      return read(*step);
    } catch (const ForeignCheckpoint&) {
      throw;
    } catch (const UserError& error) {
      log::warn("checkpoint passed over: ", error.what());
    }
  }
  return std::nullopt;
}

}  // namespace rehyat::train
