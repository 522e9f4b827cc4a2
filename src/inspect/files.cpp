#include "inspect/files.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <sstream>

#include "config/config.h"
#include "core/progress.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "files/marked_folder.h"
#include "files/safetensors.h"
#include "models/model_registry.h"
#include "stages/config.h"
#include "stages/lineage.h"
#include "tensor/hdf5_file.h"
#include "tensor/weight_files.h"

namespace rehyat::inspect {
namespace {

using json = nlohmann::ordered_json;

json inspect_safetensors(const std::filesystem::path& path) {
  const safetensors::Reader reader(path);
  json tensors = json::array();
  std::int64_t bytes = 0, parameters = 0;
  for (const auto& info : reader.tensors()) {
    tensors.push_back({{"name", info.name}, {"dtype", safetensors::name_of(info.dtype)}, {"shape", info.shape}});
    std::int64_t count = 1;
    for (const std::int64_t size : info.shape) count *= size;
    parameters += count;
    bytes += static_cast<std::int64_t>(info.end - info.begin);
  }
  return {{"type", "safetensors"},
          {"parameters", parameters},
          {"bytes", bytes},
          {"tensors", tensors},
          {"metadata", reader.metadata()}};
}

json inspect_hdf5(const std::filesystem::path& path) {
  const Hdf5Reader reader(path);
  json datasets = json::array();
  const auto names = reader.names();
  Progress progress(path.filename().string(), static_cast<std::int64_t>(names.size()), "datasets");
  for (const std::string& name : names) {
    const at::Tensor tensor = reader.read(name);
    datasets.push_back(
        {{"name", printable(name)}, {"dtype", at::toString(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}});
    progress.advance();
  }
  progress.finish();
  return {{"type", "hdf5"}, {"checksums", "verified"}, {"datasets", datasets}};
}

json inspect_json(const std::filesystem::path& path) {
  return read_json(path);
}

json inspect_config(const std::filesystem::path& path) {
  const auto config = config::load<stages::ExperimentConfig>(config::Document::from_file(path));
  return {{"type", "config of an experiment"}, {"valid", true}, {"settings", config::to_json(config)}};
}

/// How often a key stands in a file of metrics, and how its value moved.
struct Track {
  std::int64_t count = 0;
  double first = 0, last = 0, least = 0, most = 0;
  void add(double value) {
    if (count++ == 0) first = least = most = value;
    last = value;
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

json inspect_metrics(const std::filesystem::path& path) {
  std::istringstream lines(read_file(path));
  std::map<std::string, Track> tracks;
  std::int64_t number = 0, first = -1, last = -1;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const json value = parse_json_if(line).value_or(json());
    require(value.is_object() && value.contains("step") && value["step"].is_number_integer(), [&] {
      return cat(path.string(), ":", number, ": found no JSON object with a step, expected one a line; a killed run ",
                 "leaves the last line cut off, and one that goes on removes it");
    });
    last = value["step"].get<std::int64_t>();
    if (first < 0) first = last;
    for (const auto& [key, item] : value.items()) {
      if (key != "step" && item.is_number()) tracks[key].add(item.get<double>());
    }
  }
  json values = json::array();
  for (const auto& [key, t] : tracks)
    values.push_back(
        {{"key", key}, {"count", t.count}, {"first", t.first}, {"last", t.last}, {"least", t.least}, {"most", t.most}});
  return {{"type", "metrics"}, {"lines", number}, {"first_step", first}, {"last_step", last}, {"values", values}};
}

json inspect_log(const std::filesystem::path& path) {
  std::istringstream lines(read_file(path));
  std::int64_t count = 0;
  json marked = json::array();
  std::string first, last;
  for (std::string line; std::getline(lines, line);) {
    if (count++ == 0) first = printable(line);
    last = printable(line);
    const bool is_marked = line.find("warn") != std::string::npos || line.find("error") != std::string::npos;
    if (is_marked && marked.size() < 20) marked.push_back(printable(line));
  }
  return {{"type", "text"}, {"lines", count}, {"first", first}, {"last", last}, {"warnings and errors", marked}};
}

json inspect_video(const std::filesystem::path& path) {
  const data::VideoInfo info = data::probe_video(path);
  return {{"type", "video"},
          {"codec", info.codec},
          {"seconds", info.seconds},
          {"frames", info.frames},
          {"frames_per_second", info.rate},
          {"width", info.width},
          {"height", info.height}};
}

std::vector<std::filesystem::path> sorted_entries(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> out;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    out.push_back(at->path());
  require(!error, [&] { return cat(folder.string(), ": cannot be read: ", error.message(), "; check its rights"); });
  std::sort(out.begin(), out.end());
  return out;
}

/// Adds how many parameters the files of a model hold, and how many of them are those of feature maps.
void add_parameters(json& out, const std::filesystem::path& folder, const std::vector<std::filesystem::path>& entries) {
  auto weights = entries;
  for (const WeightNames& names : {kDiffusersWeights, kTransformersWeights}) {
    if (!has_source(folder, weight_sources(names))) continue;
    weights = weight_files(folder, names);
    break;
  }
  std::int64_t base = 0, phi = 0;
  for (const auto& file : entries) {
    // An old single file beside an index is none of the model's.
    const bool counts = file.filename() == "hybrid.safetensors" || std::ranges::find(weights, file) != weights.end();
    if (file.extension() != ".safetensors" || !counts) continue;
    (file.filename() == "hybrid.safetensors" ? phi : base) +=
        inspect_safetensors(file).at("parameters").get<std::int64_t>();
  }
  out["parameters"] = base + phi;
  out["feature_map_parameters"] = phi;
}

/// Verifies the checksums of a checkpoint's files and adds what its marker says.
void add_checkpoint(json& out, const std::filesystem::path& folder) {
  const std::optional<std::string> fingerprint = marked_fingerprint(folder / "state.json");
  const MarkedFolder checkpoint(
      folder, nullptr, {"state.json", "the checkpoint", "train first", "an older checkpoint beside it may be whole"},
      fingerprint.value_or("a fingerprint"));
  checkpoint.require_intact();
  const json content = checkpoint.content();
  out["type"] = "checkpoint";
  for (const char* key : {"step", "state"}) out[key] = content.contains(key) ? content[key] : json();
  out["checksums"] = "verified";
}

/// A row for each stage of a run's folder; several of one stage have what tells them apart.
json stages_of(const std::filesystem::path& run) {
  const stages::RunListing listing(run);
  std::map<std::string, std::string> apart;  // by folder
  for (const stages::StageOnDisk& each : listing.all()) {
    const std::vector<stages::StageOnDisk> same = listing.of_stage(each.stage);
    const std::vector<std::string> texts = stages::told_apart(same, listing);
    for (std::size_t i = 0; i < same.size(); ++i) apart[same[i].folder.string()] = texts[i];
  }
  json out = json::array();
  for (const stages::StageOnDisk& each : listing.all()) {
    json row = {{"stage", printable(each.folder.filename().string())},
                {"links", join(each.links, ", ")},
                {"complete", each.complete},
                {"seconds", nullptr},
                {"differs", apart[each.folder.string()]}};
    if (each.complete) {
      const json marker = inspect_json(each.folder / "stage.json");
      const json content = marker.is_object() ? marker.value("content", json()) : json();
      if (content.contains("seconds")) row["seconds"] = content["seconds"];
    }
    out.push_back(row);
  }
  return out;
}

json inspect_folder(const std::filesystem::path& path) {
  const auto entries = sorted_entries(path);
  json documents = json::object();
  for (const char* name : {"stage.json", "identity.json", "manifest.json", "config.json", "hybrid.json"}) {
    if (std::filesystem::exists(path / name)) documents[name] = inspect_json(path / name);
  }
  json out = {{"type", "folder"}};
  if (documents.contains("config.json")) {
    out["type"] = "model";
    const models::ModelRegistry families = models::known_models();
    out["complete"] = families.of_files(path).is_whole(path);
    add_parameters(out, path, entries);
  } else if (std::filesystem::exists(path / "state.json")) {
    add_checkpoint(out, path);
  } else if (documents.contains("identity.json")) {
    out["type"] = "stage";
    out["complete"] = documents.contains("stage.json");
  } else if (const json stages = stages_of(path); !stages.empty()) {
    out["type"] = "run";
    json open = json::array();
    for (const json& stage : stages) {
      if (!stage.at("complete").get<bool>()) open.push_back(stage.at("stage"));
    }
    if (!open.empty()) out["not complete"] = open;
    out["stages"] = stages;
  }
  json files = json::array();
  for (const auto& entry : entries) files.push_back(printable(entry.filename().string()));
  out["files"] = files;
  out.update(documents);
  return out;
}

}  // namespace

json inspect_path(const std::filesystem::path& path) {
  std::error_code error;
  require(std::filesystem::exists(path, error), [&] {
    return cat(path.string(), ": found no such file or folder", error ? " (" + error.message() + ")" : std::string(),
               ", expected one; check the path");
  });
  if (std::filesystem::is_directory(path)) return inspect_folder(path);
  const std::string extension = path.extension().string(), name = path.filename().string();
  if (name.rfind("events.out.tfevents", 0) == 0) return inspect_events(path);
  if (extension == ".safetensors") return inspect_safetensors(path);
  if (extension == ".h5") return inspect_hdf5(path);
  if (extension == ".json") return inspect_json(path);
  if (extension == ".yaml" || extension == ".yml") return inspect_config(path);
  if (extension == ".jsonl") return inspect_metrics(path);
  if (extension == ".txt" || extension == ".log") return inspect_log(path);
  if (extension == ".mp4") return inspect_video(path);
  throw UserError({path.string(), "a file with the extension '" + extension + "'",
                   "a folder, .safetensors, .h5, .json, .yaml, .jsonl, .mp4, .txt or an event file", ""});
}

}  // namespace rehyat::inspect
