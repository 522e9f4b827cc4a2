#include "data/dataset/identity.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t kSampledBytes = 1 << 20;  // bytes
constexpr const char* kUnreadable = "unreadable";

/// The settings that decide the content, each in one spelling.
json content_settings(const DataConfig& config) {
  json settings = config::to_json(config);
  for (const char* key : {"videos", "captions", "allow_missing_captions", "max_bad_share", "clips_per_shard"})
    settings.erase(key);
  // With buckets 0 stands for as many lengths as there are.
  if (config.buckets.empty()) settings["stride"] = config.window_stride();
  return settings;
}

/// Adds `bytes` of the file from `at` on; false when they cannot be read.
bool add_part(Hasher& hasher, const FileBytes& file, std::uint64_t at, std::uint64_t bytes) {
  std::string buffer(static_cast<std::size_t>(bytes), '\0');
  if (file.read(at, buffer.data(), buffer.size()) != static_cast<std::ptrdiff_t>(buffer.size())) return false;
  hasher.update(buffer);
  return true;
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
      good = add_part(hasher, file, clip.offset, size);
    } else {
      for (const std::uint64_t at : {std::uint64_t{0}, (size - kSampledBytes) / 2, size - kSampledBytes})
        good = good && add_part(hasher, file, clip.offset + at, kSampledBytes);
    }
    return good ? hasher.digest() : kUnreadable;
  } catch (const UserError&) {
    return kUnreadable;
  }
}

std::string file_state(const std::filesystem::path& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return "";
  return cat(info.st_size, ' ', info.st_ino, ' ', info.st_mtim.tv_sec, '.', info.st_mtim.tv_nsec, ' ',
             info.st_ctim.tv_sec, '.', info.st_ctim.tv_nsec, ' ', ::access(path.c_str(), R_OK) == 0 ? 'r' : '-');
}

ChecksumMemory::ChecksumMemory(std::filesystem::path path, Checksum checksum)
    : path_(std::move(path)), checksum_(std::move(checksum)) {
  if (path_.empty() || !std::filesystem::exists(path_)) return;
  const json list = parse_json_if(read_file(path_)).value_or(json());
  if (!list.is_object()) return;  // only a memory: everything is read again
  for (const auto& [clip, known] : list.items()) {
    if (known.is_array() && known.size() == 2 && known[0].is_string() && known[1].is_string())
      known_[clip] = {known[0], known[1]};
  }
}

std::string ChecksumMemory::name_of(const ClipFile& clip) {
  const std::string path = std::filesystem::absolute(clip.path).lexically_normal().string();
  return clip.whole() ? path : cat(path, '#', clip.offset, '+', clip.bytes);
}

void ChecksumMemory::remember(const ClipFile& clip, const std::string& checksum) {
  used_[name_of(clip)] = {file_state(clip.path), checksum};
}

std::string ChecksumMemory::at(const ClipFile& clip) {
  const std::string name = name_of(clip), state = file_state(clip.path);
  const auto asked = used_.find(name);
  if (asked != used_.end() && !state.empty() && asked->second.state == state) return asked->second.checksum;
  const auto known = known_.find(name);
  const bool same = known != known_.end() && !state.empty() && known->second.state == state;
  Known& used = used_[name];
  used = {state, same ? known->second.checksum : checksum_(clip)};
  return used.checksum;
}

void ChecksumMemory::save() const {
  if (path_.empty()) return;
  json list = json::object();
  for (const auto& [clip, known] : used_)
    if (known.checksum != kUnreadable) list[clip] = {known.state, known.checksum};
  write_file_atomic(path_, list.dump(0, ' ', false, json::error_handler_t::replace) + "\n");
}

void share_checksums(const ClipList& clips, ChecksumMemory& memory, const comm::Communicator& world) {
  const auto rank = static_cast<std::size_t>(world.rank()), size = static_cast<std::size_t>(world.size());
  json mine = json::array();
  for (std::size_t i = rank; i < clips.files.size(); i += size) mine.push_back(memory.at(clips.files[i]));
  const std::vector<std::string> all = world.all_gather(mine.dump());
  for (std::size_t other = 0; other < size; ++other) {
    const json theirs = parse_json(all[other], "checksums");
    for (std::size_t i = other, at = 0; i < clips.files.size() && at < theirs.size(); i += size, ++at)
      memory.remember(clips.files[i], theirs[at]);
  }
}

ClipMarks clip_marks(const ClipList& clips, ChecksumMemory& memory) {
  ClipMarks marks;
  for (std::size_t i = 0; i < clips.videos.size(); ++i) {
    const std::string& video = clips.videos[i];
    const json caption = {clips.captions.at(video), clips.captions.group(video)};
    marks[video] = {memory.at(clips.files[i]), hash_text(caption.dump())};
  }
  return marks;
}

void save_clip_marks(const std::filesystem::path& path, const ClipMarks& marks) {
  json list = json::object();
  for (const auto& [clip, mark] : marks) list[clip] = {mark.first, mark.second};
  write_file_atomic(path, list.dump(0) + "\n");
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

Identity dataset_identity(const DataConfig& config, const ClipList& clips, const models::VideoCodec& codec,
                          const models::TextEncoder& text, std::uint64_t seed, ChecksumMemory& memory) {
  Hasher files, captions;
  for (std::size_t i = 0; i < clips.videos.size(); ++i) {
    const std::string& video = clips.videos[i];
    files.update(cat(video, '\n', memory.at(clips.files[i]), '\n'));
    // As JSON, because captions may hold any character.
    captions.update(json{video, clips.captions.at(video), clips.captions.group(video)}.dump() + "\n");
  }
  return {{"format", 2},
          {"settings", content_settings(config)},
          {"files", files.digest()},
          {"captions", captions.digest()},
          {"codec", codec.fingerprint()},
          {"text_encoder", text.fingerprint()},
          {"seed", seed}};
}

std::string section_key(const DataConfig& config, const models::VideoCodec& codec, const models::TextEncoder& text,
                        std::uint64_t seed) {
  const auto spelled = [](const std::filesystem::path& path) {
    std::string out = path.empty() ? "" : std::filesystem::absolute(path).lexically_normal().string();
    if (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
  };
  const json key = {{"format", 2},
                    {"settings", content_settings(config)},
                    {"videos", spelled(config.videos)},
                    {"captions", spelled(config.captions)},
                    {"codec", codec.fingerprint()},
                    {"text_encoder", text.fingerprint()},
                    {"seed", seed}};
  return hash_text(key.dump(-1, ' ', false, json::error_handler_t::replace)).substr(0, 8);
}

}  // namespace rehyat::data
