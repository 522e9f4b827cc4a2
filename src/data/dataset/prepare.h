#pragma once

#include <nlohmann/json.hpp>

#include "comm/communicator.h"
#include "data/config.h"
#include "data/dataset/identity.h"
#include "data/sources/clip_list.h"
#include "models/encoders.h"

namespace rehyat::data {

/// Turns videos and captions into HDF5 shards of latents and text embeddings with a manifest. Shards are groups of
/// clips in the order of their names; each goes to whichever rank is free, and the result does not depend on the number
/// of ranks. Finished shards are kept by a run that is started again, unless a clip in them was set aside and deserves
/// another try. Clips that cannot be used are listed in quarantine.jsonl with the reason, those that fit none of
/// data.buckets in dropped.jsonl. `clips` are those that list_clips finds, the same on all ranks. `folder` is a
/// dataset_folder whose identity is theirs, by dataset_identity, and rank 0 has opened it. Returns counts, the table of
/// what went where (see dataset_table.h), which is also logged and with buckets in the manifest, and the throughput.
/// Collective. Throws UserError on missing captions, too many bad clips, no clip that fits a bucket, a build without
/// FFmpeg, a full disk.
nlohmann::ordered_json prepare(const DataConfig& config, const ClipList& clips, models::VideoCodec& codec,
                               models::TextEncoder& text, std::uint64_t seed, const MarkedFolder& folder,
                               const comm::Communicator& world);

}  // namespace rehyat::data
