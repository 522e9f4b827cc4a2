#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
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
  std::vector<ClipFile> files;    ///< where each lies
  std::size_t other_members = 0;  ///< of archives: those that are neither videos nor their captions

  /// Where the clip of that name lies; null where the list has no such clip.
  const ClipFile* find(const std::string& name) const;
};
/// For comm::from_root.
void to_json(nlohmann::ordered_json& out, const ClipList& clips);
void from_json(const nlohmann::ordered_json& content, ClipList& clips);

/// Finds the clips that `data.videos` names and their captions: a folder of videos; a tar, a folder of tars or a
/// pattern of tars (see path_pattern.h) as WebDataset packs them. A folder that holds videos is one of videos, whatever
/// else is in it. Throws UserError as list_folder, list_tar and Captions::load do, for a pattern that names what is no
/// tar, and for archives without a video.
ClipList list_clips(const DataConfig& config);

/// The list that rank 0 finds, on all ranks: many ranks that look at once burden the file system that they share, and
/// they need not see the same. Collective; throws on all ranks.
ClipList list_clips(const DataConfig& config, const comm::Communicator& world);

}  // namespace rehyat::data
