#include "evaluate/held_out.h"

#include <gtest/gtest.h>

#include <set>

#include "comm/mpi_test_main.h"
#include "evaluate/pointwise_predictor.h"
#include "finetune/small_dataset.h"
#include "models/small_wan.h"

namespace rehyat::evaluate {
namespace {

using finetune::FlowSample;
using testing::world;

class HeldOut : public testing::SmallDataset {
 protected:
  static finetune::FlowTrainingConfig config() {
    finetune::FlowTrainingConfig out;
    out.validation_samples = 6;
    return out;
  }
};

TEST_F(HeldOut, ALookThroughNoiseEqualsOneStepOfTheModel) {
  const auto clips = noised_clips(*dataset_, 3, 0.25, 4);
  std::set<std::string> names;
  for (const FlowSample& clip : clips) {
    names.insert(dataset_->clip(data::Split::validation, window_of(clip)));
    EXPECT_EQ(clip.caption, "words");
  }
  EXPECT_EQ(names, (std::set<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(at::equal(clips[2].noise, noised_clips(*dataset_, 3, 0.25, 4)[2].noise));
  const at::NoGradGuard no_grad;
  models::WanTransformer model = testing::small_wan(2);
  const FlowSample& clip = clips.front();
  const at::Tensor x = 0.75 * clip.x0 + 0.25 * clip.noise,
                   v = model->forward(x.unsqueeze(0), at::full({1}, 250.0F), clip.text.unsqueeze(0))[0];
  EXPECT_TRUE(at::allclose(denoised(model, clip, at::kFloat), x - 0.25 * v, 1e-5, 1e-6));
}

TEST_F(HeldOut, ThePointwiseLossIsThePredictorsErrorAndTheSameOnEveryRank) {
  const PointwisePredictor predictor(
      dataset_->size(data::Split::train), [&](std::int64_t i) { return dataset_->get(data::Split::train, i).latents; },
      4);
  const auto points = finetune::validation_points(*dataset_, config(), 4);
  double expected = 0;
  for (const FlowSample& p : points) {
    const at::Tensor x = (1 - p.sigma) * p.x0 + p.sigma * p.noise;
    expected += (predictor.velocity(x, p.sigma) - (p.noise - p.x0)).square().mean().item<double>();
  }
  EXPECT_NEAR(pointwise_loss(*dataset_, config(), 4, world()), expected / 6, 1e-6);
}

TEST_F(HeldOut, EveryModelIsMeasuredInItsTurnOnTheSamePoints) {
  int open = 0;
  std::vector<Candidate> candidates;
  for (const std::int64_t layers : {2, 1}) {
    candidates.push_back({cat(layers, " layers"), [&open, layers] {
                            ++open;
                            return testing::small_wan(layers);
                          }});
  }
  const HeldOutLosses found = held_out_losses("test", candidates, *dataset_, config(), 4, world());
  EXPECT_EQ(open, 2);
  EXPECT_EQ(found.pointwise, pointwise_loss(*dataset_, config(), 4, world()));
  ASSERT_EQ(found.models.size(), 2U);
  const auto points = finetune::validation_points(*dataset_, config(), 4);
  for (const auto& [i, layers] : {std::pair(0U, 2), std::pair(1U, 1)}) {
    models::WanTransformer model = testing::small_wan(layers);
    EXPECT_EQ(found.models[i], validation_loss(model, points, at::kFloat, world()));
  }
  EXPECT_NE(found.models[0], found.models[1]);
}

}  // namespace
}  // namespace rehyat::evaluate
