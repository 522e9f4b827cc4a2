#include "data/sources/clips.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::data {
namespace {

namespace fs = std::filesystem;

// FFmpeg decides what is a video; the extensions only leave out what is certainly none.
constexpr std::array<std::string_view, 58> kExtensions{
    ".mp4",  ".m4v", ".mov", ".qt",   ".mkv", ".mk3d", ".webm", ".avi",   ".divx", ".mpg",  ".mpeg", ".mpe",
    ".m1v",  ".m2v", ".mpv", ".mp2v", ".vob", ".evo",  ".ts",   ".mts",   ".m2ts", ".m2t",  ".mxf",  ".gxf",
    ".ogv",  ".ogg", ".ogm", ".wmv",  ".asf", ".wtv",  ".flv",  ".f4v",   ".3gp",  ".3g2",  ".rm",   ".rmvb",
    ".dv",   ".dif", ".gif", ".y4m",  ".ivf", ".h264", ".264",  ".avc",   ".h265", ".hevc", ".265",  ".h261",
    ".h263", ".av1", ".obu", ".vc1",  ".nut", ".amv",  ".mjpg", ".mjpeg", ".nuv",  ".apng"};

}  // namespace

bool is_video_name(const fs::path& name) {
  std::string extension = name.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

FolderContent look_into(const fs::path& folder) {
  require(!folder.empty(), [] { return "data.videos: found nothing, expected a folder of videos"; });
  require(fs::is_directory(folder), [&] {
    return to_sentence({folder.string(), fs::exists(folder) ? "not a folder" : "nothing",
                        "a folder of videos, or a tar, a folder or a pattern of tars", ""});
  });
  FolderContent content;
  try {
    auto item = fs::recursive_directory_iterator(folder);
    for (; item != fs::end(item); ++item) {
      const bool hidden = item->path().filename().string().starts_with('.');
      if (hidden && item->is_directory()) item.disable_recursion_pending();
      if (hidden || !item->is_regular_file()) continue;
      const bool tar = item->path().extension() == ".tar";
      if (!tar && !is_video_name(item->path())) continue;
      (tar ? content.archives : content.videos).push_back(item->path().lexically_relative(folder).generic_string());
    }
  } catch (const fs::filesystem_error& error) {
    throw UserError(Mistake{error.path1().string(), error.code().message(), "a folder that can be read", ""});
  }
  std::ranges::sort(content.videos);
  std::ranges::sort(content.archives);
  for (const std::string& name : content.videos.empty() ? content.archives : content.videos) {
    require(!invalid_utf8(name), [&] {
      return to_sentence({(folder / printable(name)).string(), "a file name that is not UTF-8", "one that is",
                          "rename the file, for example with convmv"});
    });
  }
  return content;
}

std::vector<std::string> list_videos(const fs::path& folder) {
  FolderContent content = look_into(folder);
  require(!content.videos.empty(), [&] {
    std::vector<std::string> names(kExtensions.begin(), kExtensions.end());
    return to_sentence(
        {folder.string(), "no video", cat("files that end in one of ", join(names, " "), ", or in .tar"), ""});
  });
  if (!content.archives.empty())
    log::info(folder.string(), ": found videos and ", content.archives.size(), " tars; the tars are not looked into");
  return content.videos;
}

Quarantine::Quarantine(fs::path path) : path_(std::move(path)) {
  if (!fs::exists(path_)) return;
  std::size_t number = 0;
  for (const std::string& line : split(read_file(path_), '\n')) {
    ++number;
    if (trim(line).empty()) continue;
    const auto json = parse_json_if(line).value_or(nlohmann::ordered_json());
    const bool fits = json.is_object() && json.contains("file") && json["file"].is_string() &&
                      json.contains("reason") && json["reason"].is_string();
    require(fits, [&] {
      return to_sentence({cat(path_.string(), ":", number), "a line that is not one of ours",
                          R"({"file": "…", "reason": "…"})", "remove the file to try all clips again"});
    });
    reasons_[json["file"]] = json["reason"];
  }
}

void Quarantine::add(const std::string& clip, const std::string& reason) {
  reasons_[clip] = reason;
}

void Quarantine::remove(const std::string& clip) {
  reasons_.erase(clip);
}

void Quarantine::save() const {
  std::string text;
  for (const auto& [clip, reason] : reasons_) {
    const nlohmann::ordered_json line{{"file", clip}, {"reason", reason}};
    // File names need not be UTF-8.
    text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  write_file_atomic(path_, text);
}

void Quarantine::require_share(std::size_t total, double share) const {
  const auto limit = static_cast<std::size_t>(std::floor(share * static_cast<double>(total) + 1e-9));
  if (reasons_.empty() || (reasons_.size() <= limit && reasons_.size() < total)) return;
  const auto& [clip, reason] = *reasons_.begin();
  throw UserError(Mistake{
      path_.string(), cat(reasons_.size(), " of ", total, " clips that cannot be used"),
      cat("at most ", std::min(limit, total - std::min<std::size_t>(total, 1)), " (data.max_bad_share=", share, ")"),
      cat("the first is ", clip, " (", reason,
          "); the file lists all with their reasons: mend or remove them, or "
          "raise data.max_bad_share and start again, which keeps what is done")});
}

}  // namespace rehyat::data
