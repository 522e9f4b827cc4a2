#pragma once

#include <filesystem>
#include <vector>

#include "data/sources/captions.h"

namespace rehyat::data {

/// The captions in the list that FastVideo and HunyuanVideo's training scripts call videos2caption.json: a JSON list of
/// objects with "path", relative to the folder of the videos, and "cap", a string or a list of them, of which the first
/// is taken; "group" as in JSONL, our own. "fps", "duration", "num_frames" and "resolution" {"width", "height"} are
/// checked where they are given, and not used: the files tell them. Other keys are passed over, but for "cut" and
/// "crop", which ask for a part of a video. Throws UserError with the file, the entry and what is wrong.
std::vector<CaptionEntry> read_videos2caption(const std::filesystem::path& path);

}  // namespace rehyat::data
