#pragma once

#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/latent_dataset.h"
#include "finetune/config.h"
#include "finetune/flow_feed.h"
#include "finetune/flow_points.h"
#include "models/video_geometry.h"
#include "models/video_transformer.h"
#include "train/task.h"

namespace rehyat::finetune {

/// Flow matching of every parameter that the config lets be trained, data parallel. Where the dataset has buckets, all
/// samples of a step are of one, drawn by the step alone, each as often as its share of the samples; validate() then
/// also gives the loss of each. `stage` ("pretrain", "finetune") names the random streams, so that one stage does not
/// see the clips, noise and levels of another again.
class FlowTask : public train::Task {
 public:
  /// Reads the held-out points, on all ranks or on none, and warns where ranks have no or uneven shares. `geometry` of
  /// the codec that made the dataset: a bucket is told by the size of its videos. Collective. Throws UserError where
  /// the dataset has no held-out clip, and where the model has nothing that is to be trained.
  FlowTask(models::VideoTransformer model, const data::LatentDataset& dataset, const models::VideoGeometry& geometry,
           const FlowTrainingConfig& config, std::uint64_t seed, const std::string& stage,
           const comm::Communicator& world);

  std::vector<train::NamedParameter> parameters() override { return parameters_; }
  std::int64_t micro_batches() const override;
  at::Tensor loss(std::int64_t step, std::int64_t micro_batch) override;
  nlohmann::ordered_json validate() override;
  double seconds_of_waiting() const override { return feed_.seconds_of_waiting(); }
  std::int64_t samples_per_step() const override { return config_.global_batch; }

 private:
  /// The training samples that a step draws from: those of one bucket.
  const std::vector<std::int64_t>& samples_of(std::int64_t step) const;
  FlowSample draw(std::int64_t step, std::int64_t index) const;
  /// This rank's samples of a turn: [from, to) of the step's.
  std::pair<std::int64_t, std::int64_t> share(Turn turn) const;
  std::vector<FlowSample> samples(Turn turn) const;
  std::optional<Turn> after(Turn turn) const;

  models::VideoTransformer model_;
  std::vector<train::NamedParameter> parameters_;
  const data::LatentDataset& dataset_;
  models::VideoGeometry geometry_;
  FlowTrainingConfig config_;
  std::uint64_t seed_;
  std::string stream_;
  models::ForwardOptions forward_;
  const comm::Communicator& world_;
  std::int64_t begin_ = 0, end_ = 0;  ///< this rank's samples of a step
  std::vector<FlowSample> validation_;
  FlowFeed feed_;  ///< last: it draws from the others
};

}  // namespace rehyat::finetune
