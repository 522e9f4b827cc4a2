#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "data/dataset/identity.h"
#include "data/dataset/manifest.h"

namespace rehyat::stages {

/// Notes in the run's folder which dataset was made of a data section (see data::section_key), so that later stages
/// need not look at the videos again, and find what was made from it when it is gone itself. Call on rank 0.
void remember_dataset(const std::filesystem::path& run_folder, const std::string& section,
                      const data::Identity& identity);

/// The identity that was noted; nothing where none was. Throws UserError for a damaged note.
std::optional<data::Identity> recall_dataset(const std::filesystem::path& run_folder, const std::string& section);

/// How the dataset of the run's folder that is most like this identity differs from it: "runs/a/prepare-12345678 was
/// made from something else (data.size: found [64,64], expected [80,80])"; "" where there is none. Where the clips
/// differ, those of now, `clips`, are compared with the ones in its clips.json (see data::save_clip_marks).
std::string nearest_dataset(const std::filesystem::path& run_folder, const data::Identity& identity,
                            const data::ClipMarks& clips = {});

}  // namespace rehyat::stages
