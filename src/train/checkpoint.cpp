#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"

namespace rehyat::train {
namespace {

using json = nlohmann::ordered_json;

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
  throw UserError({cat(folder.string(), ": checkpoint of step ", step), "no part '" + name + "'", "one", ""});
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

void CheckpointFolder::save(const Checkpoint& checkpoint, std::int64_t most) const {
  make_folder(folder_);
  const std::filesystem::path part = folder_ / cat(".rehyat-part-", checkpoint.step), target = path_of(checkpoint.step);
  remove_leftovers(folder_);  // of a save that was killed
  make_folder(part);
  std::vector<std::filesystem::path> files;
  for (const auto& [name, tensors] : checkpoint.parts) {
    files.emplace_back(name + ".safetensors");
    write_tensors(part / files.back(), tensors);
  }
  marked(part).finish({{"step", checkpoint.step}, {"state", checkpoint.state}}, files);
  std::filesystem::remove_all(target);
  std::filesystem::rename(part, target);
  flush_folder(folder_);
  // A newer one was passed over as damaged: it must not count among the newest.
  for (const std::int64_t step : steps()) {
    if (step > checkpoint.step) std::filesystem::remove_all(path_of(step));
  }
  const std::vector<std::int64_t> all = steps();
  for (std::size_t i = 0; i + static_cast<std::size_t>(most) < all.size(); ++i)
    std::filesystem::remove_all(path_of(all[i]));
}

MarkedFolder CheckpointFolder::marked(const std::filesystem::path& folder) const {
  return MarkedFolder(folder, nullptr, {"state.json", "the checkpoint", "train first", "remove it"}, fingerprint_);
}

Checkpoint CheckpointFolder::read(std::int64_t step) const {
  const std::filesystem::path folder = path_of(step), marker = folder / "state.json";
  const std::optional<std::string> found = marked_fingerprint(marker);
  if (found && *found != fingerprint_)
    throw ForeignCheckpoint({marker.string(), "a checkpoint of another training (" + *found + ")", fingerprint_,
                             "use another run folder or remove this one"});
  const MarkedFolder marked_folder = marked(folder);
  marked_folder.require_intact();
  const json content = marked_folder.content();
  Checkpoint out;
  out.folder = folder;
  try {
    out.step = content.at("step");
    out.state = content.at("state");
  } catch (const json::exception&) {
    throw UserError({marker.string(), "a state that cannot be read", "JSON as written by this program", ""});
  }
  require(out.step == step, [&] {
    return cat(marker.string(), ": found step ", out.step, ", expected ", step, " as in the folder's name");
  });
  for (const std::filesystem::path& file : marked_folder.results()) {
    const safetensors::Reader reader(folder / file);
    NamedTensors tensors;
    for (const auto& tensor : reader.tensors()) tensors.emplace_back(tensor.name, read_tensor(reader, tensor));
    out.parts.emplace_back(file.stem().string(), std::move(tensors));
  }
  return out;
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
