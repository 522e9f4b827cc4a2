#include "data/dataset/shards.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/dataset/windows.h"
#include "data/sources/buckets.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/checksum_memory.h"
#include "files/json.h"
#include "tensor/hdf5_file.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr const char* kClipFile = "clip-part-";

/// Runs the work on one clip and returns what it throws that does not end the run.
template <typename Work>
std::optional<ClipFault> attempt(const ClipFile& clip, Work&& work) {
  try {
    work();
    return {};
  } catch (const PassingFailure& error) {
    return ClipFault{error.what(), true, {}};
  } catch (const ShortClip& error) {
    return ClipFault{error.what(), false, error.pictures};
  } catch (const UserError& error) {
    return ClipFault{error.what(), false, {}};
  } catch (const std::bad_alloc&) {
    return ClipFault{cat(clip.shown(), ": found too little memory for a window, expected enough"), true, {}};
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return ClipFault{cat(clip.shown(), ": ", text.substr(0, text.find('\n'))), true, {}};
  }
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

void Shards::write(std::size_t shard, Throughput& throughput, const comm::Communicator& world) const {
  // What was tried is saved before the shard: killed in between, no old shard may pass for what the list says.
  std::filesystem::remove(path(shard));
  LeftOut left_out;
  for (std::size_t clip = first(shard); clip < last(shard); ++clip) {
    if (std::filesystem::exists(clip_file(clip))) continue;
    one_clip(clip, left_out, throughput, world);
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

void Shards::one_clip(std::size_t clip, LeftOut& left_out, Throughput& throughput,
                      const comm::Communicator& world) const {
  const std::string state = file_state(clips_.files[clip].path);
  const std::optional<ClipFault> fault =
      config_.buckets.empty() ? windows(clip, 0, throughput, world) : in_a_bucket(clip, left_out, throughput, world);
  if (!fault) return;
  left_out.quarantine.push_back({{"file", clips_.videos[clip]}, {"reason", fault->reason}});
  left_out.tried.push_back({{"file", clips_.videos[clip]}, {"state", state}, {"again", fault->retry}});
  log::warn("clip set aside: ", fault->reason);
}

/// Looks for the clip's bucket. Where the clip turns out to be shorter than its container says, it looks again; and
/// before it drops a clip as too short, it measures it.
std::optional<ClipFault> Shards::in_a_bucket(std::size_t clip, LeftOut& left_out, Throughput& throughput,
                                             const comm::Communicator& world) const {
  VideoInfo info;
  ClipShape shape;
  const auto probe = [&](Length length) {
    return attempt(clips_.files[clip], [&] {
      info = probe_video(clips_.files[clip], length);
      shape = shape_of(info, config_.fps);
    });
  };
  std::optional<ClipFault> fault = probe(Length::stated);
  bool read = false;  // the number of pictures is known from reading them
  while (!fault) {
    const BucketChoice choice = choose_bucket(config_, shape);
    if (choice.too_short && !info.measured && !read) {
      fault = probe(Length::measured);
      continue;
    }
    if (!choice.bucket) {
      left_out.dropped.push_back({{"file", clips_.videos[clip]}, {"why", choice.kind}, {"reason", choice.reason}});
      log::debug("clip dropped: ", clips_.videos[clip], ": ", choice.reason);
      return {};
    }
    fault = windows(clip, *choice.bucket, throughput, world);
    // Each turn the clip gets shorter.
    if (!fault || !fault->pictures || *fault->pictures >= shape.pictures) return fault;
    shape.pictures = *fault->pictures;
    read = true;
    fault.reset();
  }
  return fault;
}

/// Writes the windows of a clip into its own file. Returns why the clip cannot be used; damage may show after some
/// windows.
std::optional<ClipFault> Shards::windows(std::size_t clip, std::size_t bucket, Throughput& throughput,
                                         const comm::Communicator& world) const {
  Hdf5Writer file(clip_file(clip));
  json entries = json::array();
  std::optional<ClipWindows> windows;
  std::vector<at::Tensor> latents;
  std::optional<ClipFault> fault;
  do {
    world.poll();
    if (stop_requested())
      throw Stopped("prepare stopped; start the same command again to go on with the clips that are left");
    fault = attempt(clips_.files[clip], [&] {
      if (!windows) windows.emplace(of_bucket_[bucket], codec_, seed_, clips_.files[clip], clip);
      latents = windows->next();
    });
    if (fault) break;
    // Outside of the attempt: a full disk is no fault of the clip.
    for (const at::Tensor& window : latents) {
      file.write(cat("latents/", entries.size()), window);
      entries.push_back({{"clip", clip}});
      if (!config_.buckets.empty()) entries.back()["bucket"] = bucket;
    }
  } while (!latents.empty());
  if (windows) throughput.spent(windows->decode_seconds(), windows->codec_seconds());
  if (fault) return fault;
  const ClipRemarks& remarks = windows->remarks();
  if (remarks.hdr) throughput.hdr_clip();
  if (!remarks.track.empty()) log::info(clips_.files[clip].shown(), ": ", remarks.track);
  file.attribute("entries", entries.dump());
  file.commit();
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
