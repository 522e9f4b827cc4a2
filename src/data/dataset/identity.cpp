#include "data/dataset/identity.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/file_bytes.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t kSampledBytes = 1 << 20;  // bytes

/// The settings, each in one spelling.
json spelled_once(json settings, const DataConfig& config) {
  // With buckets 0 stands for as many lengths as there are.
  if (config.buckets.empty()) settings["stride"] = config.window_stride();
  return settings;
}

/// Adds `bytes` of the file from `at` on; false when they cannot be read.
bool add_bytes(Hasher& hasher, const FileBytes& file, std::uint64_t at, std::uint64_t bytes) {
  std::string buffer(static_cast<std::size_t>(bytes), '\0');
  if (file.read(at, buffer.data(), buffer.size()) != static_cast<std::ptrdiff_t>(buffer.size())) return false;
  hasher.update(buffer);
  return true;
}

ChecksumMemory::Part part_of(const ClipFile& clip) {
  return clip.whole() ? "" : cat(clip.offset, '+', clip.bytes);
}

}  // namespace

std::string clip_checksum(const ClipFile& clip) {
  try {
    const FileBytes file(clip.path);
    const std::uint64_t size = clip.whole() ? file.size() : clip.bytes;
    Hasher hasher;
    hasher.update(cat(size, '\n'));
    bool good = true;
    if (size <= 3 * kSampledBytes) {
      good = add_bytes(hasher, file, clip.offset, size);
    } else {
      for (const std::uint64_t at : {std::uint64_t{0}, (size - kSampledBytes) / 2, size - kSampledBytes})
        good = good && add_bytes(hasher, file, clip.offset + at, kSampledBytes);
    }
    return good ? hasher.digest() : ChecksumMemory::kUnreadable;
  } catch (const UserError&) {
    return ChecksumMemory::kUnreadable;
  }
}

std::string clip_checksum(const ClipFile& clip, ChecksumMemory& memory) {
  return memory.at(clip.path, part_of(clip), [&] { return clip_checksum(clip); });
}

void share_checksums(const ClipList& clips, ChecksumMemory& memory, const comm::Communicator& world) {
  const auto rank = static_cast<std::size_t>(world.rank()), size = static_cast<std::size_t>(world.size());
  json mine = json::array();
  for (std::size_t i = rank; i < clips.files.size(); i += size) mine.push_back(clip_checksum(clips.files[i], memory));
  const std::vector<std::string> all = world.all_gather(mine.dump());
  for (std::size_t other = 0; other < size; ++other) {
    const json theirs = parse_json(all[other], "checksums");
    for (std::size_t i = other, at = 0; i < clips.files.size() && at < theirs.size(); i += size, ++at)
      memory.remember(clips.files[i].path, part_of(clips.files[i]), theirs[at]);
  }
}

ClipMarks clip_marks(const ClipList& clips, ChecksumMemory& memory) {
  ClipMarks marks;
  for (std::size_t i = 0; i < clips.videos.size(); ++i) {
    const std::string& video = clips.videos[i];
    const json caption = {clips.captions.at(video), clips.captions.group(video)};
    marks[video] = {clip_checksum(clips.files[i], memory), hash_text(caption.dump())};
  }
  return marks;
}

void save_clip_marks(const std::filesystem::path& path, const ClipMarks& marks) {
  json list = json::object();
  for (const auto& [clip, mark] : marks) list[clip] = {mark.first, mark.second};
  keep_file(path, list.dump(0) + "\n");
}

std::string clip_changes(const std::filesystem::path& saved, const ClipMarks& now) {
  if (!std::filesystem::exists(saved)) return "";
  const json before = parse_json_if(read_file(saved)).value_or(json());
  if (!before.is_object()) return "";
  std::vector<std::string> fresh, content, caption, gone;
  for (const auto& [clip, mark] : now) {
    const auto was = before.find(clip);
    if (was == before.end()) {
      fresh.push_back(clip);
    } else if (!was->is_array() || was->size() != 2) {
      return "";
    } else if ((*was)[0] != mark.first) {
      content.push_back(clip);
    } else if ((*was)[1] != mark.second) {
      caption.push_back(clip);
    }
  }
  for (const auto& [clip, mark] : before.items())
    if (!now.contains(clip)) gone.push_back(clip);
  std::vector<std::string> parts;
  const auto say = [&](std::vector<std::string>& clips, const char* what) {
    constexpr std::size_t kNamed = 3;
    if (clips.empty()) return;
    const std::size_t count = clips.size();
    clips.resize(std::min(count, kNamed));
    parts.push_back(
        cat(count, count == 1 ? " clip " : " clips ", what, " (", join(clips, ", "), count > kNamed ? " …)" : ")"));
  };
  say(fresh, "new");
  say(content, "with another content");
  say(caption, "with another caption or group");
  say(gone, "gone");
  return join(parts, ", ");
}

Identity dataset_identity(const DatasetInputs& inputs, const json& settings, ChecksumMemory& memory) {
  const ClipList& clips = inputs.clips;
  Hasher files, captions;
  for (std::size_t i = 0; i < clips.videos.size(); ++i) {
    const std::string& video = clips.videos[i];
    files.update(cat(video, '\n', clip_checksum(clips.files[i], memory), '\n'));
    // As JSON, because captions may hold any character.
    captions.update(json{video, clips.captions.at(video), clips.captions.group(video)}.dump() + "\n");
  }
  return {{"format", 2},
          {"settings", spelled_once(settings, inputs.config)},
          {"files", files.digest()},
          {"captions", captions.digest()},
          {"codec", inputs.codec.fingerprint()},
          {"text_encoder", inputs.text.fingerprint()},
          {"seed", inputs.seed}};
}

std::string section_key(const DataConfig& config, const json& settings, const models::VideoCodec& codec,
                        const models::TextEncoder& text, std::uint64_t seed) {
  const auto spelled = [](const std::filesystem::path& path) {
    std::string out = path.empty() ? "" : std::filesystem::absolute(path).lexically_normal().string();
    if (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
  };
  const json key = {{"format", 2},
                    {"settings", spelled_once(settings, config)},
                    {"videos", spelled(config.videos)},
                    {"captions", spelled(config.captions)},
                    {"codec", codec.fingerprint()},
                    {"text_encoder", text.fingerprint()},
                    {"seed", seed}};
  return hash_text(key.dump(-1, ' ', false, json::error_handler_t::replace)).substr(0, 8);
}

}  // namespace rehyat::data
