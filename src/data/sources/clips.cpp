#include "data/sources/clips.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

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

/// Walks a folder. Folders that links lead to come after all others, so that a link into the folder adds nothing.
class FolderWalk {
 public:
  explicit FolderWalk(fs::path root) : root_(std::move(root)) {}

  FolderContent run() {
    list("");
    while (!linked_.empty()) {
      std::vector<std::string> now;
      now.swap(linked_);
      std::ranges::sort(now);
      for (const std::string& folder : now) list(folder);
    }
    std::ranges::sort(content_.videos);
    std::ranges::sort(content_.archives);
    say(content_.warnings, broken_, "a link that leads nowhere", "links that lead nowhere");
    say(content_.warnings, odd_, "a video by name that is no regular file", "videos by name that are no regular files");
    say(content_.remarks, again_, "a link to a folder that is listed already",
        "links to folders that are listed already");
    say(content_.remarks, hidden_, "a name that begins with a dot", "names that begin with a dot");
    return std::move(content_);
  }

 private:
  std::string name_of(const std::string& folder, const fs::path& entry) const {
    return (fs::path(folder) / entry.filename()).generic_string();
  }

  void list(const std::string& folder) {
    const fs::path path = folder.empty() ? root_ : root_ / folder;
    struct stat state {};
    if (::stat(path.c_str(), &state) != 0) throw_unreadable(path, std::error_code(errno, std::generic_category()));
    if (!seen_.emplace(state.st_dev, state.st_ino).second) {
      again_.push_back(folder);
      return;
    }
    std::error_code error;
    std::vector<std::string> inner;
    auto item = fs::directory_iterator(path, error);
    for (; !error && item != fs::end(item); item.increment(error)) look_at(*item, name_of(folder, item->path()), inner);
    if (error) throw_unreadable(path, error);
    std::ranges::sort(inner);
    for (const std::string& name : inner) list(name);
  }

  void look_at(const fs::directory_entry& entry, const std::string& name, std::vector<std::string>& inner) {
    const bool tar = lower_extension(entry.path()) == ".tar", wanted = tar || is_video_name(entry.path());
    std::error_code error;
    const fs::file_status state = entry.status(error);
    const bool folder = fs::is_directory(state);
    if (entry.path().filename().string().starts_with('.')) {
      if (wanted || folder) hidden_.push_back(name);
    } else if (folder) {
      (entry.is_symlink(error) ? linked_ : inner).push_back(name);
    } else if (!fs::exists(state)) {
      broken_.push_back(name);
    } else if (wanted && !fs::is_regular_file(state)) {
      odd_.push_back(name);
    } else if (wanted) {
      (tar ? content_.archives : content_.videos).push_back(name);
    }
  }

  void say(std::vector<std::string>& to, std::vector<std::string>& names, const char* one, const char* several) {
    constexpr std::size_t kNamed = 3;
    if (names.empty()) return;
    std::ranges::sort(names);
    const std::size_t count = names.size();
    names.resize(std::min(count, kNamed));
    for (std::string& name : names) name = printable(name);
    to.push_back(cat(root_.string(), ": ", count == 1 ? one : cat(count, " ", several),
                     " left out: ", join(names, ", "), count > kNamed ? " …" : ""));
  }

  [[noreturn]] static void throw_unreadable(const fs::path& path, const std::error_code& error) {
    throw UserError(Mistake{path.string(), error.message(), "a folder that can be read", ""});
  }

  fs::path root_;
  FolderContent content_;
  std::set<std::pair<dev_t, ino_t>> seen_;  ///< folders by their place on the disk
  std::vector<std::string> linked_;         ///< folders behind links, not listed yet
  std::vector<std::string> broken_, odd_, again_, hidden_;
};

}  // namespace

bool is_video_name(const fs::path& name) {
  return std::ranges::find(kExtensions, lower_extension(name)) != kExtensions.end();
}

std::string lower_extension(const fs::path& name) {
  std::string extension = name.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return extension;
}

FolderContent list_folder(const fs::path& folder) {
  require(!folder.empty(), [] { return "data.videos: found nothing, expected a folder of videos"; });
  require(fs::is_directory(folder), [&] {
    return to_sentence({folder.string(), fs::exists(folder) ? "not a folder" : "nothing",
                        "a folder of videos, or a tar, a folder or a pattern of tars", ""});
  });
  FolderContent content = FolderWalk(folder).run();
  for (const std::string& name : content.videos.empty() ? content.archives : content.videos) {
    require(!invalid_utf8(name), [&] {
      return to_sentence({(folder / printable(name)).string(), "a file name that is not UTF-8", "one that is",
                          "rename the file, for example with convmv"});
    });
  }
  return content;
}

void log_left_out(const FolderContent& content) {
  for (const std::string& sentence : content.warnings) log::warn(sentence);
  for (const std::string& sentence : content.remarks) log::info(sentence);
}

std::vector<std::string> videos_of(const fs::path& folder, FolderContent content) {
  require(!content.videos.empty(), [&] {
    std::vector<std::string> names(kExtensions.begin(), kExtensions.end());
    return to_sentence(
        {folder.string(), "no video", cat("files that end in one of ", join(names, " "), ", or in .tar"), ""});
  });
  if (!content.archives.empty())
    log::info(folder.string(), ": found videos and ", content.archives.size(), " tars; the tars are not looked into");
  return std::move(content.videos);
}

}  // namespace rehyat::data
