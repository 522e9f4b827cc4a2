#include "data/prepare.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>

#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/strings.h"
#include "data/clips.h"
#include "data/hdf5_file.h"
#include "data/shards.h"
#include "data/split.h"
#include "data/video.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

/// What all shards say, in the order of the clips.
struct Gathered {
  struct Sample {
    std::size_t shard, clip;
    std::int64_t index;
  };
  std::vector<Sample> samples;
  std::vector<std::size_t> usable;
  json shards = json::array(), quarantine = json::array();
};

Gathered gather(const Shards& work, const ClipList& clips, const std::filesystem::path& folder) {
  Gathered out;
  for (std::size_t shard = 0; shard < work.count(); ++shard) {
    const Hdf5Reader file(work.path(shard));
    std::int64_t index = 0;
    try {
      for (const json& entry : parse_json(file.attribute("entries"), work.path(shard).string())) {
        const auto clip = entry.at("clip").get<std::size_t>();
        require(clip < clips.videos.size(), [&] {
          return cat(work.path(shard).string(), ": found clip ", clip, " of ", clips.videos.size(),
                     "; remove the file and run `rehyat prepare` again");
        });
        if (out.usable.empty() || out.usable.back() != clip) out.usable.push_back(clip);
        out.samples.push_back({shard, clip, index++});
      }
      for (const json& bad : parse_json(file.attribute("quarantine"), work.path(shard).string()))
        out.quarantine.push_back(bad);
    } catch (const json::exception&) {
      throw UserError({work.path(shard).string(), "a shard whose list cannot be read", "one of this program",
                       "remove the file and run `rehyat prepare` again"});
    }
    out.shards.push_back(file_entry(folder, work.path(shard).filename().string()));
  }
  return out;
}

void write_quarantine(const Gathered& gathered, const ClipList& clips, const DataConfig& config,
                      const std::filesystem::path& path) {
  std::filesystem::remove(path);
  Quarantine list(path);
  for (const json& bad : gathered.quarantine) list.add(bad.at("file"), bad.at("reason"));
  list.save();
  list.require_share(clips.videos.size(), config.max_bad_share);
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
json finish(const Shards& work, const ClipList& clips, const DataConfig& config, TextEncoder& encoder,
            std::uint64_t seed, const std::filesystem::path& folder, const Identity& identity) {
  const Gathered gathered = gather(work, clips, folder);
  write_quarantine(gathered, clips, config, folder / "quarantine.jsonl");
  std::vector<GroupedClip> usable;
  for (const std::size_t clip : gathered.usable) usable.push_back({clip, clips.captions.group(clips.videos[clip])});
  const std::set<std::size_t> validation = held_out(usable, config.validation_share, seed);

  std::vector<std::string> captions = {""};
  std::map<std::string, std::size_t> known = {{"", 0}};
  json list = json::array();
  for (const Gathered::Sample& sample : gathered.samples) {
    const std::string& video = clips.videos[sample.clip];
    const std::string& text = clips.captions.at(video);
    const auto [caption, fresh] = known.emplace(text, captions.size());
    if (fresh) captions.push_back(text);
    list.push_back({{"shard", sample.shard},
                    {"index", sample.index},
                    {"clip", video},
                    {"caption", caption->second},
                    {"validation", validation.contains(sample.clip)}});
  }
  const json text = write_text(captions, encoder, folder);
  write_manifest(folder, identity,
                 {{"shards", gathered.shards}, {"text", text}, {"captions", captions}, {"samples", list}});
  return {{"clips", clips.videos.size()},          {"usable_clips", gathered.usable.size()},
          {"validation_clips", validation.size()}, {"samples", gathered.samples.size()},
          {"captions", captions.size() - 1},       {"quarantined", gathered.quarantine.size()}};
}

/// This rank's shards, in turn.
struct Share {
  std::vector<std::size_t> to_do;
  std::int64_t clips = 0, kept = 0;
};

Share share_of(const Shards& work, const dist::Communicator& world) {
  Share share;
  for (auto shard = static_cast<std::size_t>(world.rank()); shard < work.count();
       shard += static_cast<std::size_t>(world.size())) {
    share.clips += work.clips_in(shard);
    if (work.done(shard)) {
      share.kept += work.clips_in(shard);
    } else {
      share.to_do.push_back(shard);
    }
  }
  return share;
}

}  // namespace

json prepare(const DataConfig& config, VideoCodec& codec, TextEncoder& text, std::uint64_t seed,
             const Identity& identity, const std::filesystem::path& folder, const dist::Communicator& world) {
  const auto start = Clock::now();
  ClipList clips;
  std::int64_t per_shard = 0;
  world.together([&] {
    require_video_library();
    clips = list_clips(config);
    if (world.rank() != 0) return;
    open_folder(folder, identity);
    per_shard = shard_size(folder, config.clips_per_shard);
  });
  per_shard = std::stoll(world.broadcast(std::to_string(per_shard), 0));
  if (per_shard != config.clips_per_shard)
    log::info("prepare: goes on with ", per_shard, " clips in a shard, as this folder was begun");
  const Shards work(config, clips, codec, seed, folder, per_shard);
  Times times;
  Share mine;
  const auto encode = [&] {
    mine = share_of(work, world);
    Progress progress("prepare", mine.clips, "clips", mine.kept);
    for (const std::size_t shard : mine.to_do) work.write(shard, times, progress, world);
    progress.finish();
  };
  world.together(encode, dist::Communicator::Length::lengthy);
  json summary;
  world.together([&] {
    if (world.rank() == 0) summary = finish(work, clips, config, text, seed, folder, identity);
  });
  summary = parse_json(world.broadcast(summary.dump(), 0), "prepare");
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  summary["seconds"] = seconds;
  if (seconds > 0 && !mine.to_do.empty()) {
    log::info("prepare: ", static_cast<double>(mine.clips - mine.kept) / seconds, " clips/s on rank 0, of the time ",
              static_cast<int>(100 * times.decode / seconds), " % decode, ",
              static_cast<int>(100 * times.codec / seconds), " % codec");
  }
  return summary;
}

}  // namespace rehyat::data
