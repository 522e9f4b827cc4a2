#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/latent_dataset.h"
#include "finetune/config.h"
#include "models/video_transformer.h"

/// The points of flow matching: a clip, a noise level and a noise each, and what a model says of them.
namespace rehyat::finetune {

/// One training or validation point.
struct FlowSample {
  at::Tensor x0, noise, text;  ///< [C,T,H,W], [C,T,H,W], [L,D]
  double sigma = 0;
  std::string caption = {};
};

/// The numbers of `count` held-out windows: one window of each clip, then a second of each that has one, and so on;
/// once all are used they come again. The order of the clips, and of the windows of a clip, depends on the seed alone.
std::vector<std::int64_t> held_out_windows(const data::LatentDataset& dataset, std::int64_t count, std::uint64_t seed);

/// The fixed held-out points: window, noise level and noise depend on (split, seed, index) alone. Every clip is as
/// often among them as any other. Empty where the dataset has no held-out clip.
std::vector<FlowSample> validation_points(const data::LatentDataset& dataset, const FlowTrainingConfig& config,
                                          std::uint64_t seed);

/// Points of one shape as a model takes them: noised latents [B,C,T,H,W], timesteps [B], text [B,L,D], and the velocity
/// that is wanted of it [B,C,T,H,W]; float32.
struct FlowBatch {
  at::Tensor x, timesteps, text, target;
};
FlowBatch joined(const std::vector<FlowSample>& batch);

/// The model's velocities of a batch of points of one shape, [B,C,T,H,W], float32, on the model's device.
at::Tensor velocities(const models::VideoTransformer& model, const FlowBatch& batch,
                      const models::ForwardOptions& options);
at::Tensor velocities(const models::VideoTransformer& model, const std::vector<FlowSample>& batch,
                      const models::ForwardOptions& options);

/// Mean squared error of the velocity of each point of a batch, [B], float32. Differentiable.
at::Tensor sample_losses(const models::VideoTransformer& model, const FlowBatch& batch,
                         const models::ForwardOptions& options);
at::Tensor sample_losses(const models::VideoTransformer& model, const std::vector<FlowSample>& batch,
                         const models::ForwardOptions& options);

/// Mean squared error of the velocity of each point, [points] float64. Collective: points are shared out over the
/// ranks, and every rank gets the same numbers whatever their count. An error of one rank ends all ranks.
at::Tensor validation_losses(const models::VideoTransformer& model, const std::vector<FlowSample>& points,
                             at::ScalarType compute, const comm::Communicator& world);

}  // namespace rehyat::finetune
