#pragma once

#include <nlohmann/json.hpp>

#include "comm/communicator.h"
#include "data/dataset/inputs.h"
#include "files/marked_folder.h"

namespace rehyat::data {

/// Turns videos and captions into HDF5 shards of latents and text embeddings with a manifest. Shards are groups of
/// clips in the order of their names; each goes to whichever rank is free, and the result does not depend on the number
/// of ranks. A run that is started again keeps the finished shards, except where a clip was set aside and deserves
/// another try. quarantine.jsonl lists the clips that cannot be used, dropped.jsonl those that fit none of
/// data.buckets, each with the reason. `folder` is the dataset_folder of these inputs, and rank 0 has opened it.
/// Returns counts, the table of what went where (see dataset_table.h), which is also logged and with buckets in the
/// manifest, and the throughput. Collective. Throws UserError on missing captions, too many bad clips, no clip that
/// fits a bucket, a build without FFmpeg, a full disk.
nlohmann::ordered_json prepare(const DatasetInputs& inputs, const MarkedFolder& folder,
                               const comm::Communicator& world);

}  // namespace rehyat::data
