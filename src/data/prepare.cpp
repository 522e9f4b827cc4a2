#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/captions.h"
#include "data/clips.h"
#include "data/hdf5_file.h"
#include "data/video.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Times {
  double decode = 0, codec = 0;
};

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string shard_name(std::size_t shard) {
  char name[40];
  std::snprintf(name, sizeof name, "shard-%05zu.h5", shard);
  return name;
}

/// Frames played forwards and backwards until there are at least `wanted`.
at::Tensor bounced(const at::Tensor& frames, std::int64_t wanted) {
  const std::int64_t count = frames.size(0);
  if (count >= wanted || count < 2) return frames;
  const std::int64_t period = 2 * (count - 1);
  const at::Tensor place = at::arange(wanted, at::kLong).remainder(period);
  return frames.index_select(0, at::minimum(place, period - place));
}

/// All work of one rank; the folder, the list of clips and their captions are the same on every rank.
class Preparation {
 public:
  Preparation(const DataConfig& config, VideoCodec& codec, std::uint64_t seed, const std::filesystem::path& folder)
      : config_(config), codec_(codec), seed_(seed), folder_(folder) {
    videos_ = list_videos(config.videos);
    captions_ = Captions::load({config.videos, config.captions, config.allow_missing_captions}, videos_);
  }

  std::size_t shards() const {
    const auto size = static_cast<std::size_t>(config_.clips_per_shard);
    return (videos_.size() + size - 1) / size;
  }
  std::size_t clips() const { return videos_.size(); }
  const std::string& caption(std::size_t clip) const { return captions_.at(videos_[clip]); }
  const std::string& video(std::size_t clip) const { return videos_[clip]; }
  bool done(std::size_t shard) const { return std::filesystem::exists(folder_ / shard_name(shard)); }
  std::size_t first_clip(std::size_t shard) const { return shard * static_cast<std::size_t>(config_.clips_per_shard); }
  std::size_t last_clip(std::size_t shard) const { return std::min(first_clip(shard + 1), videos_.size()); }

  void write_shard(std::size_t shard, Times& times, Progress& progress, const dist::Communicator& world) const {
    Hdf5Writer file(folder_ / shard_name(shard));
    json entries = json::array(), bad = json::array();
    std::int64_t index = 0;
    for (std::size_t clip = first_clip(shard); clip < last_clip(shard); ++clip) {
      world.poll();
      if (stop_requested())
        throw Stopped("prepare stopped; start the same command again to go on with the shards that are left");
      try {
        for (const at::Tensor& latents : encode_clip(clip, times)) {
          file.write(cat("latents/", index), latents);
          entries.push_back({{"clip", clip}});
          ++index;
        }
      } catch (const UserError& error) {
        bad.push_back({{"file", videos_[clip]}, {"reason", error.what()}});
        log::warn("clip set aside: ", error.what());
      }
      progress.advance(1, videos_[clip]);
    }
    file.attribute("entries", entries.dump());
    file.attribute("quarantine", bad.dump());
    file.commit();
  }

 private:
  /// The latents of every window of a clip.
  std::vector<at::Tensor> encode_clip(std::size_t clip, Times& times) const {
    const auto start = Clock::now();
    const std::int64_t stride = config_.window_stride();
    const std::int64_t enough = config_.max_windows > 0 ? (config_.max_windows - 1) * stride + config_.frames : 0;
    const std::int64_t height = config_.size[0], width = config_.size[1];
    const auto decode = [&](std::int64_t zoom) {
      const at::Tensor raw =
          decode_clip(config_.videos / videos_[clip], config_.fps, enough, zoom * height, zoom * width);
      return config_.short_clips == ShortClips::bounce ? bounced(raw, config_.frames) : raw;
    };
    const at::Tensor frames = decode(1), large = config_.crops > 0 ? decode(2) : at::Tensor();
    times.decode += since(start);
    require(frames.size(0) >= config_.frames, [&] {
      return cat((config_.videos / videos_[clip]).string(), ": found ", frames.size(0), " frames at ", config_.fps,
                 " fps, expected at least ", config_.frames);
    });
    const auto encoding = Clock::now();
    std::vector<at::Tensor> out;
    for (std::int64_t at = 0; at + config_.frames <= frames.size(0); at += stride) {
      const auto encode = [&](const at::Tensor& pixels) {
        const at::Tensor video = pixels.permute({3, 0, 1, 2}).to(at::kFloat) / 127.5 - 1;
        out.push_back(codec_.encode(video).to(at::kFloat));
        if (config_.flip) out.push_back(codec_.encode(video.flip(3)).to(at::kFloat));
      };
      encode(frames.narrow(0, at, config_.frames));
      Rng place(seed_, "data.crop", {clip, static_cast<std::uint64_t>(at)});
      for (std::int64_t i = 0; i < config_.crops; ++i) {
        const auto top = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(height) + 1));
        const auto left = static_cast<std::int64_t>(place.below(static_cast<std::uint64_t>(width) + 1));
        encode(large.narrow(0, at, config_.frames).narrow(1, top, height).narrow(2, left, width));
      }
    }
    times.codec += since(encoding);
    return out;
  }

  const DataConfig& config_;
  VideoCodec& codec_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  std::vector<std::string> videos_;
  Captions captions_;
};

/// Which clips are held out: a seeded draw among the usable ones, at least one where a share is asked for.
std::set<std::size_t> held_out(std::vector<std::size_t> usable, double share, std::uint64_t seed) {
  if (share <= 0 || usable.size() < 2) return {};
  const auto wanted = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::llround(share * static_cast<double>(usable.size()))), 1, usable.size() - 1);
  Rng(seed, "data.split").shuffle(usable);
  return {usable.begin(), usable.begin() + static_cast<std::ptrdiff_t>(wanted)};
}

/// One table of embeddings for all captions; row 0 is the empty prompt.
json write_text(const std::vector<std::string>& captions, TextEncoder& encoder, const std::filesystem::path& folder) {
  constexpr std::size_t kBatch = 32;
  Hdf5Writer file(folder / "text.h5");
  for (std::size_t at = 0; at < captions.size(); at += kBatch) {
    const std::vector<std::string> batch(
        captions.begin() + static_cast<std::ptrdiff_t>(at),
        captions.begin() + static_cast<std::ptrdiff_t>(std::min(at + kBatch, captions.size())));
    const at::Tensor rows = encoder.encode(batch);
    for (std::size_t i = 0; i < batch.size(); ++i) file.write(cat("text/", at + i), rows[static_cast<std::int64_t>(i)]);
  }
  file.commit();
  return file_entry(folder, "text.h5");
}

/// Gathers what the shards say, splits and writes the manifest, last.
json finish(const Preparation& work, const DataConfig& config, TextEncoder& encoder, std::uint64_t seed,
            const std::filesystem::path& folder, const Identity& identity) {
  json shards = json::array(), quarantine = json::array();
  std::vector<std::pair<std::size_t, std::size_t>> samples;  // shard, clip; in order
  std::vector<std::int64_t> index_in_shard;
  std::vector<std::size_t> usable;
  for (std::size_t shard = 0; shard < work.shards(); ++shard) {
    const Hdf5Reader file(folder / shard_name(shard));
    std::int64_t index = 0;
    for (const json& entry : parse_json(file.attribute("entries"), shard_name(shard))) {
      const auto clip = entry.at("clip").get<std::size_t>();
      if (usable.empty() || usable.back() != clip) usable.push_back(clip);
      samples.emplace_back(shard, clip);
      index_in_shard.push_back(index++);
    }
    for (const json& bad : parse_json(file.attribute("quarantine"), shard_name(shard))) quarantine.push_back(bad);
    shards.push_back(file_entry(folder, shard_name(shard)));
  }
  const std::filesystem::path list_path = folder / "quarantine.jsonl";
  std::filesystem::remove(list_path);
  Quarantine list_of_bad(list_path);
  for (const json& bad : quarantine) list_of_bad.add(bad.at("file"), bad.at("reason"));
  list_of_bad.save();
  list_of_bad.require_share(work.clips(), config.max_bad_share);
  require(!usable.empty(), [&] {
    return cat(config.videos.string(), ": found no usable clip; the reasons are in ",
               (folder / "quarantine.jsonl").string());
  });

  std::vector<std::string> captions = {""};
  std::map<std::string, std::size_t> known = {{"", 0}};
  const std::set<std::size_t> validation = held_out(usable, config.validation_share, seed);
  json list = json::array();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto [shard, clip] = samples[i];
    const auto [caption, fresh] = known.emplace(work.caption(clip), captions.size());
    if (fresh) captions.push_back(work.caption(clip));
    list.push_back({{"shard", shard},
                    {"index", index_in_shard[i]},
                    {"clip", work.video(clip)},
                    {"caption", caption->second},
                    {"validation", validation.contains(clip)}});
  }
  const json text = write_text(captions, encoder, folder);
  write_manifest(folder, identity, {{"shards", shards}, {"text", text}, {"captions", captions}, {"samples", list}});
  return {{"clips", work.clips()},     {"usable_clips", usable.size()},   {"validation_clips", validation.size()},
          {"samples", samples.size()}, {"captions", captions.size() - 1}, {"quarantined", quarantine.size()}};
}

}  // namespace

Identity dataset_identity(const DataConfig& config, const VideoCodec& codec, const TextEncoder& text,
                          std::uint64_t seed) {
  json settings = config::to_json(config);
  // What a clip list holds decides the content too: names and sizes, so that an exchanged video is noticed.
  Hasher files;
  for (const auto& video : list_videos(config.videos))
    files.update(cat(video, '\n', std::filesystem::file_size(config.videos / video), '\n'));
  const std::string captions = config.captions.empty() ? "" : hash_file(config.captions);
  return {{"format", 1},          {"settings", settings},         {"files", files.digest()},
          {"captions", captions}, {"codec", codec.fingerprint()}, {"text_encoder", text.fingerprint()},
          {"seed", seed}};
}

json prepare(const DataConfig& config, VideoCodec& codec, TextEncoder& text, std::uint64_t seed,
             const std::filesystem::path& folder, const dist::Communicator& world) {
  const auto start = Clock::now();
  std::unique_ptr<Preparation> work;
  Identity identity;
  world.together([&] {
    identity = dataset_identity(config, codec, text, seed);
    work = std::make_unique<Preparation>(config, codec, seed, folder);
    if (world.rank() == 0) open_folder(folder, identity);
  });
  world.barrier();
  std::vector<std::size_t> mine;
  std::int64_t kept = 0, clips = 0;
  for (std::size_t shard = 0; shard < work->shards(); ++shard) {
    if (shard % static_cast<std::size_t>(world.size()) != static_cast<std::size_t>(world.rank())) continue;
    const auto count = static_cast<std::int64_t>(work->last_clip(shard) - work->first_clip(shard));
    clips += count;
    work->done(shard) ? static_cast<void>(kept += count) : mine.push_back(shard);
  }
  Times times;
  const auto encode = [&] {
    Progress progress("prepare", clips, "clips", kept);
    for (const std::size_t shard : mine) work->write_shard(shard, times, progress, world);
    progress.finish();
  };
  world.together(encode, dist::Communicator::Length::lengthy);
  json summary;
  world.together([&] {
    if (world.rank() == 0) summary = finish(*work, config, text, seed, folder, identity);
  });
  summary = parse_json(world.broadcast(summary.dump(), 0), "prepare");
  const double seconds = since(start);
  summary["seconds"] = seconds;
  if (seconds > 0 && !mine.empty()) {
    log::info("prepare: ", static_cast<double>(clips - kept) / seconds, " clips/s on rank 0, of the time ",
              static_cast<int>(100 * times.decode / seconds), " % decode, ",
              static_cast<int>(100 * times.codec / seconds), " % codec");
  }
  return summary;
}

}  // namespace rehyat::data
