#include "stages/costs.h"

#include <algorithm>
#include <numeric>

#include "stages/run.h"

namespace rehyat::stages {

analysis::VideoSize video_of(Run& run) {
  const data::DataConfig& data = run.config().data;
  return {data.frames, data.size[0], data.size[1], run.encoders().codec->geometry()};
}

std::vector<analysis::VideoSize> bucket_videos(Run& run) {
  const data::DataConfig& data = run.config().data;
  std::vector<analysis::VideoSize> out;
  for (std::size_t b = 0; b < data.bucket_count(); ++b) {
    const data::DataConfig bucket = data.of_bucket(b);
    out.push_back({bucket.frames, bucket.size[0], bucket.size[1], run.encoders().codec->geometry()});
  }
  return out;
}

analysis::VideoSize largest(const std::vector<analysis::VideoSize>& videos) {
  const auto pixels = [](const analysis::VideoSize& v) { return v.frames * v.height * v.width; };
  return *std::max_element(videos.begin(), videos.end(),
                           [&](const auto& a, const auto& b) { return pixels(a) < pixels(b); });
}

std::vector<analysis::BlockChoice> block_choices(const models::BlockMap& blocks, std::int64_t layers) {
  std::vector<analysis::BlockChoice> choices(static_cast<std::size_t>(layers), analysis::softmax_block());
  for (const auto& [block, attention] : blocks)
    choices[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  return choices;
}

models::BlockMap blocks_of(Run& run, TrainedModel which) {
  return which == TrainedModel::teacher ? models::BlockMap() : run.models().blocks();
}

analysis::ModelCost model_cost(Run& run, const models::BlockMap& blocks) {
  const models::Architecture& model = run.models().architecture();
  return analysis::model_cost(model, video_of(run), block_choices(blocks, model.layers));
}

double forward_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                      const analysis::VideoSize& video) {
  return analysis::model_cost(model, video, block_choices(blocks, model.layers)).tflops_recurrent;
}

double training_step_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                            const std::vector<analysis::VideoSize>& buckets, const std::vector<double>& samples,
                            std::int64_t batch) {
  const double all = std::accumulate(samples.begin(), samples.end(), 0.0);
  double forward = 0;  // of one video on average: each step is of one bucket, in proportion to its samples
  if (all > 0) {
    for (std::size_t b = 0; b < samples.size(); ++b)
      forward += samples[b] / all * forward_tflops(model, blocks, buckets.at(b));
  } else {
    forward = forward_tflops(model, blocks, largest(buckets));
  }
  return kStepOverForward * static_cast<double>(batch) * forward;
}

std::vector<double> samples_of_buckets(Run& run) {
  const StageFolder folder = run.folder("prepare");
  if (!folder.complete()) return {};
  const data::LatentDataset& dataset = run.dataset().open(folder);
  std::vector<double> samples;
  for (std::size_t b = 0; b < dataset.buckets(); ++b)
    samples.push_back(static_cast<double>(dataset.of_bucket(data::Split::train, b).size()));
  return samples;
}

}  // namespace rehyat::stages
