#pragma once

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/latent_dataset.h"
#include "finetune/config.h"
#include "finetune/pointwise_predictor.h"
#include "models/wan/transformer.h"
#include "train/task.h"

namespace rehyat::finetune {

/// One training or validation point.
struct FlowSample {
  at::Tensor x0, noise, text;  ///< [C,T,H,W], [C,T,H,W], [L,D]
  double sigma = 0;
  std::string caption = {};
};

/// The fixed held-out points: window, noise level and noise depend on (split, seed, index) alone. Every clip is as
/// often among them as any other, in a seeded order; then the windows of each.
std::vector<FlowSample> validation_points(const data::LatentDataset& dataset, const FlowTrainingConfig& config,
                                          std::uint64_t seed);

/// Held-out windows, of as many clips as there are, all noised to one level.
std::vector<FlowSample> noised_clips(const data::LatentDataset& dataset, std::int64_t count, double sigma,
                                     std::uint64_t seed);

/// What the model takes a noised window for, after one look: x_sigma - sigma v, [C,T,H,W], float32 on the CPU.
at::Tensor denoised(models::WanTransformer& model, const FlowSample& sample, at::ScalarType compute);

/// Mean squared error of the velocity of each point, [points] float64. Collective: points are shared out over the
/// ranks, and every rank gets the same numbers whatever their count.
at::Tensor validation_losses(models::WanTransformer& model, const std::vector<FlowSample>& points,
                             at::ScalarType compute, const comm::Communicator& world);

/// The mean of these.
double validation_loss(models::WanTransformer& model, const std::vector<FlowSample>& points, at::ScalarType compute,
                       const comm::Communicator& world);

/// The same loss of the best predictor value by value (see PointwisePredictor), learnt from the training split. Reads
/// the dataset on rank 0 alone; collective.
double pointwise_loss(const data::LatentDataset& dataset, const std::vector<FlowSample>& points, std::uint64_t seed,
                      const comm::Communicator& world);

/// Flow matching of every parameter, data parallel. Where the dataset has buckets, all samples of a step are of one,
/// drawn by the step alone, each as often as its share of the samples; validate() then also gives the loss of each.
/// `stage` ("pretrain", "finetune") names the random streams, so that one stage does not see the clips, noise and
/// levels of another again.
class FlowTask : public train::Task {
 public:
  FlowTask(models::WanTransformer model, const data::LatentDataset& dataset, const FlowTrainingConfig& config,
           std::uint64_t seed, const std::string& stage, const comm::Communicator& world);

  std::vector<train::NamedParameter> parameters() override;
  std::int64_t micro_batches() const override;
  at::Tensor loss(std::int64_t step, std::int64_t micro_batch) override;
  nlohmann::ordered_json validate() override;
  std::int64_t samples_per_step() const override { return config_.global_batch; }

 private:
  /// The training samples that a step draws from: those of one bucket.
  const std::vector<std::int64_t>& samples_of(std::int64_t step) const;
  FlowSample draw(std::int64_t step, std::int64_t index) const;

  models::WanTransformer model_;
  const data::LatentDataset& dataset_;
  FlowTrainingConfig config_;
  std::uint64_t seed_;
  std::string stream_;
  at::ScalarType compute_;
  const comm::Communicator& world_;
  std::int64_t begin_ = 0, end_ = 0;  ///< this rank's samples of a step
  std::vector<FlowSample> validation_;
};

}  // namespace rehyat::finetune
