#pragma once

#include <memory>

#include "stages/stage.h"

/// The program's own stages, each in the file of its name.
namespace rehyat::stages {

std::shared_ptr<const Stage> prepare_stage();   ///< videos and captions -> latents and text embeddings
std::shared_ptr<const Stage> pretrain_stage();  ///< a softmax teacher from scratch
std::shared_ptr<const Stage> cache_stage();     ///< the teacher's activations over its trajectories
std::shared_ptr<const Stage> distill_stage();   ///< feature maps of each converted block
std::shared_ptr<const Stage> finetune_stage();  ///< flow matching of the hybrid model
std::shared_ptr<const Stage> sample_stage();    ///< videos
std::shared_ptr<const Stage> export_stage();    ///< a model in the layouts of other programs
std::shared_ptr<const Stage> verify_stage();    ///< a model's forms against each other
std::shared_ptr<const Stage> report_stage();    ///< one HTML page

}  // namespace rehyat::stages
