#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "core/progress.h"
#include "data/config.h"
#include "data/encoders.h"
#include "data/identity.h"
#include "dist/communicator.h"

namespace rehyat::data {

/// Seconds spent on decoding and in the codec.
struct Times {
  double decode = 0, codec = 0;
};

/// The shards of a dataset: groups of clips in their order, each an HDF5 file of latents that one rank writes whole.
///
/// A clip that cannot be used is noted in its shard with the reason, and beside the shard, in NAME.tried.json, the
/// state that its file was in: where that, or the library that decodes, is another one by the next start, and where
/// memory or libtorch failed, the shard is made again.
class Shards {
 public:
  Shards(const DataConfig& config, const ClipList& clips, VideoCodec& codec, std::uint64_t seed,
         std::filesystem::path folder, std::int64_t clips_per_shard);

  std::size_t count() const;
  std::int64_t clips_in(std::size_t shard) const;
  std::filesystem::path path(std::size_t shard) const;
  /// Whether the shard is there and no verdict of it needs to be looked at again.
  bool done(std::size_t shard) const;
  /// Throws UserError when the file cannot be written, Stopped when the run shall stop; what is wrong with a clip is
  /// only noted.
  void write(std::size_t shard, Times& times, Progress& progress, const dist::Communicator& world) const;

 private:
  std::size_t first(std::size_t shard) const;
  std::size_t last(std::size_t shard) const;
  std::filesystem::path tried(std::size_t shard) const;

  const DataConfig& config_;
  const ClipList& clips_;
  VideoCodec& codec_;
  std::uint64_t seed_;
  std::filesystem::path folder_;
  std::size_t clips_per_shard_;
};

/// How many clips a shard of this folder holds: as it was when the folder was first opened, else as `wanted`, which is
/// saved. Call on rank 0 first.
std::int64_t shard_size(const std::filesystem::path& folder, std::int64_t wanted);

}  // namespace rehyat::data
