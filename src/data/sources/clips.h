#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace rehyat::data {

/// Whether the name ends as videos' names do, in upper or lower case. Whether it is a video, FFmpeg decides.
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

}  // namespace rehyat::data
