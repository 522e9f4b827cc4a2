#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/config.h"
#include "data/encoders.h"
#include "data/manifest.h"
#include "dist/communicator.h"

namespace rehyat::data {

/// What decides the content of a prepared dataset.
Identity dataset_identity(const DataConfig& config, const VideoCodec& codec, const TextEncoder& text,
                          std::uint64_t seed);

/// Turns videos and captions into HDF5 shards of latents and text embeddings with a manifest. Shards are groups of
/// clips in the order of their paths, shared out over the ranks, so that the result does not depend on the number of
/// ranks; finished shards are kept by a run that is started again. Clips that cannot be used are listed in
/// quarantine.jsonl with the reason. Returns counts and times. Collective. Throws UserError on missing captions, too
/// many bad clips, a folder made from something else.
nlohmann::ordered_json prepare(const DataConfig& config, VideoCodec& codec, TextEncoder& text, std::uint64_t seed,
                               const std::filesystem::path& folder, const dist::Communicator& world);

}  // namespace rehyat::data
