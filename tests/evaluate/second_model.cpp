#include <gtest/gtest.h>

#include <cmath>

#include "analysis/memory.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "data/dataset/manifest.h"
#include "distill/collect.h"
#include "distill/distill.h"
#include "evaluate/bench/mode.h"
#include "evaluate/train_bench.h"
#include "evaluate/verify_model.h"
#include "finetune/flow_task.h"
#include "models/model_registry.h"
#include "models/small_wan.h"
#include "models/toy_transformer.h"
#include "models/wan/family.h"
#include "sampling/generate.h"
#include "tensor/hdf5_file.h"
#include "train/loop.h"

/// A family that src/ does not know goes through every library.
namespace rehyat::evaluate {
namespace {

using models::Weights;
using testing::TempFolder;
using testing::ToyCodec;
using testing::ToyFamily;
using json = nlohmann::ordered_json;

models::ModelRegistry registry() {
  return models::ModelRegistry({std::make_shared<ToyFamily>(), std::make_shared<models::WanFamily>()},
                               models::EncoderRegistry({std::make_shared<testing::ToyEncoders>()}));
}

models::VideoTransformer toy(std::int64_t patch_slices = 1) {
  models::VideoTransformer model = ToyFamily().make({{"patch_slices", patch_slices}});
  model->initialize(1);
  return model;
}

const models::BlockAttention kAttention{.spec = {.kind = ops::AttentionKind::rehyat, .tc = 2, .to = 1}, .phi = {}};

models::BlockMap every_block(const models::VideoTransformer& model) {
  models::BlockMap out;
  for (std::int64_t i = 0; i < model->block_count(); ++i) out[i] = kAttention;
  return out;
}

/// The latent of 11 frames of 12 x 48 pixels.
std::array<std::int64_t, 3> latent() {
  return ToyCodec().geometry().latent(11, 12, 48);
}

void expect_equal(const models::VideoTransformer& a, const models::VideoTransformer& b) {
  const auto left = a->tensors(Weights::all), right = b->tensors(Weights::all);
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(at::equal(left[i].second, right[i].second)) << left[i].first;
  }
}

/// With models of so many latent slices a token.
class SecondModel : public ::testing::TestWithParam<std::int64_t> {};
INSTANTIATE_TEST_SUITE_P(PatchSlices, SecondModel, ::testing::Values(1, 2));

TEST(SecondCodec, HasAGeometryOfItsOwn) {
  ToyCodec codec;
  Rng rng(1, "test.toy.video");
  const at::Tensor video = rand(rng, {3, 11, 12, 48}) * 2 - 1, latents = codec.encode(video);
  ASSERT_EQ(latents.sizes(), (at::IntArrayRef{6, 6, 3, 6}));
  EXPECT_EQ(latent(), (std::array<std::int64_t, 3>{6, 3, 6}));
  EXPECT_EQ(codec.geometry().video(latent()), (std::array<std::int64_t, 3>{11, 12, 48}));
  EXPECT_EQ(codec.decode(latents).sizes(), video.sizes());
  EXPECT_LT(testing::relative_difference(codec.encode(codec.decode(latents)), latents), 1e-5);
}

TEST_P(SecondModel, IsOpenedByWhatItsFilesAre) {
  const TempFolder folder;
  const models::ModelRegistry known = registry();
  models::VideoTransformer model = toy(GetParam());
  models::convert(model, every_block(model), 3, latent());
  known.save(folder / "toy", model);
  const models::WanTransformer wan = testing::small_wan();
  known.save(folder / "wan", wan);
  EXPECT_EQ(known.read_architecture(folder / "toy"), model->architecture());
  EXPECT_EQ(known.read_architecture(folder / "wan"), wan->architecture());
  expect_equal(known.load(folder / "toy"), model);
  EXPECT_EQ(models::block_map_of(known.load(folder / "toy")), models::block_map_of(model));
  expect_equal(known.load(folder / "wan"), wan);
  EXPECT_NE(known.fingerprint(folder / "toy"), "");
  EXPECT_EQ(known.fingerprint(folder / "nowhere"), "");
  testing::expect_error<UserError>([&] { known.named("ltx"); }, {"model.family", "ltx", "toy, wan"});
  testing::expect_error<UserError>([&] { known.encoders().named("wan"); }, {"model.encoders", "wan", "auto, toy"});
}

TEST_P(SecondModel, SaysItsSizesTruly) {
  for (const models::VideoTransformer& model : {toy(GetParam()), models::VideoTransformer(testing::small_wan())}) {
    std::int64_t numbers = 0;
    for (const auto& item : model->tensors(Weights::teacher)) numbers += item.second.numel();
    EXPECT_EQ(analysis::model_parameters(model->architecture()), numbers) << model->architecture().family;
  }
}

TEST_P(SecondModel, ParallelRecurrentAndChunkByChunkSamplingAgree) {
  models::VideoTransformer model = toy(GetParam());
  models::convert(model, every_block(model), 3, latent());
  sampling::Request request;
  request.sampler = {.kind = diffusion::SamplerKind::unipc, .steps = 4, .shift = 3};
  request.guidance = 2;
  request.shape = {6, latent()[0], latent()[1], latent()[2]};
  Rng rng(1, "test.toy.text");
  const at::Tensor text = randn(rng, {6, 10}), empty = at::zeros({6, 10});
  const at::Tensor parallel = sampling::generate(model, request, text, empty);
  request.form = models::AttentionForm::recurrent;
  EXPECT_LT(testing::relative_difference(sampling::generate(model, request, text, empty), parallel), 1e-4);
  std::string reason;
  request.order = sampling::best_order(model, request, reason);
  EXPECT_EQ(request.order, sampling::Order::chunk_major) << reason;
  EXPECT_LT(testing::relative_difference(sampling::generate(model, request, text, empty), parallel), 1e-4);
}

/// The mean error of a block's maps as seed 5 draws them, over both held-out points.
double error_of_new_maps(const models::VideoTransformer& teacher, const distill::PointSource& points,
                         std::int64_t block) {
  const at::NoGradGuard no_grad;
  models::SelfAttention student = models::softmax_copy(teacher->attention(block));
  student->convert(kAttention, 5, block, models::window_tokens(teacher->architecture(), latent(), kAttention.spec));
  const std::int64_t slices = teacher->architecture().grid(latent())[0];
  double total = 0;
  for (const std::int64_t i : {0, 1}) {
    const models::Heads heads =
        student->heads(points.input(data::Split::validation, i, block).unsqueeze(0), teacher->rope(latent()));
    total += distill::relative_l1(student->attend(heads, slices, models::AttentionForm::parallel),
                                  models::softmax_attention(heads));
  }
  return total / 2;
}

TEST_P(SecondModel, IsCachedAndDistilled) {
  const TempFolder folder;
  const models::VideoTransformer teacher = toy(GetParam());
  const auto size = latent();
  distill::CacheConfig cache;
  cache.sampler.steps = 3;
  cache.sampler.shift = 3;
  cache.keep_per_trajectory = 2;
  cache.validation_share = 0.3;
  cache.type = distill::CacheType::f32;
  const auto embedding = [](std::size_t i) {
    Rng rng(6, "test.toy.prompt", {i});
    return randn(rng, {6, 10});
  };
  distill::TeacherWalk walk{teacher, cache, {0, 2}, {size.begin(), size.end()}, {4, embedding, at::zeros({6, 10})}, 8};
  const comm::Communicator world;
  const auto plan = distill::plan_cache(teacher->architecture(), cache, 4, walk.blocks, walk.latent, folder / "cache");
  const MarkedFolder cache_folder = data::cache_folder(folder / "cache", {{"test", 1}});
  {
    const FolderLock lock = cache_folder.open();
    distill::collect_activations(walk, plan, cache_folder, world);
  }
  distill::CachedPoints points(data::ActivationCache(folder / "cache", {{"test", 1}}));

  distill::DistillConfig config;
  config.train.iterations = 150;
  config.train.lr = 3e-3;
  config.train.warmup = 10;
  config.validation_samples = 3;
  const models::BlockMap blocks = {{0, kAttention}, {2, kAttention}};
  const auto results = distill::distill({teacher, blocks, config, 5, "f", folder.path()}, points, world);
  ASSERT_EQ(results.size(), 2U);
  // A random teacher's second block hardly leaves room for a better map: the sum of the two has to fall.
  EXPECT_LT(results[0].distilled + results[1].distilled, results[0].untrained + results[1].untrained);
  for (const distill::BlockResult& result : results)
    EXPECT_NEAR(result.untrained, error_of_new_maps(teacher, points, result.block), 1e-5) << result.block;

  models::VideoTransformer student = toy(GetParam());
  models::convert(student, blocks, 7, latent());
  distill::load_feature_maps(student, blocks, folder.path(), "f");
  const auto maps = student->tensors(Weights::feature_maps);
  EXPECT_TRUE(maps.front().first.starts_with("layer_0.mixer.phi_")) << maps.front().first;
}

/// A dataset as `prepare` writes it: clip a to train on, clip b held out.
data::LatentDataset dataset_in(const TempFolder& folder) {
  Hdf5Writer shard(folder / "shard.h5"), text(folder / "text.h5");
  json samples = json::array();
  for (std::uint64_t i = 0; i < 2; ++i) {
    Rng rng(1, "test.toy.latents", {i});
    shard.write(cat("latents/", i), randn(rng, {6, latent()[0], latent()[1], latent()[2]}));
    text.write(cat("text/", i), randn(rng, {6, 10}));
    samples.push_back(
        {{"shard", 0}, {"index", i}, {"clip", i == 0 ? "a" : "b"}, {"caption", 1}, {"validation", i == 1}});
  }
  shard.commit();
  text.commit();
  data::dataset_folder(folder.path(), {{"test", 1}})
      .finish({{"shards", {file_entry(folder.path(), "shard.h5")}},
               {"captions", {"", "words"}},
               {"text", file_entry(folder.path(), "text.h5")},
               {"samples", samples}});
  return data::LatentDataset(folder.path(), data::Identity{{"test", 1}});
}

TEST_P(SecondModel, IsFinetuned) {
  const TempFolder data_folder, work;
  const data::LatentDataset dataset = dataset_in(data_folder);
  models::VideoTransformer model = toy(GetParam());
  models::convert(model, every_block(model), 3, latent());
  finetune::FlowTrainingConfig config;
  config.global_batch = 2;
  config.micro_batch = 1;
  config.validation_samples = 2;
  config.recompute = finetune::RecomputePolicy::selective;
  config.train.iterations = 6;
  config.train.warmup = 1;
  config.train.lr = 1e-3;
  const comm::Communicator world;
  finetune::FlowTask task(model, dataset, ToyCodec().geometry(), config, 4, "finetune", world);
  const auto before = task.parameters();
  std::vector<at::Tensor> kept;
  for (const auto& item : before) kept.push_back(item.tensor.detach().clone());
  train::train(task, config.train, {"finetune", work.path(), "f"}, world);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_FALSE(at::equal(before[i].tensor, kept[i])) << before[i].name << " was not trained";
}

BenchSubject bench_subject(std::int64_t patch_slices) {
  BenchSubject subject;
  subject.family = "toy";
  subject.settings = {{"patch_slices", patch_slices}};
  subject.layers = 2;
  subject.attention = kAttention;
  subject.frames = 11, subject.height = 12, subject.width = 48;
  subject.geometry = ToyCodec().geometry();
  return subject;
}

TEST_P(SecondModel, IsMeasuredInEveryModeWithArbitraryWeights) {
  const TempFolder folder;
  BenchRequest request{.subject = bench_subject(GetParam()), .warmup = 0, .repeats = 2, .folder = folder.path()};
  const Ceilings ceilings = measure_ceilings(at::kCPU, at::kFloat);
  EXPECT_GT(ceilings.tflop_per_s, 0);
  EXPECT_GT(ceilings.bytes_per_s, 0);
  for (const BenchMode& mode : bench_modes()) {
    SCOPED_TRACE(mode.name);
    request.form = mode.name == "recurrent" ? models::AttentionForm::recurrent : models::AttentionForm::parallel;
    const BenchResult result = mode.run(request, registry(), ceilings);
    ASSERT_FALSE(result.rows.empty());
    const json said = to_json(mode, request, ceilings, result);
    EXPECT_EQ(said["bench"], mode.name);
    for (const json& row : said["rows"]) {
      EXPECT_GT(row["seconds_min"].get<double>(), 0) << row;
      EXPECT_LE(row["seconds_min"], row["seconds_median"]) << row;
      EXPECT_LE(row["seconds_median"], row["seconds_max"]) << row;
      EXPECT_GT(row["peak_bytes"].get<double>(), 0) << row;
      EXPECT_TRUE(row["tflop"].is_number() || row["bytes"].is_number()) << row;
    }
    EXPECT_NE(to_text(mode, request, ceilings, result).find(result.rows[0].name), std::string::npos);
    if (mode.name != "forward") continue;
    EXPECT_EQ(said["layers"], 2);
    EXPECT_EQ(said["tokens"], 6 / GetParam() * 3 * 2);
    EXPECT_NE(result.attention.find("rehyat(tc=2"), std::string::npos) << result.attention;
  }
  request.subject.frames = 12;
  testing::expect_error<UserError>([&] { forward_bench().run(request, registry(), ceilings); }, {"frames", "12"});
}

TEST_P(SecondModel, TakesTheSameMeasuredStepsWhateverIsRunAgain) {
  std::vector<double> losses;
  using models::Recompute;
  BenchSubject subject = bench_subject(GetParam());
  subject.converted = 1;
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    const TrainBench bench{.subject = subject, .recompute = recompute, .warmup = 1, .repeats = 2};
    const StepMeasures measures = measure_step(bench, registry());
    EXPECT_EQ(measures.weight_bytes, 4 * measures.parameters);
    EXPECT_EQ(measures.gradient_bytes, measures.weight_bytes);  // every parameter has one
    EXPECT_GE(measures.optimizer_bytes, 2 * measures.weight_bytes);
    EXPECT_EQ(measures.seconds.size(), 2U);
    EXPECT_NE(measures.attention.find("softmax"), std::string::npos) << measures.attention;
    losses.push_back(measures.loss);
  }
  EXPECT_EQ(losses[0], losses[1]);  // of the third step
  EXPECT_EQ(losses[0], losses[2]);
}

TEST_P(SecondModel, VerifiesItself) {
  models::VideoTransformer model = toy(GetParam());
  models::convert(model, every_block(model), 3, latent());
  VerifyResult result = verify_model(model, registry(), {latent()[1], latent()[2]}, 1);
  result.tolerance = kTolerance;
  EXPECT_TRUE(result.reload_equal);
  EXPECT_LT(result.max_rel_error, 1e-9);
  EXPECT_EQ(result.complaint(), "");
  EXPECT_EQ(config::to_json(result.not_applicable).size(), 0U) << result.text();
}

}  // namespace
}  // namespace rehyat::evaluate
