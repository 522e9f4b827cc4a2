#include "data/identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/strings.h"
#include "data/clips.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr std::uint64_t kPart = 1 << 20;  // bytes
constexpr const char* kUnreadable = "unreadable";

/// The settings that decide the content, each in one spelling.
json content_settings(const DataConfig& config) {
  json settings = config::to_json(config);
  for (const char* key : {"videos", "captions", "allow_missing_captions", "max_bad_share", "clips_per_shard"})
    settings.erase(key);
  settings["stride"] = config.window_stride();
  return settings;
}

/// Adds `bytes` of the file from `at` on; false when they cannot be read.
bool add_part(Hasher& hasher, int file, std::uint64_t at, std::uint64_t bytes) {
  std::string buffer(static_cast<std::size_t>(bytes), '\0');
  std::size_t have = 0;
  while (have < buffer.size()) {
    const ssize_t count = ::pread(file, buffer.data() + have, buffer.size() - have, static_cast<off_t>(at + have));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    have += static_cast<std::size_t>(count);
  }
  hasher.update(buffer);
  return true;
}

}  // namespace

std::string clip_checksum(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return kUnreadable;
  struct stat info = {};
  bool good = ::fstat(file, &info) == 0;
  const auto size = static_cast<std::uint64_t>(info.st_size);
  Hasher hasher;
  hasher.update(cat(size, '\n'));
  if (good && size <= 3 * kPart) {
    good = add_part(hasher, file, 0, size);
  } else if (good) {
    for (const std::uint64_t at : {std::uint64_t{0}, (size - kPart) / 2, size - kPart})
      good = good && add_part(hasher, file, at, kPart);
  }
  ::close(file);
  return good ? hasher.digest() : kUnreadable;
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

std::string ChecksumMemory::at(const std::filesystem::path& clip) {
  const std::string name = std::filesystem::absolute(clip).lexically_normal().string(), state = file_state(clip);
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

ClipList list_clips(const DataConfig& config) {
  ClipList clips;
  clips.videos = list_videos(config.videos);
  clips.captions = Captions::load({config.videos, config.captions, config.allow_missing_captions}, clips.videos);
  return clips;
}

Identity dataset_identity(const DataConfig& config, const ClipList& clips, const VideoCodec& codec,
                          const TextEncoder& text, std::uint64_t seed, ChecksumMemory& memory) {
  Hasher files, captions;
  for (const std::string& video : clips.videos) {
    files.update(cat(video, '\n', memory.at(config.videos / video), '\n'));
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

std::string section_key(const DataConfig& config, const VideoCodec& codec, const TextEncoder& text,
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
