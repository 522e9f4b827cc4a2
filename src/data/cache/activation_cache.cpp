#include "data/cache/activation_cache.h"

#include <cstdio>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

std::string file_name(std::int64_t trajectory) {
  char name[40];
  std::snprintf(name, sizeof name, "trajectory-%06lld.h5", static_cast<long long>(trajectory));
  return name;
}

std::string dataset_name(std::int64_t point, std::int64_t block, const char* what) {
  return cat("point-", point, "/block-", block, '/', what);
}

}  // namespace

TrajectoryWriter::TrajectoryWriter(const std::filesystem::path& folder, std::int64_t trajectory)
    : file_(folder / file_name(trajectory)) {}

void TrajectoryWriter::add(std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target) {
  file_.write(dataset_name(point, block, "input"), input);
  if (target.defined()) file_.write(dataset_name(point, block, "target"), target);
}

void TrajectoryWriter::commit(const std::vector<CachePoint>& points) {
  json list = json::array();
  for (const CachePoint& point : points) list.push_back({{"step", point.step}, {"conditional", point.conditional}});
  file_.attribute("points", list.dump());
  file_.commit();
}

bool trajectory_done(const std::filesystem::path& folder, std::int64_t trajectory) {
  return std::filesystem::exists(folder / file_name(trajectory));
}

std::int64_t cache_bytes(std::int64_t trajectories, std::int64_t points, std::int64_t blocks, std::int64_t tokens,
                         std::int64_t dim, std::int64_t element_bytes, bool targets) {
  return trajectories * points * blocks * tokens * dim * element_bytes * (targets ? 2 : 1);
}

MarkedFolder cache_folder(const std::filesystem::path& folder, const Identity& identity) {
  return MarkedFolder(folder, identity,
                      {"manifest.json",
                       "the cache",
                       "run `rehyat cache` with this config first",
                       "remove the folder and run `rehyat cache` again",
                       {{"settings", "cache"}, {"seed", "run.seed"}, {"blocks", "converted blocks"}}});
}

void finish_cache(const MarkedFolder& folder, const std::vector<bool>& validation,
                  const std::vector<std::int64_t>& blocks, const std::vector<std::int64_t>& latent) {
  json files = json::array();
  for (std::size_t i = 0; i < validation.size(); ++i) {
    // No checksum of the whole file: each dataset carries its own, and a cache may hold hundreds of gigabytes.
    const auto path = folder.path() / file_name(static_cast<std::int64_t>(i));
    json entry = {{"file", path.filename().string()}, {"bytes", std::filesystem::file_size(path)}};
    entry["points"] = parse_json(Hdf5Reader(path).attribute("points"), path.string());
    entry["validation"] = static_cast<bool>(validation[i]);
    files.push_back(entry);
  }
  folder.finish({{"blocks", blocks}, {"latent", latent}, {"trajectories", files}});
}

ActivationCache::ActivationCache(std::filesystem::path folder, const Identity& identity) : folder_(std::move(folder)) {
  const json content = cache_folder(folder_, identity).content();
  std::vector<Hdf5Pool::File> files;
  try {
    blocks_ = content.at("blocks").get<std::vector<std::int64_t>>();
    latent_ = content.at("latent").get<std::vector<std::int64_t>>();
    for (const json& item : content.at("trajectories")) {
      files.push_back({item.at("file"), item.at("bytes")});
      auto& split = item.at("validation").get<bool>() ? validation_ : train_;
      for (std::size_t p = 0; p < item.at("points").size(); ++p)
        split.push_back({files.size() - 1, static_cast<std::int64_t>(p)});
    }
  } catch (const json::exception&) {
    throw UserError({(folder_ / "manifest.json").string(), "a manifest that lacks values", "one of an activation cache",
                     "remove the folder and run `rehyat cache` again"});
  }
  files_ = Hdf5Pool(folder_, std::move(files), "cache");
  has_targets_ = files_.size() > 0 && [&] {
    for (const std::string& name : files_.at(0).names()) {
      if (name.ends_with("/target")) return true;
    }
    return false;
  }();
}

std::int64_t ActivationCache::size(Split split) const {
  return static_cast<std::int64_t>((split == Split::train ? train_ : validation_).size());
}

at::Tensor ActivationCache::read(Split split, std::int64_t i, std::int64_t block, const char* what,
                                 const HostMemory& memory) const {
  const auto& entries = split == Split::train ? train_ : validation_;
  require(i >= 0 && i < static_cast<std::int64_t>(entries.size()),
          [&] { return cat(folder_.string(), ": found a request for point ", i, ", expected 0 to ", entries.size()); });
  const Entry& entry = entries[static_cast<std::size_t>(i)];
  const std::lock_guard lock(*reading_);
  return files_.at(entry.file).read(dataset_name(entry.point, block, what), memory);
}

at::Tensor ActivationCache::input(Split split, std::int64_t i, std::int64_t block, const HostMemory& memory) const {
  return read(split, i, block, "input", memory);
}
at::Tensor ActivationCache::target(Split split, std::int64_t i, std::int64_t block, const HostMemory& memory) const {
  return read(split, i, block, "target", memory);
}

}  // namespace rehyat::data
