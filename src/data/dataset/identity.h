#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/inputs.h"
#include "data/dataset/manifest.h"
#include "files/checksum_memory.h"

namespace rehyat::data {

/// Checksum of a clip: of its size and its content, the whole up to 3 MiB, beyond that 1 MiB each from its head, middle
/// and tail. "unreadable" for a file that cannot be read: once it can be read, it counts as a changed clip.
std::string clip_checksum(const ClipFile& clip);
/// The same, read only where the memory does not know it.
std::string clip_checksum(const ClipFile& clip, ChecksumMemory& memory);

/// Fills the memory with the checksums of all clips. Each rank reads a share of the files. Collective.
void share_checksums(const ClipList& clips, ChecksumMemory& memory, const comm::Communicator& world);

/// What decides a clip's part of a dataset, by its name: checksums of its content, and of its caption and group.
using ClipMarks = std::map<std::string, std::pair<std::string, std::string>>;
ClipMarks clip_marks(const ClipList& clips, ChecksumMemory& memory);
void save_clip_marks(const std::filesystem::path& path, const ClipMarks& marks);
/// Which clips were added, changed or taken away since the marks were saved, for people: "2 clips new (b.mp4,
/// c.mp4), 1 clip with another caption or group (a.mp4)"; "" where none, and where the file is missing or not ours.
std::string clip_changes(const std::filesystem::path& saved, const ClipMarks& now);

/// What decides the content of a prepared dataset: settings, codec, text encoder, seed, and of each clip the name, the
/// content, the caption and the group. Where files lie, how they are grouped into shards and how many bad ones are
/// tolerated does not decide it.
///
/// `settings` are those of the `data` section that count.
Identity dataset_identity(const DatasetInputs& inputs, const nlohmann::ordered_json& settings, ChecksumMemory& memory);

/// Names a data section without looking at any video, to find again what was prepared of it: settings and where the
/// videos and captions lie.
std::string section_key(const DataConfig& config, const nlohmann::ordered_json& settings,
                        const models::VideoCodec& codec, const models::TextEncoder& text, std::uint64_t seed);

}  // namespace rehyat::data
