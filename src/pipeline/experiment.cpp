#include "pipeline/experiment.h"

#include <torch/torch.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/prepare.h"
#include "distill/collect.h"
#include "distill/distill.h"
#include "finetune/flow_task.h"
#include "models/embedded/embedded_encoders.h"
#include "models/wan/weights.h"
#include "pipeline/environment.h"
#include "train/loop.h"

namespace rehyat::pipeline {
namespace {

using json = nlohmann::ordered_json;

at::Device choose_device(const std::string& wanted, int local_rank) {
  const bool available = torch::cuda::is_available();
  require(wanted != "cuda" || available, [] {
    return "run.device: found cuda, but no GPU can be used, expected one; use cpu, or install libtorch with CUDA "
           "(scripts/setup.sh --cuda)";
  });
  if (wanted == "cpu" || !available) return at::kCPU;
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank % torch::cuda::device_count()));
}

void set_threads(std::int64_t threads, int local_size) {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : std::max<std::int64_t>(cores / local_size, 1)));
}

json training_identity(const finetune::FlowTrainingConfig& config) {
  json settings = config::to_json(config);
  // How often something is written or said does not change the result.
  for (const char* key : {"checkpoint_every", "keep_checkpoints", "log_every", "validate_every"}) settings.erase(key);
  return settings;
}

std::vector<std::string> read_lines(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  std::istringstream in(read_file(path, 64 << 20));
  for (std::string line; std::getline(in, line);) {
    if (!trim(line).empty()) lines.emplace_back(trim(line));
  }
  require(!lines.empty(), [&] { return path.string() + ": found no prompt, expected one a line"; });
  return lines;
}

}  // namespace

Experiment::Experiment(ExperimentConfig config, const dist::Communicator& world)
    : config_(std::move(config)), world_(world), device_(choose_device(config_.run.device, world.local_rank())) {
  set_threads(config_.run.threads, world.local_size());
  codec_ = std::make_unique<models::BlockTransformCodec>();
  models::SeededTextOptions text;
  text.length = architecture().text_length;
  text.width = architecture().text_dim;
  text_ = std::make_unique<models::SeededTextEncoder>(text);
}

Experiment::~Experiment() = default;

Experiment Experiment::with_hybrid(const models::HybridConfig& hybrid) const {
  ExperimentConfig other = config_;
  other.hybrid = hybrid;
  return Experiment(other, world_);
}

const models::WanConfig& Experiment::architecture() {
  if (!architecture_) {
    if (config_.model.architecture) {
      architecture_ = *config_.model.architecture;
    } else {
      architecture_ = models::read_wan_config(config_.model.weights);
    }
  }
  return *architecture_;
}

std::vector<std::int64_t> Experiment::latent() const {
  return {1 + (config_.data.frames - 1) / 4, config_.data.size[0] / 8, config_.data.size[1] / 8};
}

data::Identity Experiment::dataset_identity() {
  if (!dataset_identity_) dataset_identity_ = data::dataset_identity(config_.data, *codec_, *text_, config_.run.seed);
  return *dataset_identity_;
}

Stage Experiment::prepare_stage() {
  return Stage(config_.run.dir, "prepare", dataset_identity());
}

Stage Experiment::pretrain_stage() {
  return Stage(config_.run.dir, "pretrain",
               {{"format", 1},
                {"data", prepare_stage().fingerprint()},
                {"architecture", config::to_json(architecture())},
                {"training", training_identity(config_.pretrain)},
                {"seed", config_.run.seed}});
}

std::string Experiment::teacher_fingerprint() {
  if (config_.model.weights.empty()) return pretrain_stage().fingerprint();
  if (teacher_fingerprint_.empty()) teacher_fingerprint_ = models::model_fingerprint(config_.model.weights);
  return teacher_fingerprint_;
}

std::filesystem::path Experiment::teacher_folder() {
  if (!config_.model.weights.empty()) return config_.model.weights;
  const Stage stage = pretrain_stage();
  stage.require_complete("pretrain");
  return stage.folder() / "model";
}

models::BlockMap Experiment::blocks() {
  return models::resolve(config_.hybrid, architecture().layers);
}

Stage Experiment::cache_stage() {
  json settings = config::to_json(config_.cache);
  settings.erase("quota");
  if (!config_.cache.prompts.empty()) settings["prompts"] = read_file(config_.cache.prompts, 64 << 20);
  std::vector<std::int64_t> wanted;
  for (const auto& item : blocks()) wanted.push_back(item.first);
  return Stage(config_.run.dir, "cache",
               {{"format", 1},
                {"teacher", teacher_fingerprint()},
                {"data", prepare_stage().fingerprint()},
                {"settings", settings},
                {"blocks", wanted},
                {"latent", latent()},
                {"seed", config_.run.seed}});
}

Stage Experiment::distill_stage() {
  json settings = config::to_json(config_.distill);
  for (const char* key : {"checkpoint_every", "keep_checkpoints", "log_every", "validate_every"}) settings.erase(key);
  return Stage(config_.run.dir, "distill",
               {{"format", 1},
                {"teacher", teacher_fingerprint()},
                {"cache", cache_stage().fingerprint()},
                {"settings", settings},
                {"blocks", models::to_json(blocks())},
                {"seed", config_.run.seed}});
}

Stage Experiment::finetune_stage() {
  // With no block converted there is nothing to distil: the control, the teacher trained on.
  const std::string start = blocks().empty() ? teacher_fingerprint() : distill_stage().fingerprint();
  return Stage(config_.run.dir, "finetune",
               {{"format", 1},
                {"start", start},
                {"data", prepare_stage().fingerprint()},
                {"training", training_identity(config_.finetune)},
                {"seed", config_.run.seed}});
}

json Experiment::run(const Stage& stage, const std::function<json(const Stage&)>& work) {
  bool complete = false;
  world_.together([&] { complete = stage.complete(); });
  if (complete) {
    log::info(stage.name(), ": already complete in ", stage.folder().string());
    return stage.summary();
  }
  const auto start = std::chrono::steady_clock::now();
  world_.together([&] {
    if (world_.rank() != 0) return;
    make_folder(config_.run.dir);
    stage.open();
    write_file_atomic(stage.folder() / "resolved.yaml", config::yaml(config::to_json(config_)));
    record_environment(stage.folder(), environment(world_, device_));
  });
  // After the folder exists on rank 0, and everybody waited for it.
  std::unique_ptr<log::FileScope> file;
  world_.together([&] {
    file = std::make_unique<log::FileScope>(
        stage.folder() / (world_.rank() == 0 ? std::string("log.txt") : cat("log-rank", world_.rank(), ".txt")));
  });
  log::info(stage.name(), ": working in ", stage.folder().string());
  json summary = work(stage);
  summary["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  world_.together([&] {
    if (world_.rank() == 0) stage.finish(summary);
  });
  return summary;
}

json Experiment::prepare() {
  return run(prepare_stage(), [&](const Stage& stage) {
    return data::prepare(config_.data, *codec_, *text_, config_.run.seed, stage.folder(), world_);
  });
}

const data::LatentDataset& Experiment::dataset() {
  if (!dataset_) {
    const Stage stage = prepare_stage();
    stage.require_complete("prepare");
    dataset_ = std::make_unique<data::LatentDataset>(stage.folder(), dataset_identity());
  }
  return *dataset_;
}

json Experiment::train_flow(const Stage& stage, models::WanTransformer model,
                            const finetune::FlowTrainingConfig& config, const char* title) {
  model->to(device_);
  finetune::FlowTask task(model, dataset(), config, config_.run.seed, world_);
  const json result = train::train(task, config.train, {title, stage.folder(), stage.fingerprint(), false, {}}, world_);
  world_.together([&] {
    if (world_.rank() == 0) models::save_model(stage.folder() / "model", model);
  });
  // How much of the loss needs no transformer at all: what the model has to beat.
  std::vector<at::Tensor> latents;
  for (std::int64_t i = 0; i < dataset().size(data::Split::train); ++i) {
    latents.push_back(dataset().get(data::Split::train, i).latents);
  }
  const double pointwise = finetune::pointwise_loss(finetune::PointwisePredictor(latents),
                                                    finetune::validation_points(dataset(), config, config_.run.seed));
  return {{"iterations", config.train.iterations},
          {"validation_loss", result.at("validation_loss")},
          {"no_context_loss", pointwise},
          {"training_loss", result.at("loss")}};
}

json Experiment::pretrain() {
  require(config_.model.weights.empty(), [] {
    return "model.weights: found a teacher, expected none for pretrain; remove model.weights and give "
           "model.architecture";
  });
  return run(pretrain_stage(), [&](const Stage& stage) {
    models::WanTransformer model(architecture());
    model->initialize(config_.run.seed);
    return train_flow(stage, model, config_.pretrain, "pretrain");
  });
}

at::Tensor Experiment::encode_prompt(const std::string& prompt) {
  return text_->encode({prompt})[0].to(device_);
}

json Experiment::cache() {
  return run(cache_stage(), [&](const Stage& stage) {
    models::WanTransformer teacher = load(WhichModel::teacher);
    std::vector<std::string> texts =
        config_.cache.prompts.empty() ? dataset().captions(data::Split::train) : read_lines(config_.cache.prompts);
    if (config_.cache.max_prompts > 0 && static_cast<std::int64_t>(texts.size()) > config_.cache.max_prompts)
      texts.resize(static_cast<std::size_t>(config_.cache.max_prompts));
    std::vector<distill::Prompt> prompts;
    for (const std::string& text : texts) prompts.push_back({text, encode_prompt(text)});
    std::vector<std::int64_t> wanted;
    for (const auto& item : blocks()) wanted.push_back(item.first);
    distill::CachePlan plan;
    world_.together(
        [&] { plan = distill::plan_cache(architecture(), config_.cache, prompts, wanted, latent(), stage.folder()); });
    log::info("cache: ", plan.trajectories, " trajectories, ", human_bytes(plan.bytes));
    distill::collect_activations(teacher, config_.cache, plan, encode_prompt(""), config_.run.seed,
                                 {{"stage", stage.fingerprint()}}, stage.folder(), world_);
    return json{{"trajectories", plan.trajectories}, {"bytes", plan.bytes}, {"blocks", plan.blocks}};
  });
}

json Experiment::distill() {
  return run(distill_stage(), [&](const Stage& stage) {
    const Stage source = cache_stage();
    world_.together([&] { source.require_complete("cache"); });
    const data::ActivationCache activations(source.folder(), {{"stage", source.fingerprint()}});
    const models::WanTransformer teacher = load(WhichModel::teacher);
    const auto results = distill::distill(teacher, blocks(), activations, config_.distill, config_.run.seed,
                                          stage.fingerprint(), stage.folder(), world_);
    set_threads(config_.run.threads, world_.local_size());
    json list = json::array();
    double window = 0, before = 0, after = 0;
    for (const auto& r : results) {
      list.push_back({{"block", r.block},
                      {"window_only", r.window_only},
                      {"untrained", r.untrained},
                      {"distilled", r.distilled},
                      {"seconds", r.seconds}});
      window += r.window_only / static_cast<double>(results.size());
      before += r.untrained / static_cast<double>(results.size());
      after += r.distilled / static_cast<double>(results.size());
    }
    return json{{"window_only", window}, {"untrained", before}, {"distilled", after}, {"blocks", list}};
  });
}

json Experiment::finetune() {
  return run(finetune_stage(), [&](const Stage& stage) {
    return train_flow(stage, load(blocks().empty() ? WhichModel::teacher : WhichModel::distilled), config_.finetune,
                      blocks().empty() ? "finetune (control)" : "finetune");
  });
}

models::WanTransformer Experiment::load(WhichModel which) {
  models::WanTransformer model{nullptr};
  world_.together([&] {
    if (which == WhichModel::finetuned) {
      const Stage stage = finetune_stage();
      stage.require_complete("finetune");
      model = models::load_model(stage.folder() / "model", device_);
      return;
    }
    model = models::load_model(teacher_folder(), device_);
    if (which == WhichModel::teacher) return;
    const auto size = latent();
    models::convert(model, blocks(), config_.run.seed, {size[0], size[1], size[2]});
    if (which == WhichModel::undistilled) return;
    const Stage stage = distill_stage();
    stage.require_complete("distill");
    distill::load_feature_maps(model, blocks(), stage.folder());
  });
  return model;
}

std::vector<std::string> Experiment::sample_prompts() {
  std::vector<std::string> prompts = config_.sample.prompts;
  if (prompts.empty())
    prompts = config_.sample.prompts_file.empty() ? dataset().captions(data::Split::validation)
                                                  : read_lines(config_.sample.prompts_file);
  const auto most = static_cast<std::size_t>(config_.sample.max_prompts);
  if (most > 0 && prompts.size() > most) prompts.resize(most);
  return prompts;
}

sampling::Request Experiment::sample_request(const models::WanTransformer& model, std::uint64_t sample) const {
  sampling::Request request;
  request.sampler = config_.sample.sampler;
  request.guidance = config_.sample.guidance;
  const auto size = latent();
  request.shape = {model->config().in_channels, size[0], size[1], size[2]};
  request.seed = config_.sample.seed;
  request.sample = sample;
  request.form = config_.sample.form;
  std::string reason;
  request.order = sampling::best_order(model, request, reason);
  return request;
}

at::Tensor Experiment::decode(const at::Tensor& latents) {
  const at::Tensor video = codec_->decode(latents.to(at::kCPU)).clamp(-1, 1);
  return ((video + 1) * 127.5).round().to(at::kByte).permute({1, 2, 3, 0}).contiguous();
}

}  // namespace rehyat::pipeline
