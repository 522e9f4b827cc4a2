#include "data/sources/clips.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/utf8.h"

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

}  // namespace rehyat::data
