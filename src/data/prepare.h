#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/config.h"
#include "data/encoders.h"
#include "data/identity.h"
#include "dist/communicator.h"

namespace rehyat::data {

/// Turns videos and captions into HDF5 shards of latents and text embeddings with a manifest. Shards are groups of
/// clips in the order of their paths, shared out over the ranks, so that the result does not depend on the number of
/// ranks; finished shards are kept by a run that is started again, unless a clip in them was set aside and deserves
/// another try. Clips that cannot be used are listed in quarantine.jsonl with the reason. `identity` is that of these
/// clips, by dataset_identity. Returns counts and times. Collective. Throws UserError on missing captions, too many bad
/// clips, a folder made from something else, a build without FFmpeg, a full disk.
nlohmann::ordered_json prepare(const DataConfig& config, VideoCodec& codec, TextEncoder& text, std::uint64_t seed,
                               const Identity& identity, const std::filesystem::path& folder,
                               const dist::Communicator& world);

}  // namespace rehyat::data
