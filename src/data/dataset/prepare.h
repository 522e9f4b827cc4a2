#pragma once

#include "comm/communicator.h"
#include "data/dataset/inputs.h"
#include "data/dataset/prepare_result.h"
#include "files/marked_folder.h"

namespace rehyat::data {

/// Turns videos and captions into HDF5 shards of latents and text embeddings with a manifest. Shards are groups of
/// clips in the order of their names; each goes to whichever rank is free, and the result does not depend on the number
/// of ranks. A run that is started again keeps the finished shards, except where a clip could not be used and deserves
/// another try. quarantine.jsonl lists the clips that cannot be used, dropped.jsonl those that fit none of
/// data.buckets, each with the reason. `folder` is the dataset_folder of these inputs, and rank 0 has opened it. The
/// table of the result is also logged; with buckets the manifest holds it too. Collective. Throws UserError on missing
/// captions, too many unusable clips, no clip that fits a bucket, a build without FFmpeg, a full disk.
PrepareResult prepare_dataset(const DatasetInputs& inputs, const MarkedFolder& folder, const comm::Communicator& world);

}  // namespace rehyat::data
