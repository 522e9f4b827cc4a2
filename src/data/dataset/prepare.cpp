#include "data/dataset/prepare.h"

#include <chrono>
#include <map>
#include <set>

#include "comm/work_queue.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/dataset/dataset_table.h"
#include "data/dataset/shards.h"
#include "data/dataset/split.h"
#include "data/dataset/text_table.h"
#include "data/sources/clips.h"
#include "data/video/video.h"
#include "files/json.h"
#include "tensor/hdf5_file.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

/// What all shards say, in the order of the clips.
ClipOutcomes gather(const Shards& work, const ClipList& clips, const DataConfig& config,
                    const std::filesystem::path& folder) {
  ClipOutcomes out;
  for (std::size_t shard = 0; shard < work.count(); ++shard) {
    const Hdf5Reader file(work.path(shard));
    out.shards.push_back(file_entry(folder, work.path(shard).filename().string()));
    std::int64_t index = 0;
    try {
      for (const json& entry : parse_json(file.attribute("entries"), work.path(shard).string())) {
        const auto clip = entry.at("clip").get<std::size_t>();
        require(clip < clips.videos.size(), [&] {
          return cat(work.path(shard).string(), ": found clip ", clip, " of ", clips.videos.size(),
                     "; remove the file and run `rehyat prepare` again");
        });
        if (out.usable.empty() || out.usable.back() != clip) out.usable.push_back(clip);
        const auto bucket = config.buckets.empty() ? 0 : entry.at("bucket").get<std::size_t>();
        require(bucket < config.bucket_count(), [&] {
          return cat(work.path(shard).string(), ": found bucket ", bucket, " of ", config.bucket_count(),
                     "; remove the file and run `rehyat prepare` again");
        });
        out.samples.push_back({shard, clip, bucket, index++});
      }
      for (const json& bad : parse_json(file.attribute("quarantine"), work.path(shard).string()))
        out.quarantine.push_back(bad);
      if (config.buckets.empty()) continue;
      for (const json& clip : parse_json(file.attribute("dropped"), work.path(shard).string()))
        out.dropped.push_back(clip);
    } catch (const json::exception&) {
      throw UserError({work.path(shard).string(), "a shard whose list cannot be read", "one of this program",
                       "remove the file and run `rehyat prepare` again"});
    }
  }
  return out;
}

void write_list(const json& clips, const std::filesystem::path& path) {
  std::filesystem::remove(path);
  Quarantine list(path);
  for (const json& clip : clips) list.add(clip.at("file"), clip.at("reason"));
  list.save();
}

/// Lists the clips that are left out; throws where there are too many of them.
void write_lists(const ClipOutcomes& outcomes, const ClipList& clips, const DataConfig& config,
                 const std::filesystem::path& folder) {
  if (!config.buckets.empty()) write_list(outcomes.dropped, folder / "dropped.jsonl");
  write_list(outcomes.quarantine, folder / "quarantine.jsonl");
  Quarantine(folder / "quarantine.jsonl").require_share(clips.videos.size(), config.max_bad_share);
  require(!outcomes.samples.empty() || outcomes.dropped.empty(), [&] {
    const json& first = outcomes.dropped.front();
    return cat((folder / "dropped.jsonl").string(), ": found ", outcomes.dropped.size(), " of ", clips.videos.size(),
               " clips that fit no bucket, expected some that do; the first is ", first.at("file").get<std::string>(),
               " (", first.at("reason").get<std::string>(), "); add a smaller or shorter bucket to data.buckets");
  });
}

/// A dataset but for its embeddings and its manifest; on rank 0.
struct Draft {
  ClipOutcomes outcomes;
  std::set<std::size_t> validation;
  json captions = json::array({""}), samples = json::array(), table;  // caption 0 is the empty prompt
};

Draft draft_of(const Shards& work, const ClipList& clips, const DataConfig& config, std::uint64_t seed,
               const std::filesystem::path& folder) {
  Draft draft{gather(work, clips, config, folder), {}, json::array({""}), json::array(), {}};
  write_lists(draft.outcomes, clips, config, folder);
  std::vector<GroupedClip> usable;
  for (const std::size_t clip : draft.outcomes.usable)
    usable.push_back({clip, clips.captions.group(clips.videos[clip])});
  draft.validation = held_out(usable, config.validation_share, seed);
  std::map<std::string, std::size_t> known = {{"", 0}};
  for (const ClipOutcomes::Sample& sample : draft.outcomes.samples) {
    const std::string& video = clips.videos[sample.clip];
    const std::string& text = clips.captions.at(video);
    const auto [caption, fresh] = known.emplace(text, draft.captions.size());
    if (fresh) draft.captions.push_back(text);
    draft.samples.push_back({{"shard", sample.shard},
                             {"index", sample.index},
                             {"clip", video},
                             {"caption", caption->second},
                             {"validation", draft.validation.contains(sample.clip)}});
    if (!config.buckets.empty()) draft.samples.back()["bucket"] = sample.bucket;
  }
  draft.table = dataset_table(config, clips, draft.outcomes, draft.validation);
  return draft;
}

/// Gathers what the shards say, splits, encodes the captions on all ranks and writes the manifest, last. Returns the
/// summary on rank 0.
json finish(const Shards& work, const ClipList& clips, const DataConfig& config, models::TextEncoder& encoder,
            std::uint64_t seed, const MarkedFolder& out, Throughput& throughput, const comm::Communicator& world) {
  const std::filesystem::path& folder = out.path();
  Draft draft;
  world.together([&] {
    if (world.rank() == 0) draft = draft_of(work, clips, config, seed, folder);
  });
  const auto captions =
      parse_json(world.broadcast(draft.captions.dump(), 0), "prepare").get<std::vector<std::string>>();
  const json text = write_text_table(
      captions, {encoder, folder, "prepare", [&](double seconds) { throughput.text_encoded(seconds); }}, world);
  world.together([&] {
    if (world.rank() != 0) return;
    json content = {
        {"shards", draft.outcomes.shards}, {"text", text}, {"captions", captions}, {"samples", draft.samples}};
    if (!config.buckets.empty()) content["table"] = draft.table;
    out.finish(content);
    remove_clip_parts(folder);
    remove_text_parts(folder);
    for (const std::string& line : table_lines(draft.table)) log::info(line);
  });
  return {{"clips", clips.videos.size()},
          {"usable_clips", draft.outcomes.usable.size()},
          {"validation_clips", draft.validation.size()},
          {"samples", draft.samples.size()},
          {"captions", captions.size() - 1},
          {"dropped", draft.outcomes.dropped.size()},
          {"quarantined", draft.outcomes.quarantine.size()},
          {"table", draft.table}};
}

/// The shards that are not done yet, as rank 0 sees them: file systems of several machines need not show the same.
std::vector<std::size_t> shards_to_do(const Shards& work, const comm::Communicator& world) {
  json list = json::array();
  world.together([&] {
    if (world.rank() != 0) return;
    for (std::size_t shard = 0; shard < work.count(); ++shard)
      if (!work.done(shard)) list.push_back(shard);
  });
  return parse_json(world.broadcast(list.dump(), 0), "prepare").get<std::vector<std::size_t>>();
}

/// Hands the shards out to whichever rank is free.
void write_shards(const Shards& work, const std::vector<std::size_t>& to_do, Throughput& throughput,
                  const comm::Communicator& world) {
  comm::WorkQueue queue(world, static_cast<std::int64_t>(to_do.size()));
  const auto encode = [&] {
    while (const auto job = queue.next()) {
      work.write(to_do[static_cast<std::size_t>(*job)], throughput, world);
      world.poll();
    }
  };
  world.together(encode, comm::Communicator::Length::lengthy);
  throughput.clips_finished();
}

}  // namespace

json prepare(const DataConfig& config, const ClipList& clips, models::VideoCodec& codec, models::TextEncoder& text,
             std::uint64_t seed, const MarkedFolder& out, const comm::Communicator& world) {
  const std::filesystem::path& folder = out.path();
  const auto start = Clock::now();
  std::int64_t per_shard = 0;
  world.together([&] {
    require_video_library();
    if (world.rank() != 0) return;
    per_shard = shard_size(folder, config.clips_per_shard);
  });
  per_shard = std::stoll(world.broadcast(std::to_string(per_shard), 0));
  if (per_shard != config.clips_per_shard)
    log::info("prepare: goes on with ", per_shard, " clips in a shard, as this folder was begun");
  if (clips.left_out > 0)
    log::info("prepare: ", clips.left_out, " members of the archives are neither videos nor their captions");
  const Shards work(config, clips, codec, seed, folder, per_shard);
  const std::vector<std::size_t> to_do = shards_to_do(work, world);
  auto kept = static_cast<std::int64_t>(clips.videos.size());
  for (const std::size_t shard : to_do) kept -= work.clips_in(shard) - work.clips_kept(shard);
  Throughput throughput(world, static_cast<std::int64_t>(clips.videos.size()), kept);
  write_shards(work, to_do, throughput, world);
  json summary = finish(work, clips, config, text, seed, out, throughput, world);
  summary["throughput"] = throughput.summary();
  summary = parse_json(world.broadcast(summary.dump(), 0), "prepare");
  summary["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
  log::info(throughput.line());
  return summary;
}

}  // namespace rehyat::data
