#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "tensor/io.h"
#include "train/loop.h"
#include "train/reduce.h"
#include "train/toy_task.h"

namespace rehyat::train {
namespace {

using testing::expect_error;
using testing::TempFolder;
using testing::ToyTask;
using testing::world;

at::Tensor backward(ToyTask& task, const comm::Communicator& ranks) {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (std::int64_t micro = 0; micro < task.micro_batches(); ++micro) {
    const at::Tensor loss = task.loss(3, micro);
    loss.backward();
    total += loss.detach();
  }
  reduce_gradients(task.parameters(), total, ranks);
  return total;
}

TEST(Ranks, GradientsAreThoseOfTheWholeBatch) {
  const comm::Communicator alone;
  ToyTask whole(alone), shared(world()), finer(world(), 2);
  const at::Tensor expected = backward(whole, alone);
  for (ToyTask* task : {&shared, &finer}) {
    EXPECT_NEAR(backward(*task, world()).item<double>(), expected.item<double>(), 1e-6);
    for (std::size_t i = 0; i < 2; ++i) {
      const at::Tensor gradient = task->parameters()[i].tensor.grad();
      EXPECT_TRUE(at::allclose(gradient, whole.parameters()[i].tensor.grad(), 1e-5, 1e-6));
      for (const std::string& checksum : world().all_gather(rehyat::hash_tensor(gradient)))
        EXPECT_EQ(checksum, rehyat::hash_tensor(gradient));
    }
  }
}

TEST(Ranks, ManyBucketsAndMissingGradientsAddUp) {
  std::vector<NamedParameter> parameters;
  for (int i = 0; i < 3; ++i)
    parameters.push_back({std::to_string(i), at::zeros({3'000'001}).set_requires_grad(true)});  // 12 MB each
  parameters.push_back({"small", at::zeros({2, 3}).set_requires_grad(true)});
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    // Parameter i has a gradient on the ranks r >= i only, and "small" a transposed one.
    if (world().rank() < static_cast<int>(i) && i < 3) continue;
    at::Tensor gradient = at::full(parameters[i].tensor.sizes(), 1.0 + static_cast<double>(i));
    if (i == 3) gradient = at::full({3, 2}, 4.0).t();
    parameters[i].tensor.mutable_grad() = gradient;
  }
  at::Tensor loss = at::full({}, 0.5, at::kDouble);
  reduce_gradients(parameters, loss, world());
  EXPECT_EQ(loss.item<double>(), 0.5 * world().size());
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const int ranks = i == 3 ? world().size() : std::max(world().size() - static_cast<int>(i), 0);
    const at::Tensor expected = at::full(parameters[i].tensor.sizes(), (1.0 + static_cast<double>(i)) * ranks);
    EXPECT_TRUE(at::equal(parameters[i].tensor.grad(), expected)) << i;
  }
}

class SharedFolder : public ::testing::Test {
 protected:
  SharedFolder() : path_(world().broadcast(temp_.path().string(), 0)) {}
  ~SharedFolder() override { world().barrier(); }
  Training training(const std::string& name) const {
    return {.title = "toy", .folder = path_ / name, .fingerprint = "f", .quiet = true};
  }
  static TrainConfig config(std::int64_t iterations) {
    TrainConfig out;
    out.iterations = iterations;
    out.lr = 0.02;
    out.checkpoint_every = 4;
    return out;
  }

  TempFolder temp_;
  std::filesystem::path path_;
};

TEST_F(SharedFolder, TrainingEndsWhereOneRankEnds) {
  const comm::Communicator alone;
  const TempFolder mine;
  ToyTask single(alone), shared(world());
  train(single, config(20), {.title = "toy", .folder = mine.path(), .fingerprint = "f", .quiet = true}, alone);
  train(shared, config(20), training("a"), world());
  for (std::size_t i = 0; i < 2; ++i) {
    const at::Tensor& weights = shared.parameters()[i].tensor;
    EXPECT_TRUE(at::allclose(weights, single.parameters()[i].tensor, 1e-4, 1e-5));
    for (const std::string& checksum : world().all_gather(rehyat::hash_tensor(weights)))
      EXPECT_EQ(checksum, rehyat::hash_tensor(weights));
  }
}

TEST_F(SharedFolder, AContinuedTrainingEqualsALongOneBitForBit) {
  ToyTask straight(world()), first(world()), second(world());
  train(straight, config(20), training("a"), world());
  train(first, config(9), training("b"), world());
  train(second, config(20), training("b"), world());
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(straight.parameters()[i].tensor, second.parameters()[i].tensor));
}

TEST_F(SharedFolder, ALossThatIsNotFiniteOnOneRankStopsAll) {
  ToyTask task(world());
  const int bad = world().size() - 1;
  task.change_loss = [bad](std::int64_t step, const at::Tensor& loss) {
    return step == 2 && world().rank() == bad ? loss * std::nan("") : loss;
  };
  expect_error<UserError>([&] { train(task, config(9), training("a"), world()); },
                          {"toy, step 3", "expected finite numbers"});
  for (const NamedParameter& p : task.parameters()) {
    EXPECT_TRUE(at::isfinite(p.tensor).all().item<bool>());
    for (const std::string& checksum : world().all_gather(rehyat::hash_tensor(p.tensor)))
      EXPECT_EQ(checksum, rehyat::hash_tensor(p.tensor));
  }
}

TEST_F(SharedFolder, ALossThatFailsOnOneRankEndsAllWithACheckpointOfTheLastWholeStep) {
  ToyTask straight(world(), 2);
  train(straight, config(9), training("straight"), world());
  for (int failing = 0; failing < world().size(); ++failing) {
    SCOPED_TRACE(failing);
    const std::string name = cat("failing-", failing);
    ToyTask good(world(), 2), task(world(), 2), again(world(), 2);
    train(good, config(6), training(name + "-good"), world());
    task.change_loss = [failing](std::int64_t step, const at::Tensor& loss) {
      if (step == 6 && world().rank() == failing) throw std::runtime_error("the shard is damaged");
      return loss;
    };
    try {
      train(task, config(9), training(name), world());
      ADD_FAILURE() << "nothing was thrown";
    } catch (const UserError& error) {
      const std::string text = error.what();
      const bool mine = world().rank() == failing;
      for (const std::string& part :
           {std::string("toy, step 7: the shard is damaged"), std::string("start the same command again"),
            mine ? std::string("toy") : cat("rank ", failing, " failed")})
        EXPECT_NE(text.find(part), std::string::npos) << text;
      EXPECT_EQ(dynamic_cast<const comm::ReportedByAnotherRank*>(&error) != nullptr, !mine);
    }
    EXPECT_TRUE(std::filesystem::exists(path_ / name / "checkpoints/step-00000006/state.json"));
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(at::equal(task.parameters()[i].tensor, good.parameters()[i].tensor));
    train(again, config(9), training(name), world());
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(at::equal(again.parameters()[i].tensor, straight.parameters()[i].tensor));
  }
}

TEST_F(SharedFolder, ALossThatFailsAtOnceLeavesNoCheckpoint) {
  ToyTask task(world());
  task.change_loss = [](std::int64_t, const at::Tensor& loss) {
    if (world().rank() == 0) throw UserError("no memory left");
    return loss;
  };
  expect_error<UserError>([&] { train(task, config(9), training("a"), world()); }, {"toy, step 1: no memory left"});
  EXPECT_FALSE(std::filesystem::exists(path_ / "a/checkpoints"));
}

/// Fails where only one rank may notice: before the first step, or in a validation that all ranks share.
class BrokenTask : public ToyTask {
 public:
  enum class Place { parameters, validation };
  explicit BrokenTask(Place place) : ToyTask(world()), place_(place) {}
  std::vector<NamedParameter> parameters() override {
    if (place_ == Place::parameters && world().rank() == world().size() - 1) throw UserError("no memory left");
    return ToyTask::parameters();
  }
  nlohmann::ordered_json validate() override {
    world().all_or_none([&] {
      if (place_ == Place::validation && world().rank() == world().size() - 1) throw UserError("the clip is damaged");
    });
    return ToyTask::validate();
  }

 private:
  Place place_;
};

TEST_F(SharedFolder, ATaskThatOneRankCannotBeginIsBegunByNone) {
  BrokenTask task(BrokenTask::Place::parameters);
  expect_error<UserError>([&] { train(task, config(9), training("a"), world()); }, {"no memory left"});
}

TEST_F(SharedFolder, AValidationThatFailsLeavesACheckpointOfTheLastStep) {
  BrokenTask task(BrokenTask::Place::validation);
  TrainConfig often = config(9);
  often.validate_every = 3;
  often.ema_decay = 0.9;
  expect_error<UserError>([&] { train(task, often, training("a"), world()); }, {"the clip is damaged"});
  EXPECT_TRUE(std::filesystem::exists(path_ / "a/checkpoints/step-00000003/state.json"));
  ToyTask again(world()), straight(world());
  train(again, often, training("a"), world());
  train(straight, often, training("b"), world());
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(again.parameters()[i].tensor, straight.parameters()[i].tensor));
}

TEST_F(SharedFolder, ARunFolderThatCannotBeMadeStopsAll) {
  if (world().rank() == 0) write_file_atomic(path_ / "file", "in the way");
  world().barrier();
  ToyTask task(world());
  expect_error<UserError>([&] { train(task, config(9), training("file"), world()); }, {"file"});
}

TEST_F(SharedFolder, MetricsThatCannotBeWrittenStopAllAndNameTheRank) {
  ToyTask task(world());
  Training run = training("a");
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  run.on_step = [&](std::int64_t step) {
    const rlimit full{1, before.rlim_max};  // no file may grow any more
    if (step == 2 && world().rank() == 0) ::setrlimit(RLIMIT_FSIZE, &full);
  };
  const std::vector<std::string> parts = world().rank() == 0 ? std::vector<std::string>{"metrics.jsonl"}
                                                             : std::vector<std::string>{"rank 0", "metrics.jsonl"};
  expect_error<UserError>([&] { train(task, config(9), run, world()); }, parts);
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
}

TEST_F(SharedFolder, ACheckpointThatCannotBeWrittenStopsAllAndNamesTheRank) {
  ToyTask task(world());
  Training run = training("a");
  run.on_step = [&](std::int64_t step) {
    // A file where the checkpoints' folder should be.
    if (step == 1 && world().rank() == 0) write_file_atomic(run.folder / "checkpoints", "in the way");
  };
  const std::vector<std::string> parts =
      world().rank() == 0 ? std::vector<std::string>{"checkpoints"} : std::vector<std::string>{"rank 0", "checkpoints"};
  expect_error<UserError>([&] { train(task, config(9), run, world()); }, parts);
}

}  // namespace
}  // namespace rehyat::train
