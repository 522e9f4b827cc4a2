#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace rehyat::data {

/// Whether the name ends as videos' names do, in upper or lower case. Whether it is a video, FFmpeg decides.
bool is_video_name(const std::filesystem::path& name);

/// The extension in lower case: cameras and Windows write capitals.
std::string lower_extension(const std::filesystem::path& name);

/// The videos and the tars under a folder: paths relative to it, with '/' between folders, sorted by bytes.
struct FolderContent {
  std::vector<std::string> videos, archives;
  std::vector<std::string> warnings, remarks;  ///< sentences about what was left out: by mistake, on purpose
};

/// Lists a folder and those in it. A video is a file with one of the usual extensions of videos, in any case. Links to
/// files and folders are followed; a folder that several of them lead to is listed once, under its own name where it
/// lies in `folder`. Names that begin with a dot, links that lead nowhere and what is no regular file are left out and
/// counted. Throws UserError when a folder is missing or cannot be read, and for a name that is not UTF-8, of a tar
/// only where there is no video.
FolderContent list_folder(const std::filesystem::path& folder);

/// Says in the log what was left out.
void log_left_out(const FolderContent& content);

/// The videos of a folder that was listed. Throws UserError where there is none.
std::vector<std::string> videos_of(const std::filesystem::path& folder, FolderContent content);

}  // namespace rehyat::data
