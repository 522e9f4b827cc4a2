#include "finetune/flow_task.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <map>
#include <set>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "finetune/small_dataset.h"
#include "models/small_wan.h"
#include "train/reduce.h"

namespace rehyat::finetune {
namespace {

using testing::expect_error;
using testing::world;

class Dataset : public testing::SmallDataset {
 protected:
  static FlowTrainingConfig config(std::int64_t global_batch, std::int64_t micro_batch) {
    FlowTrainingConfig out;
    out.global_batch = global_batch;
    out.micro_batch = micro_batch;
    out.validation_samples = 6;
    return out;
  }
  FlowTask task(const FlowTrainingConfig& config, const comm::Communicator& ranks,
                const std::string& stage = "finetune") const {
    return FlowTask(testing::small_wan(2), *dataset_, {4, 8, 8, 4}, config, 4, stage, ranks);
  }
};

/// One step's loss over all ranks, with its gradients left in the parameters.
double step_loss(FlowTask& task, const comm::Communicator& ranks) {
  at::Tensor total = at::zeros({}, at::kDouble);
  const auto parameters = task.parameters();
  for (std::int64_t micro = 0; micro < task.micro_batches(); ++micro) {
    const at::Tensor loss = task.loss(2, micro);
    loss.backward();
    total += loss.detach();
  }
  train::reduce_gradients(parameters, total, ranks);
  return total.item<double>();
}

TEST_F(Dataset, UnevenAndEmptySharesAddUpToTheWholeBatch) {
  const comm::Communicator alone;
  // Fewer samples than ranks, one more than a multiple, micro-batches that do not divide the share.
  for (const auto& [global, micro] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {3, 1}, {5, 2}, {7, 3}}) {
    SCOPED_TRACE(cat(global, " samples, ", micro, " at once"));
    FlowTask single = task(config(global, global), alone), shared = task(config(global, micro), world());
    for (const double count : world().all_gather(static_cast<double>(shared.micro_batches())))
      EXPECT_EQ(count, static_cast<double>(shared.micro_batches()));
    EXPECT_NEAR(step_loss(shared, world()), step_loss(single, alone), 1e-5);
    const auto expected = single.parameters(), found = shared.parameters();
    for (std::size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(at::allclose(found[i].tensor.grad(), expected[i].tensor.grad(), 1e-4, 1e-6)) << found[i].name;
  }
}

TEST_F(Dataset, RecomputationChangesNoBitOfLossAndGradients) {
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    FlowTrainingConfig config = Dataset::config(5, 2);
    config.precision = precision;
    std::vector<std::vector<at::Tensor>> gradients;
    std::vector<double> losses;
    for (const RecomputePolicy policy :
         {RecomputePolicy::none, RecomputePolicy::selective, RecomputePolicy::full, RecomputePolicy::automatic}) {
      config.recompute = policy;
      FlowTask shared = task(config, world());
      losses.push_back(step_loss(shared, world()));
      gradients.emplace_back();
      for (const auto& parameter : shared.parameters()) gradients.back().push_back(parameter.tensor.grad());
    }
    for (std::size_t policy = 1; policy < losses.size(); ++policy) {
      EXPECT_EQ(losses[policy], losses[0]);
      for (std::size_t i = 0; i < gradients[0].size(); ++i)
        EXPECT_TRUE(at::equal(gradients[policy][i], gradients[0][i])) << i;
    }
  }
}

TEST_F(Dataset, OnlyTheChosenParametersAreTrained) {
  const comm::Communicator alone;
  const auto trained = [&](Trainable trainable, RecomputePolicy recompute) {
    models::WanTransformer model = testing::small_wan(2);
    models::convert(model, {{1, testing::every_attention()[1]}}, 3, testing::kLatent);
    FlowTrainingConfig config = Dataset::config(2, 1);
    config.trainable = trainable;
    config.recompute = recompute;
    FlowTask own(model, *dataset_, {4, 8, 8, 4}, config, 4, "finetune", alone);
    step_loss(own, alone);
    std::map<std::string, at::Tensor> gradients;
    for (const auto& item : model->named_parameters()) {
      if (item.value().grad().defined()) gradients[item.key()] = item.value().grad();
    }
    EXPECT_EQ(gradients.size(), own.parameters().size());
    return gradients;
  };
  const auto all = trained(Trainable::all, RecomputePolicy::none);
  std::size_t fewer = all.size();
  for (const auto& [trainable, prefix] : {std::pair{Trainable::blocks, "blocks.1."},
                                          {Trainable::attention, "blocks.1.attn1."},
                                          {Trainable::feature_maps, "blocks.1.attn1.phi_"}}) {
    const auto some = trained(trainable, RecomputePolicy::none), again = trained(trainable, RecomputePolicy::full);
    EXPECT_LT(some.size(), fewer) << prefix;
    fewer = some.size();
    EXPECT_EQ(again.size(), some.size());
    for (const auto& [name, gradient] : some) {
      EXPECT_TRUE(name.starts_with(prefix)) << name;
      EXPECT_TRUE(at::equal(gradient, all.at(name))) << name;  // the same as where everything is trained
      EXPECT_TRUE(at::equal(gradient, again.at(name))) << name;
    }
    for (const auto& item : all) EXPECT_EQ(some.contains(item.first), item.first.starts_with(prefix)) << item.first;
  }
  FlowTrainingConfig none = Dataset::config(2, 1);
  none.trainable = Trainable::blocks;
  expect_error<UserError>([&] { task(none, alone); }, {"trainable", "found no parameter", "convert a block"});
}

/// The batch that the feed made, beside one that is made at once.
void expect_same(const FlowBatch& fed, const FlowBatch& made) {
  EXPECT_TRUE(at::equal(fed.x.cpu(), made.x));
  EXPECT_TRUE(at::equal(fed.timesteps.cpu(), made.timesteps));
  EXPECT_TRUE(at::equal(fed.text.cpu(), made.text));
  EXPECT_TRUE(at::equal(fed.target.cpu(), made.target));
}

std::vector<FlowSample> drawn(Turn turn) {
  std::vector<FlowSample> out(2);
  for (std::uint64_t i = 0; i < out.size(); ++i) {
    Rng rng(3, "test.turn", {static_cast<std::uint64_t>(turn.step), static_cast<std::uint64_t>(turn.micro_batch), i});
    out[i] = {randn(rng, {4, 3, 4, 4}), randn(rng, {4, 3, 4, 4}), randn(rng, {5, 20}), rng.uniform()};
  }
  return out;
}

TEST(FlowFeed, BatchesAreTheSameInAnyOrderOnAnyDevice) {
  std::vector<at::Device> devices = {at::kCPU};
  if (torch::cuda::is_available()) devices.emplace_back(at::kCUDA, 0);
  for (const at::Device device : devices) {
    std::vector<Turn> made;
    FlowFeed feed(
        device,
        [&](Turn turn) {
          made.push_back(turn);
          return drawn(turn);
        },
        [](Turn turn) -> std::optional<Turn> {
          if (turn.micro_batch == 0) return Turn{turn.step, 1};
          return turn.step < 3 ? std::optional(Turn{turn.step + 1, 0}) : std::nullopt;
        });
    const std::vector<Turn> turns = {{0, 0}, {0, 1}, {1, 0}, {3, 0}, {1, 1}, {2, 0}, {2, 1}, {3, 0}, {3, 1}};
    for (const Turn turn : turns) {
      const FlowBatch batch = feed.get(turn);
      EXPECT_EQ(batch.x.device(), device);
      expect_same(batch, joined(drawn(turn)));
    }
    const std::vector<Turn> begin = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    EXPECT_TRUE(std::equal(begin.begin(), begin.end(), made.begin()));
  }
}

TEST(FlowFeed, AnErrorComesWithItsOwnTurn) {
  FlowFeed feed(
      at::kCPU,
      [](Turn turn) {
        require(turn.step != 1, [] { return "/data/shard.h5: found damage"; });
        return drawn(turn);
      },
      [](Turn turn) {
        return std::optional(Turn{turn.step + 1, 0});
      });
  expect_same(feed.get({0, 0}), joined(drawn({0, 0})));
  expect_error<UserError>([&] { feed.get({1, 0}); }, {"/data/shard.h5"});
  expect_same(feed.get({2, 0}), joined(drawn({2, 0})));
}

TEST_F(Dataset, RanksWithoutASampleAreSaidOnceByRankZero) {
  const int ranks = world().size();
  for (const std::int64_t global : {1, 3, 4}) {
    ::testing::internal::CaptureStderr();
    task(config(global, 1), world());
    const std::string text = ::testing::internal::GetCapturedStderr();
    const bool idle = world().rank() == 0 && global % ranks != 0;
    EXPECT_EQ(text.find(cat("[finetune]: found ", global, " samples a step on ", ranks, " ranks")) != std::string::npos,
              idle)
        << text;
    EXPECT_EQ(text.find("set finetune.global_batch to a multiple of") != std::string::npos, idle) << text;
  }
}

TEST_F(Dataset, ADamagedDatasetOnOneRankEndsAll) {
  if (world().size() == 1) GTEST_SKIP() << "needs several ranks";
  if (world().rank() == 1) std::filesystem::resize_file(folder_ / "shard.h5", 10);
  expect_error<UserError>([&] { task(config(4, 1), world()); }, {"shard.h5"});
}

TEST_F(Dataset, TheValidationLossIsTheSameOnAnyNumberOfRanks) {
  const comm::Communicator alone;
  FlowTask single = task(config(2, 1), alone), shared = task(config(2, 1), world());
  EXPECT_NEAR(shared.validate().at("validation_loss").get<double>(),
              single.validate().at("validation_loss").get<double>(), 1e-6);
}

TEST_F(Dataset, ValidationPointsAreSpreadOverTheClips) {
  FlowTrainingConfig few = config(2, 1);
  few.validation_samples = 3;
  std::set<std::string> clips;
  for (const FlowSample& point : validation_points(*dataset_, few, 4))
    clips.insert(dataset_->clip(data::Split::validation, window_of(point)));
  EXPECT_EQ(clips, (std::set<std::string>{"a", "b", "c"}));
  few.validation_samples = 24;
  std::map<std::int64_t, int> windows;
  std::map<std::string, int> by_clip;
  const auto points = validation_points(*dataset_, few, 4), again = validation_points(*dataset_, few, 4);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_TRUE(at::equal(points[i].x0, again[i].x0) && at::equal(points[i].noise, again[i].noise));
    const std::int64_t window = window_of(points[i]);
    ++windows[window];
    ++by_clip[dataset_->clip(data::Split::validation, window)];
  }
  EXPECT_EQ(windows.size(), 8U);  // every window, in turn
  for (const auto& item : by_clip) EXPECT_EQ(item.second, 8) << item.first;
  // A longer list begins with the shorter one: the number of points does not choose them.
  EXPECT_TRUE(at::equal(points[1].noise, validation_points(*dataset_, config(2, 1), 4)[1].noise));
}

TEST_F(Dataset, StagesWithTheSameSeedSeeOtherSamples) {
  const comm::Communicator alone;
  FlowTask first = task(config(4, 4), alone, "pretrain"), same = task(config(4, 4), alone, "pretrain"),
           other = task(config(4, 4), alone, "finetune");
  const double loss = step_loss(first, alone);
  EXPECT_EQ(loss, step_loss(same, alone));
  EXPECT_NE(loss, step_loss(other, alone));
}

TEST_F(Dataset, HalfProductsStayClose) {
  const comm::Communicator alone;
  FlowTrainingConfig half = config(4, 4);
  half.precision = Precision::bf16;
  FlowTask a = task(config(4, 4), alone), b = task(half, alone);
  const double full = step_loss(a, alone), narrow = step_loss(b, alone);
  EXPECT_NE(full, narrow);
  EXPECT_NEAR(full, narrow, 0.02 * full);
  EXPECT_EQ(b.parameters().front().tensor.grad().scalar_type(), at::kFloat);
}

/// The same with three buckets, one of them empty: windows of [3,4,4] and [2,4,8].
class Buckets : public ::testing::Test {
 protected:
  Buckets() {
    Hdf5Writer shard(folder_ / "shard.h5"), text(folder_ / "text.h5");
    nlohmann::ordered_json samples = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < 12; ++i) {
      const bool wide = i % 3 == 0;
      Rng rng(1, "test.latents", {i});
      shard.write(cat("latents/", i), wide ? randn(rng, {4, 2, 4, 8}) : randn(rng, {4, 3, 4, 4}));
      samples.push_back({{"shard", 0},
                         {"index", i},
                         {"clip", cat("clip ", i)},
                         {"caption", 0},
                         {"validation", i >= 8},
                         {"bucket", wide ? 2 : 0}});
    }
    Rng rng(1, "test.text");
    text.write("text/0", randn(rng, {5, 20}));
    shard.commit();
    text.commit();
    nlohmann::ordered_json content = {{"shards", {file_entry(folder_.path(), "shard.h5")}},
                                      {"text", file_entry(folder_.path(), "text.h5")},
                                      {"samples", samples},
                                      {"table", {{"buckets", {1, 2, 3}}}}};
    content["captions"] = std::vector<std::string>{""};
    data::dataset_folder(folder_.path(), {{"test", 1}}).finish(content);
    dataset_ = std::make_unique<data::LatentDataset>(folder_.path(), data::Identity{{"test", 1}});
  }
  FlowTask task(std::int64_t global, std::int64_t micro, const comm::Communicator& ranks) const {
    FlowTrainingConfig config;
    config.global_batch = global;
    config.micro_batch = micro;
    config.validation_samples = 4;
    return FlowTask(testing::small_wan(2), *dataset_, {4, 8, 8, 4}, config, 4, "finetune", ranks);
  }

  testing::TempFolder folder_;
  std::unique_ptr<data::LatentDataset> dataset_;
};

TEST_F(Buckets, AreListedWithTheirSamples) {
  EXPECT_EQ(dataset_->buckets(), 3U);
  EXPECT_EQ(dataset_->of_bucket(data::Split::train, 0), (std::vector<std::int64_t>{1, 2, 4, 5, 7}));
  EXPECT_TRUE(dataset_->of_bucket(data::Split::train, 1).empty());
  EXPECT_EQ(dataset_->of_bucket(data::Split::train, 2), (std::vector<std::int64_t>{0, 3, 6}));
  EXPECT_EQ(dataset_->of_bucket(data::Split::validation, 2), (std::vector<std::int64_t>{1}));
}

TEST_F(Buckets, ABatchIsOfOneWhateverTheRanks) {
  const comm::Communicator alone;
  // Windows of two shapes in one micro batch could not be stacked.
  FlowTask single = task(6, 6, alone), shared = task(6, 2, world());
  double differs = 0, first = 0;
  for (std::int64_t step = 0; step < 6; ++step) {
    double expected = single.loss(step, 0).item<double>();
    at::Tensor found = at::zeros({}, at::kDouble);
    for (std::int64_t micro = 0; micro < shared.micro_batches(); ++micro) found += shared.loss(step, micro).detach();
    world().all_reduce_sum(found);
    EXPECT_NEAR(found.item<double>(), expected, 1e-5) << step;
    if (step == 0) first = expected;
    differs += std::abs(expected - first);
  }
  EXPECT_GT(differs, 0);
}

TEST_F(Buckets, ValidationGivesTheLossOfEach) {
  const auto all = task(2, 1, world()).validate();
  ASSERT_TRUE(all.contains("validation_loss_32x32x9")) << all;
  ASSERT_TRUE(all.contains("validation_loss_32x64x5")) << all;
  EXPECT_NEAR(all["validation_loss"].get<double>(),
              0.75 * all["validation_loss_32x32x9"].get<double>() + 0.25 * all["validation_loss_32x64x5"].get<double>(),
              1e-9);
}

}  // namespace
}  // namespace rehyat::finetune
