#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "data/captions.h"
#include "data/config.h"
#include "data/encoders.h"
#include "data/manifest.h"

namespace rehyat::data {

/// Checksum of a clip: of its size and its content, the whole up to 3 MiB, beyond that 1 MiB each from its head, middle
/// and tail. "unreadable" for a file that cannot be read, so that it counts as another one once it can.
std::string clip_checksum(const std::filesystem::path& path);

/// Size, inode and times of a file: when they are the same, nobody has written to it since. Empty when there is none.
std::string file_state(const std::filesystem::path& path);

/// Checksums of files, remembered between runs while the state of the file is the same.
class ChecksumMemory {
 public:
  using Checksum = std::function<std::string(const std::filesystem::path&)>;
  /// A file that is missing or not ours is an empty memory; an empty path remembers nothing.
  explicit ChecksumMemory(std::filesystem::path path = {}, Checksum checksum = clip_checksum);
  std::string at(const std::filesystem::path& clip);
  /// Writes what was asked for since, whole or not at all.
  void save() const;

 private:
  struct Known {
    std::string state, checksum;
  };
  std::filesystem::path path_;
  Checksum checksum_;
  std::map<std::string, Known> known_, used_;
};

/// The clips of a data section with their captions.
struct ClipList {
  std::vector<std::string> videos;  ///< relative to the folder, sorted
  Captions captions;
};

/// Throws UserError as list_videos and Captions::load do.
ClipList list_clips(const DataConfig& config);

/// What decides the content of a prepared dataset: settings, codec, text encoder, seed, and of each clip the name, the
/// content, the caption and the group. Where files lie, how they are grouped into shards and how many bad ones are
/// tolerated does not.
Identity dataset_identity(const DataConfig& config, const ClipList& clips, const VideoCodec& codec,
                          const TextEncoder& text, std::uint64_t seed, ChecksumMemory& memory);

/// Names a data section without looking at any video, to find again what was prepared of it: settings and where the
/// videos and captions lie.
std::string section_key(const DataConfig& config, const VideoCodec& codec, const TextEncoder& text, std::uint64_t seed);

}  // namespace rehyat::data
