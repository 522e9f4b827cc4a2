#include "train/loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/log.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "tensor/io.h"
#include "train/toy_task.h"

namespace rehyat::train {
namespace {

using testing::expect_error;
using testing::TempFolder;
using testing::ToyTask;

class TrainingLoop : public ::testing::Test {
 protected:
  TrainConfig config(std::int64_t iterations) const {
    TrainConfig out;
    out.iterations = iterations;
    out.lr = 0.02;
    out.warmup = 3;
    out.checkpoint_every = 10;
    return out;
  }
  Training training(const std::string& name) const {
    return {.title = "toy", .folder = temp_ / name, .fingerprint = "f", .quiet = true};
  }
  static std::vector<std::string> checksums(ToyTask& task) {
    std::vector<std::string> out;
    for (const NamedParameter& p : task.parameters()) out.push_back(rehyat::hash_tensor(p.tensor));
    return out;
  }

  static nlohmann::ordered_json newest_line(const std::filesystem::path& path) {
    std::istringstream lines(read_file(path));
    std::string line, last;
    while (std::getline(lines, line)) last = line;
    return nlohmann::ordered_json::parse(last);
  }

  TempFolder temp_;
  comm::Communicator alone_;
};

TEST_F(TrainingLoop, LearnsAndReportsTheLastValidation) {
  ToyTask task(alone_);
  const double before = task.validate().at("held_out");
  std::vector<std::int64_t> steps;
  Training run = training("a");
  run.on_step = [&](std::int64_t step) { steps.push_back(step); };
  const auto result = train(task, config(200), run, alone_);
  EXPECT_LT(result.at("held_out").get<double>(), before);
  EXPECT_TRUE(result.contains("loss"));
  ASSERT_EQ(steps.size(), 200U);
  EXPECT_EQ(steps.front(), 1);
  EXPECT_EQ(steps.back(), 200);
  EXPECT_TRUE(std::filesystem::exists(temp_ / "a/checkpoints/step-00000200/state.json"));
}

TEST_F(TrainingLoop, TheSameTwiceIsTheSameBitForBit) {
  ToyTask first(alone_), second(alone_);
  train(first, config(25), training("a"), alone_);
  train(second, config(25), training("b"), alone_);
  EXPECT_EQ(checksums(first), checksums(second));
}

TEST_F(TrainingLoop, MicroBatchesAddUpToTheBatch) {
  ToyTask whole(alone_), parts(alone_, 4);
  train(whole, config(25), training("a"), alone_);
  train(parts, config(25), training("b"), alone_);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::allclose(whole.parameters()[i].tensor, parts.parameters()[i].tensor, 1e-4, 1e-5));
}

TEST_F(TrainingLoop, AContinuedTrainingEqualsALongOne) {
  TrainConfig ema = config(31);
  ema.ema_decay = 0.9;
  ToyTask straight(alone_), first(alone_), second(alone_);
  train(straight, ema, training("a"), alone_);
  TrainConfig shorter = ema;
  shorter.iterations = 14;
  train(first, shorter, training("b"), alone_);
  train(second, ema, training("b"), alone_);
  EXPECT_EQ(checksums(straight), checksums(second));
}

TEST_F(TrainingLoop, ATrainingInPartsEqualsALongOne) {
  TrainConfig ema = config(31);
  ema.ema_decay = 0.9;
  ema.validate_every = 7;
  ToyTask straight(alone_);
  const auto expected = train(straight, ema, training("a"), alone_);
  for (const std::int64_t until : {9, 9, 20, 31}) {
    ToyTask part(alone_);
    Training run = training("b");
    run.pause_after = until;
    const auto result = train(part, ema, run, alone_);
    EXPECT_EQ(result.contains("held_out"), until == 31);
    EXPECT_EQ(newest_line(temp_ / "b/metrics.jsonl").at("step"), until);
    if (until < 31) continue;
    EXPECT_EQ(result, expected);
    EXPECT_EQ(checksums(part), checksums(straight));
  }
}

TEST_F(TrainingLoop, LogMetricsAndTrainingCountStepsFromOneOnALineEach) {
  ToyTask task(alone_);
  TrainConfig often = config(12);
  often.validate_every = 4;
  often.log_every = 1;
  const log::FileScope file(temp_ / "log.txt");
  train(task, often, training("a"), alone_);
  std::istringstream lines(read_file(temp_ / "a/metrics.jsonl"));
  std::vector<std::int64_t> steps, validated;
  for (std::string line; std::getline(lines, line);) {
    const auto values = nlohmann::ordered_json::parse(line);
    (values.contains("loss") ? steps : validated).push_back(values.at("step"));
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(validated, (std::vector<std::int64_t>{4, 8, 12}));
  const std::string text = read_file(temp_ / "log.txt");
  for (std::int64_t step = 1; step <= 12; ++step)
    EXPECT_NE(text.find(cat("toy, step ", step, " of 12: loss ")), std::string::npos) << step;
}

/// A task whose samples take their time.
struct SlowData : ToyTask {
  using ToyTask::ToyTask;
  at::Tensor loss(std::int64_t step, std::int64_t micro) override {
    seconds += 0.25;
    return ToyTask::loss(step, micro);
  }
  double seconds_of_waiting() const override { return seconds; }
  double seconds = 0;
};

TEST_F(TrainingLoop, TheLogTellsTheWaitForDataTheMemoryAndTheTimeLeft) {
  SlowData task(alone_);
  {
    const log::FileScope file(temp_ / "log.txt");
    train(task, config(3), training("a"), alone_);
  }
  const std::string text = read_file(temp_ / "log.txt");
  const std::string line = text.substr(text.find("toy, step 2 of 3: "));
  for (const char* part : {"loss ", "250 ms of them for data", "memory ", "B, ", " left"})
    EXPECT_NE(line.substr(0, line.find('\n')).find(part), std::string::npos) << text;
  EXPECT_NE(read_file(temp_ / "a/metrics.jsonl").find("\"data_ms\":250.0"), std::string::npos);
}

TEST_F(TrainingLoop, TheLogHasTheFirstStepsTheLastAndFewBetween) {
  ToyTask task(alone_);
  {
    const log::FileScope file(temp_ / "log.txt");
    train(task, config(400), training("a"), alone_);
  }
  const std::string text = read_file(temp_ / "log.txt");
  for (const int step : {1, 2, 3, 400})
    EXPECT_NE(text.find(cat("toy, step ", step, " of 400: loss ")), std::string::npos) << text;
  std::size_t lines = 0;
  for (std::size_t at = 0; (at = text.find("toy, step ", at)) != std::string::npos; ++at) ++lines;
  EXPECT_LT(lines, 40U) << text;  // 18 in the first minute and a half
  EXPECT_EQ(newest_line(temp_ / "a/metrics.jsonl").at("step"), 400);
}

TEST_F(TrainingLoop, ACompleteTrainingIsNotRepeated) {
  ToyTask first(alone_), second(alone_);
  const auto expected = train(first, config(12), training("a"), alone_);
  const std::string metrics = read_file(temp_ / "a/metrics.jsonl");
  second.change_loss = [](std::int64_t, const at::Tensor&) -> at::Tensor {
    ADD_FAILURE() << "a step was taken";
    return at::zeros({});
  };
  EXPECT_EQ(train(second, config(12), training("a"), alone_), expected);
  EXPECT_EQ(checksums(first), checksums(second));
  EXPECT_EQ(read_file(temp_ / "a/metrics.jsonl"), metrics);
}

TEST_F(TrainingLoop, ALossThatIsNotFiniteStopsBeforeTheUpdate) {
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const std::string name = std::isnan(bad) ? "nan" : "inf";
    ToyTask good(alone_), task(alone_);
    train(good, config(7), training(name + "-good"), alone_);
    task.change_loss = [bad](std::int64_t step, const at::Tensor& loss) { return step == 7 ? loss * bad : loss; };
    expect_error<UserError>(
        [&] { train(task, config(50), training(name), alone_); },
        {"toy, step 8", "expected finite numbers", "the same settings would come here again", "smaller lr"});
    EXPECT_EQ(checksums(task), checksums(good));
  }
}

TEST_F(TrainingLoop, AGradientThatIsNotFiniteStopsToo) {
  ToyTask task(alone_);
  const auto before = checksums(task);
  // sqrt has an infinite slope at 0, where the loss itself is finite.
  task.change_loss = [](std::int64_t, const at::Tensor& loss) { return loss + (loss - loss.detach()).sqrt(); };
  expect_error<UserError>([&] { train(task, config(5), training("a"), alone_); }, {"toy, step 1", "gradient norm"});
  EXPECT_EQ(checksums(task), before);
}

TEST_F(TrainingLoop, GradientsAreClippedToTheNorm) {
  TrainConfig clipped = config(1);
  clipped.warmup = 0;
  clipped.weight_decay = 0;
  clipped.eps = 1;  // large, so that the update shows the gradient's size
  clipped.clip_norm = 1e-3;
  ToyTask task(alone_), huge(alone_);
  huge.change_loss = [](std::int64_t, const at::Tensor& loss) { return loss * 1e6; };
  train(task, clipped, training("a"), alone_);
  train(huge, clipped, training("b"), alone_);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::allclose(task.parameters()[i].tensor, huge.parameters()[i].tensor, 0, 1e-7));
}

TEST_F(TrainingLoop, TheUpdateTakesTheRateOfItsStep) {
  TrainConfig warming = config(1);
  warming.lr = 1;
  warming.warmup = 1000;
  warming.weight_decay = 0;
  ToyTask task(alone_);
  const at::Tensor before = task.parameters()[0].tensor.detach().clone();
  train(task, warming, training("a"), alone_);
  // AdamW's first update moves every weight by the rate, here a thousandth of the peak.
  const at::Tensor moved = (task.parameters()[0].tensor.detach() - before).abs();
  EXPECT_TRUE(at::allclose(moved, at::full_like(moved, 1e-3), 1e-3, 1e-7));
}

TEST_F(TrainingLoop, ValidatesWhenAskedAndOnceAtTheEnd) {
  TrainConfig often = config(10);
  often.validate_every = 5;
  ToyTask task(alone_);
  train(task, often, training("a"), alone_);
  EXPECT_EQ(task.validations, 2);
  ToyTask once(alone_);
  train(once, config(10), training("b"), alone_);
  EXPECT_EQ(once.validations, 1);
}

TEST_F(TrainingLoop, TheEmaIsTheResultButNotWhatTrainingGoesOnFrom) {
  TrainConfig with = config(10);
  with.ema_decay = 0.5;
  ToyTask averaged(alone_), plain(alone_);
  train(averaged, with, training("a"), alone_);
  train(plain, config(10), training("b"), alone_);
  EXPECT_NE(checksums(averaged), checksums(plain));
  EXPECT_EQ(read_file(temp_ / "a/checkpoints/step-00000010/weights.safetensors"),
            read_file(temp_ / "b/checkpoints/step-00000010/weights.safetensors"));
}

TEST_F(TrainingLoop, AnotherTrainingsFolderIsRefused) {
  ToyTask task(alone_);
  train(task, config(3), training("a"), alone_);
  Training other = training("a");
  other.fingerprint = "g";
  expect_error<UserError>([&] { train(task, config(3), other, alone_); }, {"another training (f)", "expected g"});
}

class Nothing : public Task {
 public:
  std::vector<NamedParameter> parameters() override { return {}; }
  at::Tensor loss(std::int64_t, std::int64_t) override { return at::zeros({}); }
  std::int64_t samples_per_step() const override { return 1; }
};

TEST_F(TrainingLoop, NothingToTrainIsRefused) {
  Nothing task;
  expect_error<UserError>([&] { train(task, config(3), training("a"), alone_); }, {"toy", "no parameter to train"});
}

TEST_F(TrainingLoop, NoIterationsAtAllValidateOnly) {
  ToyTask task(alone_);
  EXPECT_TRUE(train(task, config(0), training("a"), alone_).contains("held_out"));
}

}  // namespace
}  // namespace rehyat::train
