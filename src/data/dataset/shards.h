#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/decoded_clips.h"
#include "data/dataset/inputs.h"
#include "data/dataset/throughput.h"

namespace rehyat::data {

/// The shards of a dataset: groups of clips in their order, each an HDF5 file of latents that one rank writes whole.
/// Until its shard is whole each finished clip has a file of its own, so that a killed run encodes none of them again.
///
/// A shard notes each clip that cannot be used with the reason. Beside the shard, NAME.tried.json notes the state that
/// the clip's file was in. The next start makes the shard again where that state or the version of FFmpeg has changed,
/// and where memory or libtorch failed. With buckets the shard also notes the bucket of each window and the
/// clips that fit none.
class Shards {
 public:
  Shards(const DatasetInputs& inputs, std::filesystem::path folder, std::int64_t clips_per_shard);

  std::size_t count() const;
  std::int64_t clips_in(std::size_t shard) const;
  /// How many clips of a shard that is not done an earlier run has encoded already.
  std::int64_t clips_encoded(std::size_t shard) const;
  std::filesystem::path path(std::size_t shard) const;
  /// Whether the shard is there and none of its unusable clips deserves another try.
  bool done(std::size_t shard) const;
  /// The clips of a shard that no earlier run has encoded.
  std::vector<std::size_t> clips_left(std::size_t shard) const;
  /// The settings for the clips of each bucket.
  const std::vector<DataConfig>& of_bucket() const { return of_bucket_; }
  /// Encodes the clips that are left and makes the shard. `decoded` hands out those clips next; `before_clip` is called
  /// before each. Throws UserError when the file cannot be written, Stopped when the run shall stop; what is wrong with
  /// a clip is only noted.
  void write(std::size_t shard, DecodedClips& decoded, Throughput& throughput, const comm::Communicator& world,
             const std::function<void()>& before_clip) const;

 private:
  struct LeftOut;
  void one_clip(std::size_t clip, DecodedClips& decoded, LeftOut& left_out, Throughput& throughput,
                const comm::Communicator& world) const;
  std::optional<ClipFault> encode(std::size_t clip, DecodedClips& decoded, ClipEnd& end, Throughput& throughput,
                                  const comm::Communicator& world) const;
  void join(std::size_t shard, const LeftOut& left_out) const;
  std::filesystem::path clip_file(std::size_t clip) const;
  std::size_t first(std::size_t shard) const;
  std::size_t last(std::size_t shard) const;
  std::filesystem::path tried(std::size_t shard) const;

  const DataConfig& config_;
  std::vector<DataConfig> of_bucket_;
  const ClipList& clips_;
  models::VideoCodec& codec_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  std::size_t clips_per_shard_;
};

/// Removes the files of single clips that a killed run has left beside their finished shard.
void remove_clip_files(const std::filesystem::path& folder);

/// How many clips a shard of this folder holds: the number that the folder was begun with, else `wanted`, which is
/// saved for the next start. Call on rank 0.
std::int64_t shard_size(const std::filesystem::path& folder, std::int64_t wanted);

}  // namespace rehyat::data
