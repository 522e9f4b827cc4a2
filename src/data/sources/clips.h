#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rehyat::data {

/// By its extension, in any case: one of the usual ones of videos. FFmpeg decides in the end.
bool is_video_name(const std::filesystem::path& name);

/// The videos and the tars under a folder, as list_videos has them.
struct FolderContent {
  std::vector<std::string> videos, archives;
};
/// Throws UserError when the folder is missing or cannot be read, and for a name that is not UTF-8, of a
/// tar only where there is no video.
FolderContent look_into(const std::filesystem::path& folder);

/// Paths of all videos under a folder, relative to it, with '/' between folders, sorted by bytes. A video is a file
/// with one of the usual extensions of videos, in any case; names that begin with a dot are left out. Throws UserError
/// when the folder is missing or holds no video, and for names that are not UTF-8.
std::vector<std::string> list_videos(const std::filesystem::path& folder);

/// The clips that could not be used, and why: a JSONL file with one {"file": …, "reason": …} a line, sorted by file.
class Quarantine {
 public:
  /// Continues the list of an earlier run when the file exists; throws UserError with file:line when it is damaged.
  explicit Quarantine(std::filesystem::path path);

  /// Notes a clip; a later reason replaces an earlier one.
  void add(const std::string& clip, const std::string& reason);
  /// A clip that was mended leaves the list.
  void remove(const std::string& clip);
  bool contains(const std::string& clip) const { return reasons_.contains(clip); }
  std::size_t size() const { return reasons_.size(); }
  const std::map<std::string, std::string>& reasons() const { return reasons_; }

  /// Writes the whole list, whole or not at all.
  void save() const;
  /// Throws UserError when more than `share` (0 to 1) of `total` clips are in the list, or all of them; it names the
  /// list, data.max_bad_share and the way out.
  void require_share(std::size_t total, double share) const;

 private:
  std::filesystem::path path_;
  std::map<std::string, std::string> reasons_;
};

}  // namespace rehyat::data
