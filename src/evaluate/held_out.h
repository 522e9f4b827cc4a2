#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/latent_dataset.h"
#include "finetune/flow_points.h"

/// What models are worth on clips that no training has seen.
namespace rehyat::evaluate {

/// A model to measure. It is opened when its turn comes, so that one model at a time is in memory.
struct Candidate {
  std::string name;
  std::function<models::VideoTransformer()> open;
};

/// Validation losses on the same held-out points.
struct HeldOutLosses {
  double pointwise = 0;        ///< of the best predictor that sees no context
  std::vector<double> models;  ///< of the candidates, in their order
};

/// Measures all of them on the validation points of `config`, with a bar under `title`. Collective.
HeldOutLosses held_out_losses(const std::string& title, const std::vector<Candidate>& candidates,
                              const data::LatentDataset& dataset, const finetune::FlowTrainingConfig& config,
                              std::uint64_t seed, const comm::Communicator& world);

/// Mean squared error of the velocity over these points. Collective; the same number on every rank.
double validation_loss(const models::VideoTransformer& model, const std::vector<finetune::FlowSample>& points,
                       at::ScalarType compute, const comm::Communicator& world);

/// The loss of the best predictor value by value (see PointwisePredictor), learnt from the training split, over the
/// validation points of `config`. Reads the dataset on rank 0 alone; collective.
double pointwise_loss(const data::LatentDataset& dataset, const finetune::FlowTrainingConfig& config,
                      std::uint64_t seed, const comm::Communicator& world);

/// Held-out windows, of as many clips as there are, all noised to one level.
std::vector<finetune::FlowSample> noised_clips(const data::LatentDataset& dataset, std::int64_t count, double sigma,
                                               std::uint64_t seed);

/// What the model takes a noised window for, after one look: x_sigma - sigma v, [C,T,H,W], float32 on the CPU.
at::Tensor denoised(const models::VideoTransformer& model, const finetune::FlowSample& sample, at::ScalarType compute);

}  // namespace rehyat::evaluate
