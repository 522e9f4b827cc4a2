#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/config.h"
#include "data/sources/captions.h"
#include "data/sources/clip_file.h"

namespace rehyat::data {

/// The clips of a data section with their captions.
struct ClipList {
  std::vector<std::string> videos;  ///< names, sorted: paths relative to the folder, or "00.tar/a.mp4" in an archive
  Captions captions;
  std::vector<ClipFile> files;  ///< where each lies
  std::size_t left_out = 0;     ///< members of archives that are neither videos nor their captions

  /// Where the clip of that name lies; nothing for another one's.
  const ClipFile* find(const std::string& name) const;
};

/// Finds the clips that `data.videos` names and their captions: a folder of videos; a tar, a folder of tars or a
/// pattern of tars (see path_pattern.h) as WebDataset packs them. A folder that holds videos is one of videos, whatever
/// else is in it. Throws UserError as list_videos, list_tar and Captions::load do, for a pattern that names what is no
/// tar, and for archives without a video.
ClipList list_clips(const DataConfig& config);

/// The same for all ranks from one that looks: many of them at once are a burden for a file system that they share, and
/// need not see the same. Collective; throws on all ranks.
ClipList list_clips(const DataConfig& config, const comm::Communicator& world);

}  // namespace rehyat::data
