#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "finetune/flow_task.h"
#include "finetune/small_dataset.h"
#include "models/frozen_weights.h"
#include "models/small_wan.h"
#include "train/loop.h"

/// The training loop with a whole model, on the CPU and, where there is one, on a GPU.
namespace rehyat::finetune {
namespace {

class WholeTraining : public testing::SmallDataset, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    at::set_num_threads(1);  // of tensors this small others only wait
    if (device().is_cuda() && !torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  }
  static at::Device device() { return at::Device(std::string(GetParam())); }

  static FlowTrainingConfig config() {
    FlowTrainingConfig out;
    out.train.iterations = 4;
    out.train.lr = 1e-2;
    out.train.checkpoint_every = 2;
    out.train.ema_decay = 0.9;
    out.precision = Precision::bf16;
    out.global_batch = 2;
    out.validation_samples = 1;
    return out;
  }

  struct Result {
    NamedTensors weights;
    double loss = 0;
  };
  /// Trains in a folder, or goes on there, up to `pause`.
  Result trained(const std::string& folder, const FlowTrainingConfig& config, std::optional<std::int64_t> pause = {}) {
    const comm::Communicator alone;
    models::WanTransformer model = testing::small_wan(2);
    models::convert(model, {{1, testing::every_attention()[1]}}, 3, testing::kLatent);
    model->to(device());
    FlowTask task(model, *dataset_, {4, 8, 8, 4}, config, 4, "finetune", alone);
    std::optional<models::FrozenWeights> frozen(std::in_place, *model, at::kBFloat16);
    const auto last = train::train(
        task, config.train,
        {.title = "small", .folder = folder_ / folder, .fingerprint = "f", .quiet = true, .pause_after = pause}, alone);
    frozen.reset();
    Result out;
    out.loss = last.at("loss").get<double>();
    for (const auto& [name, tensor] : model->tensors(models::Weights::all))
      out.weights.emplace_back(name, tensor.detach().cpu());
    return out;
  }
  static void expect_same(const Result& found, const Result& expected) {
    EXPECT_EQ(found.loss, expected.loss);
    ASSERT_EQ(found.weights.size(), expected.weights.size());
    for (std::size_t i = 0; i < found.weights.size(); ++i)
      EXPECT_TRUE(at::equal(found.weights[i].second, expected.weights[i].second)) << found.weights[i].first;
  }
};

TEST_P(WholeTraining, IsTheSameWithWeightsInHostMemoryAndWithAnyPlan) {
  const Result expected = trained("plain", config());
  FlowTrainingConfig other = config();
  other.train.offload = train::Offload::optimizer;
  other.automatic_plan = {models::Recompute::selective, models::Recompute::none, 1};
  expect_same(trained("hosted", other), expected);
}

TEST_P(WholeTraining, GoesOnFromACheckpointWithOtherSettingsOfMemory) {
  const Result expected = trained("straight", config());
  FlowTrainingConfig hosted = config();
  hosted.train.offload = train::Offload::optimizer;
  trained("a", hosted, 2);
  expect_same(trained("a", config()), expected);
  trained("b", config(), 2);
  expect_same(trained("b", hosted), expected);
}

TEST_P(WholeTraining, LeavesFrozenWeightsAsTheyWere) {
  FlowTrainingConfig some = config(), hosted = config();
  some.trainable = hosted.trainable = Trainable::attention;
  hosted.train.offload = train::Offload::optimizer;
  const Result found = trained("some", some);
  expect_same(trained("some hosted", hosted), found);
  models::WanTransformer start = testing::small_wan(2);
  for (const auto& [name, tensor] : start->tensors(models::Weights::teacher)) {
    const auto now = std::find_if(found.weights.begin(), found.weights.end(),
                                  [&, wanted = name](const auto& item) { return item.first == wanted; });
    EXPECT_EQ(at::equal(now->second, tensor.detach()), !name.starts_with("blocks.1.attn1.")) << name;
  }
}

TEST_P(WholeTraining, ANumberThatIsNotFiniteEndsItBeforeTheUpdate) {
  FlowTrainingConfig broken = config();
  broken.train.offload = train::Offload::optimizer;
  broken.train.lr = 1e30;
  testing::expect_error<UserError>([&] { trained("broken", broken); }, {"found loss", "expected finite numbers"});
}

INSTANTIATE_TEST_SUITE_P(Devices, WholeTraining, ::testing::Values("cpu", "cuda"));

}  // namespace
}  // namespace rehyat::finetune
