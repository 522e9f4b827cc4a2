#include "data/dataset/prepare.h"

#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "comm/root.h"
#include "comm/work_queue.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/dataset/dataset_table.h"
#include "data/dataset/decoded_clips.h"
#include "data/dataset/left_out_clips.h"
#include "data/dataset/shards.h"
#include "data/dataset/split.h"
#include "data/dataset/text_table.h"
#include "data/video/video.h"
#include "files/json.h"
#include "tensor/hdf5_file.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

/// What the lists in all shards say of their clips, in the order of the clips.
ClipOutcomes read_outcomes(const Shards& shards, const DatasetInputs& inputs) {
  ClipOutcomes out;
  const std::size_t clips = inputs.clips.videos.size(), buckets = inputs.config.bucket_count();
  const bool with_buckets = !inputs.config.buckets.empty();
  for (std::size_t shard = 0; shard < shards.count(); ++shard) {
    const std::filesystem::path path = shards.path(shard);
    const Hdf5Reader file(path);
    out.shards.push_back(file_entry(path.parent_path(), path.filename().string()));
    const auto require_below = [&](const char* what, std::size_t found, std::size_t count) {
      require(found < count, [&] {
        return cat(path.string(), ": found ", what, ' ', found, " of ", count,
                   "; remove the file and run `rehyat prepare` again");
      });
    };
    std::int64_t index = 0;
    try {
      for (const json& entry : parse_json(file.attribute("entries"), path.string())) {
        const auto clip = entry.at("clip").get<std::size_t>();
        require_below("clip", clip, clips);
        if (out.usable.empty() || out.usable.back() != clip) out.usable.push_back(clip);
        const auto bucket = with_buckets ? entry.at("bucket").get<std::size_t>() : 0;
        require_below("bucket", bucket, buckets);
        out.samples.push_back({shard, clip, bucket, index++});
      }
      for (const json& clip : parse_json(file.attribute("quarantine"), path.string())) out.quarantine.push_back(clip);
      if (!with_buckets) continue;
      for (const json& clip : parse_json(file.attribute("dropped"), path.string())) out.dropped.push_back(clip);
    } catch (const json::exception&) {
      throw UserError({path.string(), "a shard whose list cannot be read", "one of this program",
                       "remove the file and run `rehyat prepare` again"});
    }
  }
  return out;
}

LeftOutClips left_out(const json& clips) {
  LeftOutClips out;
  for (const json& clip : clips) out.add(clip.at("file"), clip.at("reason"));
  return out;
}

/// Writes dropped.jsonl and quarantine.jsonl. Throws UserError where too many clips are in them.
void save_left_out(const ClipOutcomes& outcomes, const DatasetInputs& inputs, const std::filesystem::path& folder) {
  const std::filesystem::path dropped = folder / "dropped.jsonl", quarantine = folder / "quarantine.jsonl";
  const std::size_t clips = inputs.clips.videos.size();
  if (!inputs.config.buckets.empty()) left_out(outcomes.dropped).save(dropped);
  const LeftOutClips unusable = left_out(outcomes.quarantine);
  unusable.save(quarantine);
  unusable.require_at_most(inputs.config.max_bad_share, clips, quarantine);
  require(!outcomes.samples.empty() || outcomes.dropped.empty(), [&] {
    const json& first = outcomes.dropped.front();
    return cat(dropped.string(), ": found ", outcomes.dropped.size(), " of ", clips,
               " clips that fit no bucket, expected some that do; the first is ", first.at("file").get<std::string>(),
               " (", first.at("reason").get<std::string>(), "); add a smaller or shorter bucket to data.buckets");
  });
}

/// What a dataset holds, without its embeddings.
struct DatasetContent {
  ClipOutcomes outcomes;
  std::set<std::size_t> validation;
  json captions = json::array({""});  ///< caption 0 is the empty prompt
  json samples = json::array();
  DatasetTable table;
};

DatasetContent content_of(const Shards& shards, const DatasetInputs& inputs, const std::filesystem::path& folder) {
  const ClipList& clips = inputs.clips;
  DatasetContent out;
  out.outcomes = read_outcomes(shards, inputs);
  save_left_out(out.outcomes, inputs, folder);
  std::vector<GroupedClip> usable;
  for (const std::size_t clip : out.outcomes.usable) usable.push_back({clip, clips.captions.group(clips.videos[clip])});
  out.validation = held_out(usable, inputs.config.validation_share, inputs.seed);
  std::map<std::string, std::size_t> known = {{"", 0}};
  for (const ClipOutcomes::Sample& sample : out.outcomes.samples) {
    const std::string& video = clips.videos[sample.clip];
    const std::string& text = clips.captions.at(video);
    const auto [caption, fresh] = known.emplace(text, out.captions.size());
    if (fresh) out.captions.push_back(text);
    out.samples.push_back({{"shard", sample.shard},
                           {"index", sample.index},
                           {"clip", video},
                           {"caption", caption->second},
                           {"validation", out.validation.contains(sample.clip)}});
    if (!inputs.config.buckets.empty()) out.samples.back()["bucket"] = sample.bucket;
  }
  out.table = dataset_table(inputs.config, clips, out.outcomes, out.validation);
  return out;
}

PrepareResult result_of(const DatasetContent& content, const DatasetInputs& inputs, const Throughput& throughput) {
  const auto count = [](const auto& list) { return static_cast<std::int64_t>(list.size()); };
  PrepareResult out;
  out.clips = count(inputs.clips.videos);
  out.usable_clips = count(content.outcomes.usable);
  out.validation_clips = count(content.validation);
  out.samples = count(content.samples);
  out.captions = count(content.captions) - 1;  // without the empty prompt
  out.dropped = count(content.outcomes.dropped);
  out.quarantined = count(content.outcomes.quarantine);
  out.table = content.table;
  out.throughput = throughput.speed();
  return out;
}

/// Splits the clips that the shards hold, encodes the captions on all ranks and marks the folder.
PrepareResult finish(const Shards& shards, const DatasetInputs& inputs, const MarkedFolder& folder,
                     Throughput& throughput, const comm::Communicator& world) {
  DatasetContent content;  // on rank 0
  const auto captions = comm::from_root<std::vector<std::string>>(world, [&] {
    content = content_of(shards, inputs, folder.path());
    return content.captions.get<std::vector<std::string>>();
  });
  const json text = write_text_table(
      captions, {inputs.text, folder.path(), "prepare", [&](double seconds) { throughput.text_encoded(seconds); }},
      world);
  return comm::from_root<PrepareResult>(world, [&] {
    json marked = {
        {"shards", content.outcomes.shards}, {"text", text}, {"captions", captions}, {"samples", content.samples}};
    if (!inputs.config.buckets.empty()) marked["table"] = config::to_json(content.table);
    folder.finish(marked);
    remove_clip_files(folder.path());
    remove_text_parts(folder.path());
    for (const std::string& line : table_lines(content.table)) log::info(line);
    if (const std::int64_t hdr = throughput.hdr_clips(); hdr > 0)
      log::info("prepare: ", hdr, hdr == 1 ? " clip is" : " clips are",
                " HDR (PQ or HLG); pixels are taken as they are, without tone mapping, and look flat and dark");
    return result_of(content, inputs, throughput);
  });
}

/// The shards that are not done yet, as rank 0 sees them.
std::vector<std::size_t> shards_to_do(const Shards& shards, const comm::Communicator& world) {
  return comm::from_root<std::vector<std::size_t>>(world, [&] {
    std::vector<std::size_t> list;
    for (std::size_t shard = 0; shard < shards.count(); ++shard)
      if (!shards.done(shard)) list.push_back(shard);
    return list;
  });
}

/// How many clips a rank decodes at once.
int decode_threads(const DataConfig& config, const comm::Communicator& world) {
  constexpr std::int64_t kMost = 4;  // the pictures of so many clips are in memory
  if (config.decode_threads > 0) return static_cast<int>(config.decode_threads);
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency()) / world.local_size();
  return static_cast<int>(std::clamp<std::int64_t>(cores, 1, kMost));
}

/// Hands the shards out to whichever rank is free.
void write_shards(const Shards& shards, const std::vector<std::size_t>& to_do, const DatasetInputs& inputs, int threads,
                  Throughput& throughput, const comm::Communicator& world) {
  comm::WorkQueue queue(world, static_cast<std::int64_t>(to_do.size()));
  const auto encode = [&] {
    DecodedClips decoded(inputs.config, shards.of_bucket(), inputs.clips, threads);
    const auto take = [&]() -> std::optional<std::size_t> {
      const auto job = queue.next();
      if (!job) return {};
      const std::size_t shard = to_do[static_cast<std::size_t>(*job)];
      decoded.add(shards.clips_left(shard));
      return shard;
    };
    std::optional<std::size_t> following = take();
    while (following) {
      const std::size_t shard = *following;
      bool asked = false;
      // The next shard's clips follow before threads run out of work.
      const auto go_on = [&] {
        if (asked || !decoded.all_begun()) return;
        following = take();
        asked = true;
      };
      shards.write(shard, decoded, throughput, world, go_on);
      if (!asked) following = take();
      world.poll();
    }
  };
  world.all_or_none(encode, comm::Communicator::Length::lengthy);
  throughput.clips_finished();
}

}  // namespace

PrepareResult prepare_dataset(const DatasetInputs& inputs, const MarkedFolder& folder,
                              const comm::Communicator& world) {
  world.all_or_none([] { require_video_library(); });
  const std::int64_t wanted = inputs.config.clips_per_shard;
  const auto per_shard = comm::from_root<std::int64_t>(world, [&] { return shard_size(folder.path(), wanted); });
  if (per_shard != wanted)
    log::info("prepare: goes on with ", per_shard, " clips in a shard, as this folder was begun");
  if (inputs.clips.other_members > 0)
    log::info("prepare: ", inputs.clips.other_members,
              " members of the archives are neither videos nor their captions");
  const Shards shards(inputs, folder.path(), per_shard);
  const std::vector<std::size_t> to_do = shards_to_do(shards, world);
  const auto clips = static_cast<std::int64_t>(inputs.clips.videos.size());
  std::int64_t left = 0;
  for (const std::size_t shard : to_do) left += shards.clips_in(shard) - shards.clips_encoded(shard);
  const int threads = decode_threads(inputs.config, world);
  Throughput throughput(world, clips, clips - left, threads);
  write_shards(shards, to_do, inputs, threads, throughput, world);
  inputs.codec.release();  // the text encoder needs the memory
  PrepareResult result = finish(shards, inputs, folder, throughput, world);
  log::info(throughput.line());
  return result;
}

}  // namespace rehyat::data
