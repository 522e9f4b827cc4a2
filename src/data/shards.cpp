#include "data/shards.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <optional>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/hdf5_file.h"
#include "data/video.h"
#include "data/windows.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

/// Why a clip was set aside.
struct Verdict {
  std::string reason;
  bool again = false;  ///< not the clip's fault for certain: try it at the next start
};

/// What decoding and encoding of one clip may throw without ending the run.
template <typename Work>
std::optional<Verdict> attempt(const std::filesystem::path& clip, Work&& work) {
  try {
    work();
    return {};
  } catch (const PassingFailure& error) {
    return Verdict{error.what(), true};
  } catch (const UserError& error) {
    return Verdict{error.what(), false};
  } catch (const std::bad_alloc&) {
    return Verdict{cat(clip.string(), ": found too little memory for a window, expected enough"), true};
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    return Verdict{cat(clip.string(), ": ", text.substr(0, text.find('\n'))), true};
  }
}

}  // namespace

Shards::Shards(const DataConfig& config, const ClipList& clips, VideoCodec& codec, std::uint64_t seed,
               std::filesystem::path folder, std::int64_t clips_per_shard)
    : config_(config),
      clips_(clips),
      codec_(codec),
      seed_(seed),
      folder_(std::move(folder)),
      clips_per_shard_(static_cast<std::size_t>(clips_per_shard)) {}

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

std::filesystem::path Shards::tried(std::size_t shard) const {
  return path(shard).replace_extension(".tried.json");
}

bool Shards::done(std::size_t shard) const {
  if (!std::filesystem::exists(path(shard))) return false;
  if (!std::filesystem::exists(tried(shard))) return true;  // every clip of it could be used
  const json list = parse_json_if(read_file(tried(shard))).value_or(json());
  if (!list.is_object() || list.value("library", "") != video_library_version() || !list.contains("clips"))
    return false;
  return std::ranges::all_of(list["clips"], [&](const json& clip) {
    return clip.is_object() && !clip.value("again", true) &&
           clip.value("state", "") == file_state(config_.videos / clip.value("file", ""));
  });
}

void Shards::write(std::size_t shard, Times& times, Progress& progress, const dist::Communicator& world) const {
  // What was tried is saved before the shard: killed in between, no old shard may pass for what the list says.
  std::filesystem::remove(path(shard));
  Hdf5Writer file(path(shard));
  json entries = json::array(), bad = json::array(), states = json::array();
  std::int64_t index = 0;
  for (std::size_t clip = first(shard); clip < last(shard); ++clip) {
    world.poll();
    if (stop_requested())
      throw Stopped("prepare stopped; start the same command again to go on with the shards that are left");
    const std::filesystem::path video = config_.videos / clips_.videos[clip];
    const std::string state = file_state(video);
    const std::int64_t before = index;
    std::optional<ClipWindows> windows;
    std::vector<at::Tensor> latents;
    std::optional<Verdict> verdict;
    do {
      verdict = attempt(video, [&] {
        if (!windows) windows.emplace(config_, codec_, seed_, video, clip);
        latents = windows->next();
      });
      if (verdict) break;
      // Outside of the attempt: a full disk is no fault of the clip.
      for (const at::Tensor& window : latents) file.write(cat("latents/", index++), window);
    } while (!latents.empty());
    if (windows) {
      times.decode += windows->decode_seconds();
      times.codec += windows->codec_seconds();
    }
    if (verdict) {
      while (index > before) file.remove(cat("latents/", --index));  // damage may show after some windows
      bad.push_back({{"file", clips_.videos[clip]}, {"reason", verdict->reason}});
      states.push_back({{"file", clips_.videos[clip]}, {"state", state}, {"again", verdict->again}});
      log::warn("clip set aside: ", verdict->reason);
    }
    for (std::int64_t i = before; i < index; ++i) entries.push_back({{"clip", clip}});
    progress.advance(1, clips_.videos[clip]);
  }
  file.attribute("entries", entries.dump());
  file.attribute("quarantine", bad.dump(-1, ' ', false, json::error_handler_t::replace));
  if (bad.empty()) {
    std::filesystem::remove(tried(shard));
  } else {
    write_file_atomic(tried(shard), json{{"library", video_library_version()}, {"clips", states}}.dump(1) + "\n");
  }
  file.commit();
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
