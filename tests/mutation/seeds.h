#pragma once

#include "files/marked_folder.h"
#include "mutation/mutator.h"

/// Small folders as the program writes them.
namespace rehyat::testing {

/// What the cache and the dataset are made from.
Identity seed_identity();
/// An activation cache of two trajectories and two blocks, with targets.
FileTree small_cache();
/// A prepared dataset of three samples in one shard and one bucket.
FileTree small_prepared();
/// Two checkpoints of the training "a fingerprint".
FileTree small_checkpoints();
/// metrics.jsonl and an event file of five steps.
FileTree small_metrics();
/// A transformer of three blocks, two of them converted.
FileTree small_transformer();

}  // namespace rehyat::testing
