#include "data/sources/clip_list.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "comm/root.h"
#include "core/error.h"
#include "core/strings.h"
#include "data/sources/clips.h"
#include "data/sources/path_pattern.h"
#include "data/sources/webdataset.h"

namespace rehyat::data {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

/// Endings in lower case; those of the path count in any.
bool ends_like(const fs::path& path, std::initializer_list<const char*> endings) {
  std::string name = path.string();
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::any_of(endings, [&](const char* ending) { return name.ends_with(ending); });
}

/// The archives that a pattern or the path of a file names; none for any other path.
std::vector<fs::path> find_archives(const fs::path& videos) {
  std::vector<fs::path> archives;
  if (is_pattern(videos)) {
    archives = expand_pattern(videos);
  } else if (fs::is_regular_file(videos)) {
    archives = {videos};
  }
  for (const fs::path& path : archives) {
    const bool packed = ends_like(path, {".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"});
    require(ends_like(path, {".tar"}), [&] {
      return to_sentence({path.string(), packed ? "a compressed archive" : "no folder and no tar",
                          "a folder of videos, or tars that end in .tar", packed ? "unpack it to a plain .tar" : ""});
    });
  }
  return archives;
}

/// The deepest folder that holds all of them.
fs::path common_folder(const std::vector<fs::path>& paths) {
  fs::path common = paths.front().parent_path();
  for (const fs::path& path : paths) {
    while (!common.empty()) {
      const auto [end, rest] = std::mismatch(common.begin(), common.end(), path.begin(), path.end());
      if (end == common.end()) break;
      common = common == common.parent_path() ? fs::path() : common.parent_path();
    }
  }
  return common;
}

ClipList list_archives(const DataConfig& config, const std::vector<fs::path>& archives) {
  const fs::path folder = fs::is_directory(config.videos) ? config.videos : common_folder(archives);
  CaptionSource source{folder, config.captions, config.allow_missing_captions, {}, true};
  std::vector<std::pair<std::string, ClipFile>> found;
  ClipList out;
  for (const fs::path& path : archives) {
    const std::string label = folder.empty() ? path.generic_string() : path.lexically_relative(folder).generic_string();
    ArchiveClips clips = list_archive(path, label);
    for (ClipFile& clip : clips.clips) found.emplace_back(cat(label, '/', clip.member), std::move(clip));
    source.archived.insert(source.archived.end(), clips.captions.begin(), clips.captions.end());
    out.other_members += clips.other_members;
  }
  require(!found.empty(), [&] {
    return to_sentence({config.videos.string(), cat(archives.size(), " tars without a video"),
                        "members that end as videos do, such as .mp4", ""});
  });
  std::ranges::sort(found, {}, [](const auto& item) -> const std::string& { return item.first; });
  for (auto& [name, clip] : found) {
    out.videos.push_back(name);
    out.files.push_back(std::move(clip));
  }
  if (!config.captions.empty()) source.archived.clear();
  out.captions = Captions::load(source, out.videos);
  return out;
}

}  // namespace

void to_json(json& out, const ClipList& clips) {
  json files = json::array();
  for (const ClipFile& file : clips.files) files.push_back({file.path.string(), file.member, file.offset, file.bytes});
  out = {{"videos", clips.videos},
         {"files", files},
         {"captions", clips.captions.content()},
         {"other_members", clips.other_members}};
}

void from_json(const json& content, ClipList& clips) {
  clips = {};
  clips.videos = content.at("videos").get<std::vector<std::string>>();
  for (const json& file : content.at("files")) {
    ClipFile& clip = clips.files.emplace_back(file.at(0).get<std::string>());
    clip.member = file.at(1);
    clip.offset = file.at(2);
    clip.bytes = file.at(3);
  }
  clips.captions = Captions(content.at("captions"));
  clips.other_members = content.at("other_members");
}

const ClipFile* ClipList::find(const std::string& name) const {
  const auto place = std::ranges::lower_bound(videos, name);
  return place != videos.end() && *place == name ? &files[static_cast<std::size_t>(place - videos.begin())] : nullptr;
}

ClipList list_clips(const DataConfig& config) {
  const bool folder = fs::is_directory(config.videos);
  std::vector<fs::path> archives = folder ? std::vector<fs::path>() : find_archives(config.videos);
  if (!archives.empty()) return list_archives(config, archives);
  FolderContent content = list_folder(config.videos);  // throws where it is no folder
  log_left_out(content);
  if (content.videos.empty() && !content.archives.empty()) {
    for (const std::string& name : content.archives) archives.push_back(config.videos / name);
    return list_archives(config, archives);
  }
  ClipList clips;
  clips.videos = videos_of(config.videos, std::move(content));
  clips.captions =
      Captions::load({config.videos, config.captions, config.allow_missing_captions, {}, false}, clips.videos);
  for (const std::string& video : clips.videos) clips.files.emplace_back(config.videos / video);
  return clips;
}

ClipList list_clips(const DataConfig& config, const comm::Communicator& world) {
  return comm::from_root<ClipList>(world, [&] { return list_clips(config); });
}

}  // namespace rehyat::data
