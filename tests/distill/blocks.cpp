#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "core/expect_error.h"
#include "core/log.h"
#include "core/temp_folder.h"
#include "distill/block_task.h"
#include "distill/distill_case.h"
#include "models/attention/tap.h"

namespace rehyat::distill {
namespace {

using testing::all_blocks;
using testing::distill_config;
using testing::every_attention;
using testing::expect_error;
using testing::FakePoints;
using testing::phi_name;
using testing::small_wan;
using testing::TempFolder;

std::vector<BlockResult> run(FakePoints& points, const models::BlockAttention& attention, const DistillConfig& config,
                             const std::filesystem::path& folder) {
  const models::WanTransformer teacher = small_wan();
  return distill({teacher, all_blocks(teacher, attention), config, 5, "f", folder}, points, comm::Communicator());
}

/// The losses of block 0, as they were written.
std::vector<double> losses(const std::filesystem::path& folder) {
  std::vector<double> out;
  std::istringstream lines(read_file(folder / "phi-00000/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto values = nlohmann::ordered_json::parse(line);
    if (values.contains("loss")) out.push_back(values["loss"]);
  }
  return out;
}

TEST(Blocks, OneThatFailsIsReportedAndTheOthersAreKept) {
  const TempFolder whole;
  FakePoints good;
  run(good, every_attention()[1], distill_config(), whole.path());
  for (const bool only_train : {true, false}) {
    const TempFolder folder;
    FakePoints bad(1, only_train);
    expect_error<UserError>(
        [&] { run(bad, every_attention()[1], distill_config(), folder.path()); },
        {"block 1 failed", only_train ? "step 1: found loss" : "held-out error", "the other blocks are kept"});
    for (const std::int64_t block : {0, 1, 2}) EXPECT_EQ(std::filesystem::exists(folder / phi_name(block)), block != 1);
    const auto kept = std::filesystem::last_write_time(folder / phi_name(0));
    const auto results = run(good, every_attention()[1], distill_config(), folder.path());
    EXPECT_EQ(std::filesystem::last_write_time(folder / phi_name(0)), kept);
    EXPECT_EQ(testing::phi_files(folder.path()), testing::phi_files(whole.path()));
    ASSERT_EQ(results.size(), 3U);
    for (const BlockResult& r : results) {
      EXPECT_TRUE(std::isfinite(r.distilled));
      EXPECT_GT(r.window_only, 0);
    }
  }
}

TEST(Blocks, KeptPointsChangeNoBit) {
  FakePoints points;
  for (const std::size_t kind : {1U, 3U, 5U, 6U, 7U, 8U}) {
    SCOPED_TRACE(ops::to_string(every_attention()[kind].spec));
    const TempFolder without, some, all;
    DistillConfig config = distill_config();
    config.keep_on_device = 0;
    run(points, every_attention()[kind], config, without.path());
    config.keep_on_device = 50'000;  // about two points
    run(points, every_attention()[kind], config, some.path());
    config.keep_on_device = 1 << 30;
    run(points, every_attention()[kind], config, all.path());
    ASSERT_EQ(losses(without.path()).size(), 12U);
    for (const TempFolder* folder : {&some, &all}) {
      EXPECT_EQ(losses(folder->path()), losses(without.path()));
      EXPECT_EQ(testing::phi_files(folder->path()), testing::phi_files(without.path()));
    }
  }
}

TEST(Blocks, AMapWithoutWeightsIsMeasuredAndKeptAsItIs) {
  FakePoints points;
  const TempFolder folder;
  const auto results = run(points, every_attention()[4], distill_config(), folder.path());
  for (const BlockResult& r : results) EXPECT_EQ(r.distilled, r.untrained);
  models::WanTransformer model = small_wan();
  const auto blocks = all_blocks(model, every_attention()[4]);
  models::convert(model, blocks, 5, testing::kLatent);
  load_feature_maps(model, blocks, folder.path(), "f");
}

TEST(Blocks, MapsThatWereChangedOrAreAnotherDistillationsAreRefused) {
  FakePoints points;
  const TempFolder folder;
  run(points, every_attention()[1], distill_config(), folder.path());
  models::WanTransformer model = small_wan();
  const auto blocks = all_blocks(model, every_attention()[1]);
  models::convert(model, blocks, 5, testing::kLatent);
  load_feature_maps(model, blocks, folder.path(), "f");
  testing::expect_error<UserError>([&] { load_feature_maps(model, blocks, folder.path(), "g"); },
                                   {"phi-00000", "fingerprint f", "rehyat distill"});
  // One byte of a weight: the file's own checks see nothing wrong with it.
  const auto maps = folder / "phi-00001.safetensors";
  std::string bytes = read_file(maps);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  std::ofstream(maps, std::ios::binary) << bytes;
  testing::expect_error<UserError>([&] { load_feature_maps(model, blocks, folder.path(), "f"); },
                                   {"phi-00001.safetensors", "remove", "rehyat distill"});
  std::filesystem::remove(folder / "phi-00001/block.json");
  testing::expect_error<UserError>([&] { load_feature_maps(model, blocks, folder.path(), "f"); },
                                   {"phi-00001", "not complete", "rehyat distill"});
}

TEST(Blocks, TheWindowAloneIsTheAttentionWithoutFeatures) {
  const models::WanTransformer teacher = small_wan();
  models::WanTransformer student = small_wan();
  testing::convert_all(student, every_attention()[1]);
  const FakePoints points;
  const auto rope = student->rope(testing::kLatent);
  BlockTask task({1, student->attention(1), rope, testing::kLatent[0]}, points, distill_config(), 5);
  double expected = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    const at::NoGradGuard no_grad;
    const auto h = teacher->attention(1)->heads(points.input(data::Split::validation, i, 1).unsqueeze(0), rope);
    const at::Tensor none = at::zeros({1, 2, 42, 1});
    expected +=
        relative_l1(ops::hybrid_attention(h.q, h.k, h.v, none, none, testing::kLatent[0], every_attention()[1].spec),
                    at::scaled_dot_product_attention(h.q, h.k, h.v));
  }
  EXPECT_NEAR(task.window_only_error(), expected / 2, 1e-6);
}

/// What the teacher itself does in its block 1: inputs of that attention and, where asked, its outputs as targets.
class TappedPoints : public FakePoints {
 public:
  explicit TappedPoints(bool targets) : targets_(targets) {
    models::WanTransformer teacher = small_wan();
    const models::TapScope tap(teacher, {1}, [&](std::int64_t, const at::Tensor& input, const at::Tensor& output) {
      points_.emplace_back(input[0].clone(), output[0].clone());
    });
    const auto inputs = testing::wan_inputs();
    for (const double time : {999.0, 371.5}) {
      const at::NoGradGuard no_grad;
      teacher->forward(inputs.latents.narrow(0, 0, 1), at::full({1}, time, at::kFloat), inputs.text.narrow(0, 0, 1));
    }
  }
  std::int64_t size(data::Split) const override { return 2; }
  at::Tensor input(data::Split, std::int64_t i, std::int64_t) const override {
    return points_.at(static_cast<std::size_t>(i)).first;
  }
  bool has_targets() const override { return targets_; }
  at::Tensor target(data::Split, std::int64_t i, std::int64_t) const override {
    return points_.at(static_cast<std::size_t>(i)).second;
  }

 private:
  bool targets_;
  std::vector<std::pair<at::Tensor, at::Tensor>> points_;
};

TEST(Blocks, TheTargetIsTheTeachersOwnAttentionBitForBit) {
  models::WanTransformer student = small_wan();
  testing::convert_all(student, every_attention()[1]);
  const auto rope = student->rope(testing::kLatent);
  const TappedPoints stored(true), computed(false);
  const Student shared{1, student->attention(1), rope, testing::kLatent[0]};
  BlockTask by_teacher(shared, stored, distill_config(), 5), again(shared, computed, distill_config(), 5);
  EXPECT_EQ(by_teacher.error(), again.error());
  EXPECT_EQ(by_teacher.window_only_error(), again.window_only_error());
  for (std::int64_t step = 0; step < 4; ++step)
    EXPECT_TRUE(at::equal(by_teacher.loss(step, 0), again.loss(step, 0))) << step;
}

/// Points of one block on a GPU, in memory, with the teacher's outputs or without.
class GpuPoints : public FakePoints {
 public:
  GpuPoints(const models::VideoTransformer& teacher, bool targets) : targets_(targets) {
    const models::TapScope tap(teacher, {0}, [&](std::int64_t, const at::Tensor& input, const at::Tensor& output) {
      points_.emplace_back(input[0].clone(), output[0].clone());
    });
    Rng rng(4, "test.gpu.points");
    const at::Device gpu(at::kCUDA, 0);
    const at::NoGradGuard no_grad;
    teacher->forward(randn(rng, {1, 4, 7, 4, 6}).to(gpu), at::full({1}, 371.5, at::kFloat).to(gpu),
                     randn(rng, {1, 5, 20}).to(gpu), {.compute = at::kBFloat16});
  }
  std::int64_t size(data::Split) const override { return 1; }
  at::Tensor input(data::Split, std::int64_t, std::int64_t) const override { return points_.at(0).first; }
  bool has_targets() const override { return targets_; }
  at::Tensor target(data::Split, std::int64_t, std::int64_t) const override { return points_.at(0).second; }

 private:
  bool targets_;
  std::vector<std::pair<at::Tensor, at::Tensor>> points_;
};

TEST(Blocks, OnAGpuTheTargetIsOfTheTeachersKernel) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  models::WanConfig config = testing::small_config(1);
  config.dim = 128;  // heads that cuDNN takes
  models::WanTransformer teacher(config);
  teacher->initialize(1);
  teacher->to(at::Device(at::kCUDA, 0));
  models::WanTransformer student(config);
  student->initialize(1);
  student->to(at::Device(at::kCUDA, 0));
  testing::convert_all(student, every_attention()[1]);
  DistillConfig half = distill_config();
  half.precision = Precision::bf16;
  const Student shared{0, student->attention(0), student->rope(testing::kLatent), testing::kLatent[0]};
  const GpuPoints stored(teacher, true), computed(teacher, false);
  BlockTask by_teacher(shared, stored, half, 5), again(shared, computed, half, 5);
  EXPECT_EQ(by_teacher.error(), again.error());
  EXPECT_EQ(by_teacher.window_only_error(), again.window_only_error());
}

TEST(Blocks, HalfProductsTrainFloatWeights) {
  FakePoints points;
  const TempFolder half, full;
  DistillConfig config = distill_config(20);
  run(points, every_attention()[1], config, full.path());
  config.precision = Precision::bf16;
  const auto results = run(points, every_attention()[1], config, half.path());
  const auto a = losses(full.path()), b = losses(half.path());
  ASSERT_EQ(a.size(), b.size());
  EXPECT_NE(a, b);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 0.03 * a[i]) << i;
  EXPECT_LT(results[0].distilled, results[0].untrained);
  const safetensors::Reader reader(half / phi_name(0));
  for (const auto& tensor : reader.tensors()) EXPECT_EQ(read_tensor(reader, tensor).scalar_type(), at::kFloat);
}

TEST(Blocks, TheStepsOfEachAreInTheLogFile) {
  FakePoints points;
  const TempFolder folder;
  {
    const log::FileScope file(folder / "log.txt");
    run(points, every_attention()[1], distill_config(5), folder.path());
  }
  const std::string text = read_file(folder / "log.txt");
  for (const int block : {0, 1, 2}) {
    for (const int step : {1, 2, 3, 5})
      EXPECT_NE(text.find(cat("distill block ", block, ", step ", step, " of 5: loss ")), std::string::npos);
  }
}

}  // namespace
}  // namespace rehyat::distill
