#include "data/dataset/shards.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/dataset/windows.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/checksum_memory.h"
#include "files/json.h"
#include "tensor/hdf5_file.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kClipFile = "clip-part-";

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Shards::Shards(const DatasetInputs& inputs, std::filesystem::path folder, std::int64_t clips_per_shard)
    : config_(inputs.config),
      clips_(inputs.clips),
      codec_(inputs.codec),
      seed_(inputs.seed),
      folder_(std::move(folder)),
      clips_per_shard_(static_cast<std::size_t>(clips_per_shard)) {
  for (std::size_t bucket = 0; bucket < config_.bucket_count(); ++bucket)
    of_bucket_.push_back(config_.of_bucket(bucket));
}

std::size_t Shards::count() const {
  return (clips_.videos.size() + clips_per_shard_ - 1) / clips_per_shard_;
}

std::size_t Shards::first(std::size_t shard) const {
  return shard * clips_per_shard_;
}

std::size_t Shards::last(std::size_t shard) const {
  return std::min(first(shard + 1), clips_.videos.size());
}

std::int64_t Shards::clips_in(std::size_t shard) const {
  return static_cast<std::int64_t>(last(shard) - first(shard));
}

std::filesystem::path Shards::path(std::size_t shard) const {
  char name[40];
  std::snprintf(name, sizeof name, "shard-%05zu.h5", shard);
  return folder_ / name;
}

std::int64_t Shards::clips_encoded(std::size_t shard) const {
  std::int64_t encoded = 0;
  for (std::size_t clip = first(shard); clip < last(shard); ++clip)
    encoded += std::filesystem::exists(clip_file(clip)) ? 1 : 0;
  return encoded;
}

std::filesystem::path Shards::clip_file(std::size_t clip) const {
  char name[40];
  std::snprintf(name, sizeof name, "%s%06zu.h5", kClipFile, clip);
  return folder_ / name;
}

std::filesystem::path Shards::tried(std::size_t shard) const {
  return path(shard).replace_extension(".tried.json");
}

bool Shards::done(std::size_t shard) const {
  if (!std::filesystem::exists(path(shard))) return false;
  if (!std::filesystem::exists(tried(shard))) return true;  // every clip of it could be used
  const json list = parse_json_if(read_file(tried(shard))).value_or(json());
  if (value_or<std::string>(list, "library", "") != video_library_version() || !list.contains("clips")) return false;
  return std::ranges::all_of(list["clips"], [&](const json& clip) {
    const ClipFile* file = clips_.find(value_or<std::string>(clip, "file", ""));
    return file && !value_or(clip, "again", true) && value_or<std::string>(clip, "state", "") == file_state(file->path);
  });
}

/// What a shard says of clips that are not in it.
struct Shards::LeftOut {
  json dropped = json::array(), quarantine = json::array();
  json tried = json::array();  ///< the state in which each file in quarantine was
};

std::vector<std::size_t> Shards::clips_left(std::size_t shard) const {
  std::vector<std::size_t> out;
  for (std::size_t clip = first(shard); clip < last(shard); ++clip)
    if (!std::filesystem::exists(clip_file(clip))) out.push_back(clip);
  return out;
}

void Shards::write(std::size_t shard, DecodedClips& decoded, Throughput& throughput, const comm::Communicator& world,
                   const std::function<void()>& before_clip) const {
  // What was tried is saved before the shard: killed in between, no old shard may pass for what the list says.
  std::filesystem::remove(path(shard));
  LeftOut left_out;
  for (const std::size_t clip : clips_left(shard)) {
    before_clip();
    one_clip(clip, decoded, left_out, throughput, world);
    throughput.clip_done(clips_.videos[clip]);
  }
  join(shard, left_out);
  for (std::size_t clip = first(shard); clip < last(shard); ++clip) std::filesystem::remove(clip_file(clip));
}

/// Makes a shard of the files of its clips.
void Shards::join(std::size_t shard, const LeftOut& left_out) const {
  Hdf5Writer file(path(shard));
  json entries = json::array();
  for (std::size_t clip = first(shard); clip < last(shard); ++clip) {
    if (!std::filesystem::exists(clip_file(clip))) continue;  // left out
    const Hdf5Reader from(clip_file(clip));
    const json windows = parse_json(from.attribute("entries"), clip_file(clip).string());
    for (std::size_t i = 0; i < windows.size(); ++i) {
      file.write(cat("latents/", entries.size()), from.read(cat("latents/", i)));
      entries.push_back(windows.at(i));
    }
  }
  constexpr auto replace = json::error_handler_t::replace;
  file.attribute("entries", entries.dump());
  file.attribute("quarantine", left_out.quarantine.dump(-1, ' ', false, replace));
  if (!config_.buckets.empty()) file.attribute("dropped", left_out.dropped.dump(-1, ' ', false, replace));
  if (left_out.quarantine.empty()) {
    std::filesystem::remove(tried(shard));
  } else {
    write_file_atomic(tried(shard),
                      json{{"library", video_library_version()}, {"clips", left_out.tried}}.dump(1) + "\n");
  }
  file.commit();
}

void Shards::one_clip(std::size_t clip, DecodedClips& decoded, LeftOut& left_out, Throughput& throughput,
                      const comm::Communicator& world) const {
  ClipEnd end;
  const std::optional<ClipFault> fault = encode(clip, decoded, end, throughput, world);
  if (end.dropped) left_out.dropped.push_back(*end.dropped);
  if (!fault) return;
  left_out.quarantine.push_back({{"file", clips_.videos[clip]}, {"reason", fault->reason}});
  left_out.tried.push_back({{"file", clips_.videos[clip]}, {"state", end.state}, {"again", fault->retry}});
  log::warn("clip set aside: ", fault->reason);
}

/// Writes the latents of a clip's windows into a file of its own. Returns why the clip cannot be used; damage may show
/// after some windows.
std::optional<ClipFault> Shards::encode(std::size_t clip, DecodedClips& decoded, ClipEnd& end, Throughput& throughput,
                                        const comm::Communicator& world) const {
  std::optional<Hdf5Writer> file;
  json entries = json::array();
  std::optional<ClipFault> fault;
  const auto look_up = [&] {
    world.poll();
    if (stop_requested())
      throw Stopped("prepare stopped; start the same command again to go on with the clips that are left");
  };
  double waited = 0, encoding = 0;
  while (!fault) {
    look_up();
    const Clock::time_point start = Clock::now();
    const std::optional<PixelWindow> window = decoded.next(look_up);
    waited += seconds_since(start);
    if (!window) break;
    std::vector<at::Tensor> latents;
    const Clock::time_point got = Clock::now();
    fault = attempt(clips_.files[clip],
                    [&] { latents = encode_window(*window, of_bucket_[window->bucket], codec_, seed_, clip); });
    encoding += seconds_since(got);
    // Outside of the attempt: a full disk is no fault of the clip.
    if (!file) file.emplace(clip_file(clip));
    for (const at::Tensor& of_window : latents) {
      file->write(cat("latents/", entries.size()), of_window);
      entries.push_back({{"clip", clip}});
      if (!config_.buckets.empty()) entries.back()["bucket"] = window->bucket;
    }
  }
  end = decoded.end();
  throughput.spent(waited, end.decode_seconds, encoding);
  if (!fault) fault = end.fault;
  if (fault || !file) return fault;
  if (end.remarks.hdr) throughput.hdr_clip();
  if (!end.remarks.track.empty()) log::info(clips_.files[clip].shown(), ": ", end.remarks.track);
  file->attribute("entries", entries.dump());
  file->commit();
  return {};
}

void remove_clip_files(const std::filesystem::path& folder) {
  remove_files(folder, kClipFile);
}

std::int64_t shard_size(const std::filesystem::path& folder, std::int64_t wanted) {
  const std::filesystem::path path = folder / "layout.json";
  if (!std::filesystem::exists(path)) {
    write_file_atomic(path, json{{"clips_per_shard", wanted}}.dump() + "\n");
    return wanted;
  }
  const json layout = parse_json_if(read_file(path, 1 << 16)).value_or(json());
  const bool good = layout.is_object() && layout.contains("clips_per_shard") &&
                    layout["clips_per_shard"].is_number_integer() && layout["clips_per_shard"].get<std::int64_t>() > 0;
  require(good, [&] {
    return path.string() + ": found no number of clips in a shard; remove the folder and run `rehyat prepare` again";
  });
  return layout["clips_per_shard"].get<std::int64_t>();
}

}  // namespace rehyat::data
