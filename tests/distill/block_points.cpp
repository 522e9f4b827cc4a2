#include "distill/block_points.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <atomic>
#include <mutex>
#include <set>

#include "core/error.h"
#include "core/expect_error.h"
#include "distill/block_task.h"
#include "distill/distill_case.h"

namespace rehyat::distill {
namespace {

using Key = BlockPoints::Key;

constexpr std::int64_t kWidth = 24, kGpuWidth = 128;

/// Random inputs that come from a slow disk; the one of `bad` cannot be read.
class SlowPoints : public testing::FakePoints {
 public:
  SlowPoints(std::int64_t width, std::int64_t bad = -1) : width_(width), bad_(bad) {}
  std::int64_t size(data::Split split) const override { return split == data::Split::train ? 4 : 3; }
  at::Tensor input(data::Split split, std::int64_t i, std::int64_t) const override {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    {
      const std::lock_guard lock(mutex_);
      ++reads[{split, i}];
      threads.insert(std::this_thread::get_id());
    }
    require(i != bad_, [] { return "/disk/trajectory.h5: cannot be read"; });
    Rng rng(7, "test.slow", {static_cast<std::uint64_t>(split), static_cast<std::uint64_t>(i)});
    return randn(rng, {42, width_});
  }
  mutable std::map<Key, int> reads;
  mutable std::set<std::thread::id> threads;

 private:
  mutable std::mutex mutex_;
  std::int64_t width_, bad_;
};

Student student_on(at::Device device) {
  models::WanConfig config = testing::small_config(1);
  if (device.is_cuda()) config.dim = kGpuWidth;  // heads that its library takes
  models::WanTransformer model(config);
  model->initialize(1);
  model->to(device);
  testing::convert_all(model, testing::every_attention()[1]);
  return {0, model->attention(0), model->rope(testing::kLatent), testing::kLatent[0]};
}

DistillConfig config_with(std::int64_t device, std::int64_t host) {
  DistillConfig out = testing::distill_config(30);
  out.keep_on_device = device;
  out.keep_on_host = host;
  return out;
}

/// The losses and last gradients of 30 steps, with validations between them.
std::vector<at::Tensor> results(const Student& student, const PointSource& points, const DistillConfig& config) {
  BlockTask task(student, points, config, 5);
  std::vector<at::Tensor> out;
  for (std::int64_t step = 0; step < 30; ++step) {
    const at::Tensor loss = task.loss(step, 0);
    out.push_back(loss.detach().cpu());
    if (step == 29) loss.backward();
    if (step % 10 == 5) out.push_back(at::tensor(task.error()));
  }
  for (const auto& p : task.parameters()) out.push_back(p.tensor.grad().cpu());
  for (const auto& p : task.parameters()) p.tensor.mutable_grad().reset();
  return out;
}

void expect_equal(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(at::equal(a[i], b[i])) << i;
}

TEST(BlockPoints, WhatIsKeptIsReadOnceAndOnTheThreadAlone) {
  const Student student = student_on(at::kCPU);
  const SlowPoints all(kWidth), none(kWidth);
  const auto kept = results(student, all, config_with(1 << 30, 0));
  expect_equal(results(student, none, config_with(0, 1 << 30)), kept);
  for (std::int64_t i = 0; i < 4; ++i) EXPECT_EQ(all.reads.at({data::Split::train, i}), 1);
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(all.reads.at({data::Split::validation, i}), 3);
  EXPECT_EQ(all.threads.size(), 1U);
  EXPECT_FALSE(all.threads.contains(std::this_thread::get_id()));
  int reads = 0;
  for (const auto& item : none.reads) reads += item.first.split == data::Split::train ? item.second : 0;
  EXPECT_GT(reads, 8);
  EXPECT_LE(reads, 30);  // nothing is read that no step takes
}

TEST(BlockPoints, OnAGpuWhatStaysWhereChangesNoBit) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  const Student student = student_on(at::Device(at::kCUDA, 0));
  const SlowPoints points(kGpuWidth);
  for (const Precision precision : {Precision::f32, Precision::bf16}) {
    const auto with = [&](std::int64_t device, std::int64_t host) {
      DistillConfig config = config_with(device, host);
      config.precision = precision;
      return results(student, points, config);
    };
    const auto none = with(0, 0);
    expect_equal(with(1 << 30, 0), none);
    expect_equal(with(0, 1 << 30), none);
    expect_equal(with(150'000, 100'000), none);
  }
}

TEST(BlockPoints, AnErrorIsOfThePointThatCannotBeRead) {
  const Student student = student_on(at::kCPU);
  const SlowPoints points(kWidth, 2);
  BlockPoints ready(student, points, at::kFloat, {});
  const auto next = [](std::int64_t k) -> std::optional<Key> {
    return k < 4 ? std::optional(Key{data::Split::train, k}) : std::nullopt;
  };
  EXPECT_EQ(ready.get({data::Split::train, 0}, next).target.size(2), kWidth);
  const auto none = [](std::int64_t) { return std::optional<Key>(); };
  testing::expect_error<UserError>([&] { ready.get({data::Split::train, 2}, none); }, {"/disk/trajectory.h5"});
  EXPECT_EQ(ready.get({data::Split::train, 3}, none).target.size(2), kWidth);
  EXPECT_GT(ready.seconds_of_waiting(), 0);
}

TEST(BlockPoints, PollMayEndTheWaiting) {
  const Student student = student_on(at::kCPU);
  class Stuck : public SlowPoints {
   public:
    Stuck() : SlowPoints(kWidth) {}
    at::Tensor input(data::Split split, std::int64_t i, std::int64_t block) const override {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      return SlowPoints::input(split, i, block);
    }
  };
  const Stuck points;
  BlockPoints ready(student, points, at::kFloat, {}, [] { throw Stopped("another rank has failed"); });
  testing::expect_error<Stopped>(
      [&] {
        ready.get({data::Split::train, 0}, [](std::int64_t) { return std::optional<Key>(); });
      },
      {"another rank has failed"});
}

}  // namespace
}  // namespace rehyat::distill
