#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/config.h"
#include "data/dataset/identity.h"
#include "data/dataset/throughput.h"
#include "models/encoders.h"

namespace rehyat::data {

/// Why a clip was set aside.
struct Verdict {
  std::string reason;
  bool again = false;                 ///< not the clip's fault for certain: try it at the next start
  std::optional<std::int64_t> count;  ///< it is too short, with so many pictures
};

/// The shards of a dataset: groups of clips in their order, each an HDF5 file of latents that one rank writes whole.
/// Until its shard is whole each finished clip has a file of its own, so that a killed run encodes none of them again.
///
/// A clip that cannot be used is noted in its shard with the reason, and beside the shard, in NAME.tried.json, the
/// state that its file was in: where that, or the library that decodes, is another one by the next start, and where
/// memory or libtorch failed, the shard is made again. With buckets the shard also says which one each window is of,
/// and lists the clips that fit none.
class Shards {
 public:
  Shards(const DataConfig& config, const ClipList& clips, models::VideoCodec& codec, std::uint64_t seed,
         std::filesystem::path folder, std::int64_t clips_per_shard);

  std::size_t count() const;
  std::int64_t clips_in(std::size_t shard) const;
  /// Those of them that an earlier run has encoded, of a shard that is not done.
  std::int64_t clips_kept(std::size_t shard) const;
  std::filesystem::path path(std::size_t shard) const;
  /// Whether the shard is there and no verdict of it needs to be looked at again.
  bool done(std::size_t shard) const;
  /// Throws UserError when the file cannot be written, Stopped when the run shall stop; what is wrong with a clip is
  /// only noted.
  void write(std::size_t shard, Throughput& throughput, const comm::Communicator& world) const;

 private:
  struct LeftOut;
  void one_clip(std::size_t clip, LeftOut& left_out, Throughput& throughput, const comm::Communicator& world) const;
  std::optional<Verdict> in_a_bucket(std::size_t clip, LeftOut& left_out, Throughput& throughput,
                                     const comm::Communicator& world) const;
  std::optional<Verdict> windows(std::size_t clip, std::size_t bucket, Throughput& throughput,
                                 const comm::Communicator& world) const;
  void join(std::size_t shard, const LeftOut& left_out) const;
  std::filesystem::path part(std::size_t clip) const;
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

/// Removes the files of single clips that a run left which was killed just when their shard was whole.
void remove_clip_parts(const std::filesystem::path& folder);

/// How many clips a shard of this folder holds: as it was when the folder was first opened, else as `wanted`, which is
/// saved. Call on rank 0 first.
std::int64_t shard_size(const std::filesystem::path& folder, std::int64_t wanted);

}  // namespace rehyat::data
