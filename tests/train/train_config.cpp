#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/expect_error.h"
#include "train/config.h"

namespace rehyat::train {
namespace {

TEST(LearningRate, WarmsUpToThePeak) {
  TrainConfig config;
  config.lr = 2;
  config.warmup = 4;
  EXPECT_DOUBLE_EQ(config.lr_at(0), 0.5);
  EXPECT_DOUBLE_EQ(config.lr_at(1), 1.0);
  EXPECT_DOUBLE_EQ(config.lr_at(3), 2.0);
  for (const std::int64_t step : {4, 500, 999, 5000}) EXPECT_DOUBLE_EQ(config.lr_at(step), 2.0);
  config.warmup = 0;
  EXPECT_DOUBLE_EQ(config.lr_at(0), 2.0);
}

TEST(LearningRate, FallsAsTheScheduleSays) {
  TrainConfig config;
  config.lr = 2;
  config.warmup = 10;
  config.iterations = 110;
  config.final_lr_share = 0.1;
  config.schedule = Schedule::linear;
  EXPECT_DOUBLE_EQ(config.lr_at(10), 2.0);
  EXPECT_DOUBLE_EQ(config.lr_at(60), 2 * (0.1 + 0.9 * 0.5));
  EXPECT_DOUBLE_EQ(config.lr_at(110), 0.2);
  EXPECT_DOUBLE_EQ(config.lr_at(1000), 0.2);
  config.schedule = Schedule::cosine;
  EXPECT_DOUBLE_EQ(config.lr_at(10), 2.0);
  EXPECT_DOUBLE_EQ(config.lr_at(35), 2 * (0.1 + 0.9 * 0.5 * (1 + std::cos(std::numbers::pi / 4))));
  EXPECT_NEAR(config.lr_at(110), 0.2, 1e-12);
  for (std::int64_t step = 10; step < 109; ++step) EXPECT_GT(config.lr_at(step), config.lr_at(step + 1));
}

TEST(LearningRate, AWarmUpLongerThanTheTrainingIsNoDivisionByZero) {
  TrainConfig config;
  config.lr = 1;
  config.iterations = 5;
  for (const std::int64_t warmup : {5, 10}) {
    config.warmup = warmup;
    for (const Schedule schedule : {Schedule::constant, Schedule::cosine, Schedule::linear}) {
      config.schedule = schedule;
      for (std::int64_t step = 0; step < 5; ++step) {
        EXPECT_GT(config.lr_at(step), 0);
        EXPECT_LE(config.lr_at(step), 1);
      }
    }
  }
}

TEST(TrainConfig, AShareThatTheScheduleDoesNotUseIsRefused) {
  const auto load = [](const char* text) {
    return config::load<TrainConfig>(config::Document::from_text(text, "run.yaml"));
  };
  testing::expect_error<UserError>([&] { load("final_lr_share: 0\n"); },
                                   {"final_lr_share", "constant", "cosine or linear"});
  EXPECT_EQ(load("final_lr_share: 0.2\nschedule: linear\n").final_lr_share, 0.2);
  EXPECT_FALSE(load("schedule: constant\n").final_lr_share);
  EXPECT_FALSE(load("{}").log_every.has_value());
}

TEST(TrainConfig, IsReadStrictly) {
  const auto load = [](const char* text) {
    return config::load<TrainConfig>(config::Document::from_text(text, "run.yaml"));
  };
  const TrainConfig config = load("schedule: cosine\nema_decay: 0.99\nclip_norm: 0\n");
  EXPECT_EQ(config.schedule, Schedule::cosine);
  EXPECT_EQ(config.ema_decay, 0.99);
  for (const char* bad :
       {"lr: 0", "lr: -1", "beta1: 1", "beta2: 1", "beta1: -0.1", "eps: 0", "weight_decay: -1", "clip_norm: -1",
        "iterations: -1", "warmup: -1", "keep_checkpoints: 0", "log_every: 0", "checkpoint_every: -1", "ema_decay: 1.5",
        "ema_decay: 1", "final_lr_share: 2", "schedule: cosinus"}) {
    testing::expect_error<UsageError>([&] { load(bad); }, {"run.yaml:1:"});
  }
}

}  // namespace
}  // namespace rehyat::train
