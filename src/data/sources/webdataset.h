#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "data/sources/captions.h"
#include "data/sources/clip_file.h"

namespace rehyat::data {

/// What an archive of WebDataset's layout holds. Members with the same name up to the first dot behind the last '/' are
/// one sample: a video (by its last extension), and NAME.txt, else NAME.json with the string "caption", else "text",
/// and perhaps "group"; extensions in any case, null as if missing. Members whose file name begins with a dot are left
/// out.
struct ArchiveClips {
  std::vector<ClipFile> clips;         ///< in the archive's order
  std::vector<CaptionEntry> captions;  ///< `file` is the clip's name: `label`/MEMBER
  std::size_t other_members = 0;       ///< other members, and samples without a video
};

/// `label` stands for the archive in the clips' names. Throws UserError as list_tar does, and for a sample with two
/// videos, and a caption that is too long, not UTF-8 or not JSON.
ArchiveClips list_archive(const std::filesystem::path& path, const std::string& label);

}  // namespace rehyat::data
