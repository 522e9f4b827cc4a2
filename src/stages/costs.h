#pragma once

#include <vector>

#include "analysis/cost.h"
#include "models/hybrid.h"
#include "stages/config.h"

/// The cost model's view of an experiment: one count for dry runs, logs and the report.
namespace rehyat::stages {

class Run;

/// The video that `sample` and `cache` work on, and one video of each bucket.
analysis::VideoSize video_of(Run& run);
std::vector<analysis::VideoSize> bucket_videos(Run& run);
/// The video with the most pixels, for which training has to have room.
analysis::VideoSize largest(const std::vector<analysis::VideoSize>& videos);

/// The attention of each of the model's blocks: those that are not converted have softmax.
std::vector<analysis::BlockChoice> block_choices(const models::BlockMap& blocks, std::int64_t layers);
/// The blocks that this model has converted; the teacher has none.
models::BlockMap blocks_of(Run& run, TrainedModel which);
/// The cost of one forward pass of the run's model with these blocks converted.
analysis::ModelCost model_cost(Run& run, const models::BlockMap& blocks);

/// Bytes of a number of a model's weights where they are loaded, which is in float32.
constexpr std::int64_t kWeightBytes = 4;
/// A forward and a backward pass together cost as much as so many forward passes.
constexpr double kStepOverForward = 3;

/// TFLOP of one forward pass of one video as the program runs it: every form folds each token into the linear state
/// once.
double forward_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                      const analysis::VideoSize& video);

/// TFLOP of one training step of `batch` videos, over all ranks. `samples` of each bucket say how often its turn comes;
/// where they are not known (empty), all videos count as the largest.
double training_step_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                            const std::vector<analysis::VideoSize>& buckets, const std::vector<double>& samples,
                            std::int64_t batch);
/// The training samples of each bucket; empty where the dataset is not prepared yet.
std::vector<double> samples_of_buckets(Run& run);

}  // namespace rehyat::stages
