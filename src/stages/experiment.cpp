#include "stages/experiment.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include <algorithm>
#include <thread>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "diffusion/scheduler_config.h"
#include "distill/distill.h"
#include "evaluate/held_out.h"
#include "files/atomic_file.h"
#include "files/elapsed.h"
#include "files/folder_lock.h"
#include "files/json.h"
#include "files/safetensors.h"
#include "finetune/flow_task.h"
#include "stages/costs.h"
#include "stages/device.h"
#include "stages/environment.h"
#include "stages/prompt_file.h"
#include "tensor/error_text.h"
#include "tensor/io.h"
#include "train/loop.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

json training_identity(const finetune::FlowTrainingConfig& config) {
  json settings = config::to_json(config);
  // How often something is written or said does not change the result.
  for (const char* key : {"checkpoint_every", "keep_checkpoints", "log_every", "validate_every"}) settings.erase(key);
  return settings;
}

at::Device device_of(const std::string& wanted, const comm::Communicator& world) {
  const auto gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
  return choose_device(wanted, gpus, world.local_rank(), world.local_size());
}

ExperimentConfig resolved(ExperimentConfig config, const models::ModelFiles& files) {
  if (files.scheduler.empty()) {
    config.resolve();
  } else {
    config.resolve(diffusion::read_scheduler_config(files.scheduler));
  }
  return config;
}

}  // namespace

Experiment::Experiment(ExperimentConfig config, const comm::Communicator& world, const models::ModelRegistry& families)
    : files_(families.find(config.model.weights)),
      config_(resolved(std::move(config), files_)),
      world_(world),
      families_(families) {
  set_threads();
  // By value: the experiment may be moved.
  const auto device = [wanted = config_.run.device, &world] { return device_of(wanted, world); };
  encoders_ = make_encoders(config_.model, files_, architecture(), families_.encoders(), device, config_.run.dir);
  config_.data.check_sizes({codec().geometry(), architecture().patch});
}

Experiment::Experiment(Experiment&&) noexcept = default;
Experiment::~Experiment() = default;

void Experiment::set_threads() const {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const std::int64_t wanted = config_.run.threads;
  at::set_num_threads(static_cast<int>(wanted > 0 ? wanted : std::max<std::int64_t>(cores / world_.local_size(), 1)));
}

at::Device Experiment::device() const {
  if (!device_) device_ = device_of(config_.run.device, world_);
  return *device_;
}

Experiment Experiment::with_hybrid(const models::HybridConfig& hybrid) const {
  ExperimentConfig other = config_;
  other.hybrid = hybrid;
  return Experiment(other, world_, families_);
}

const models::Architecture& Experiment::architecture() {
  if (!architecture_) {
    if (config_.model.architecture) {
      const models::ModelFamily& family = families_.named(config_.model.family);
      new_model_ = family.settings(config_.model.architecture);
      config_.model.architecture.show(new_model_);
      architecture_ = family.architecture(new_model_);
    } else {
      architecture_ = families_.read_architecture(files_.transformer);
    }
  }
  return *architecture_;
}

std::vector<std::int64_t> Experiment::latent() const {
  const auto latent =
      encoders_.codec->geometry().latent(config_.data.frames, config_.data.size[0], config_.data.size[1]);
  return {latent.begin(), latent.end()};
}

Stage Experiment::pretrain_stage() {
  return Stage(config_.run.dir, "pretrain",
               {{"format", 1},
                {"data", dataset_stage().fingerprint()},
                {"architecture", new_model_},
                {"training", training_identity(config_.pretrain)},
                {"seed", config_.run.seed}});
}

std::string Experiment::teacher_fingerprint() {
  if (config_.model.weights.empty()) return pretrain_stage().fingerprint();
  if (teacher_fingerprint_.empty()) teacher_fingerprint_ = families_.fingerprint(files_.transformer);
  return teacher_fingerprint_;
}

std::filesystem::path Experiment::teacher_folder() {
  if (!config_.model.weights.empty()) return files_.transformer;
  const Stage stage = pretrain_stage();
  stage.require_intact();
  return stage.folder() / "model";
}

models::BlockMap Experiment::blocks() {
  return models::resolve(config_.hybrid, architecture().layers);
}

std::pair<std::string, std::string> Experiment::prompts_identity() {
  if (!config_.cache.prompts.empty()) return {"text_encoder", encoders_.text->fingerprint()};
  return {"data", dataset_stage().fingerprint()};
}

Stage Experiment::cache_stage() {
  return Stage(config_.run.dir, "cache",
               {{"format", 1},
                {"teacher", teacher_fingerprint()},
                prompts_identity(),
                {"settings", trajectory_settings()},
                {"blocks", converted()},
                {"latent", latent()},
                {"seed", config_.run.seed}});
}

Stage Experiment::distill_stage() {
  json settings = config::to_json(config_.distill);
  for (const char* key : {"checkpoint_every", "keep_checkpoints", "log_every", "validate_every", "keep_softmax"})
    settings.erase(key);
  if (!needs_cache()) {
    settings["online"] = config::to_json(config_.distill.online.value_or(distill::OnlineConfig()));
    settings["online"].erase("memory");
    settings["trajectories"] = trajectory_settings();
    settings["trajectories"]["latent"] = latent();
  }
  return Stage(config_.run.dir, "distill",
               {{"format", 2},
                {"teacher", teacher_fingerprint()},
                {"points", needs_cache() ? cache_stage().fingerprint() : prompts_identity().second},
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
                {"data", dataset_stage().fingerprint()},
                {"training", training_identity(config_.finetune)},
                {"seed", config_.run.seed}});
}

Stage Experiment::sample_stage() {
  json settings = config::to_json(config_.sample);
  if (!config_.sample.noise.empty()) settings["noise"] = hash_file(config_.sample.noise);
  return Stage(config_.run.dir, "sample",
               {{"settings", settings},
                {"model", models::to_json(blocks())},
                {"of", sampled_fingerprint()},
                {"latent", latent()},
                {"text", encoders_.text->fingerprint()},
                {"codec", encoders_.codec->fingerprint()}});
}

std::string Experiment::sampled_fingerprint() {
  switch (config_.sample.model) {
    case WhichModel::finetuned:
      return finetune_stage().fingerprint();
    case WhichModel::distilled:
      return distill_stage().fingerprint();
    default:
      return teacher_fingerprint();  // what is undistilled follows from it, the blocks and the seed
  }
}

Stage Experiment::export_stage() {
  return Stage(config_.run.dir, "export",
               {{"model", finetune_stage().fingerprint()}, {"settings", config::to_json(config_.export_)}});
}

Stage Experiment::verify_stage() {
  return Stage(config_.run.dir, "verify", {{"model", finetune_stage().fingerprint()}});
}

std::optional<FolderLock> Experiment::open(const Stage& stage) const {
  std::optional<FolderLock> lock;
  world_.together([&] {
    if (world_.rank() == 0) lock.emplace(stage.open());
  });
  record(stage);
  return lock;
}

void Experiment::record(const Stage& stage) const {
  world_.together([&] {
    if (world_.rank() != 0) return;
    write_file_atomic(stage.folder() / "resolved.yaml", config::yaml(config::to_json(config_)));
    record_environment(stage.folder(), environment(world_, device()));
  });
}

json Experiment::run(const Stage& stage, const std::vector<std::filesystem::path>& results,
                     const std::function<json(const Stage&)>& work) {
  // Rank 0 alone looks: file systems of several machines need not show the same at the same time.
  std::string earlier;
  std::optional<FolderLock> lock;
  world_.together([&] {
    if (world_.rank() != 0) return;
    if (!stage.complete()) lock.emplace(stage.open());
    if (stage.complete()) earlier = stage.summary().dump();  // perhaps by another run that ended just now
  });
  earlier = world_.broadcast(earlier, 0);
  if (!earlier.empty()) {
    log::info(stage.name(), ": already complete in ", stage.folder().string());
    return parse_json(earlier, stage.name());
  }
  std::unique_ptr<ElapsedTime> time;
  record(stage);
  world_.together([&] {
    if (world_.rank() == 0) time = std::make_unique<ElapsedTime>(stage.folder() / "elapsed.json");
  });
  // After the folder exists on rank 0, and everybody waited for it.
  std::unique_ptr<log::FileScope> file;
  world_.together([&] {
    file = std::make_unique<log::FileScope>(
        stage.folder() / (world_.rank() == 0 ? std::string("log.txt") : cat("log-rank", world_.rank(), ".txt")));
  });
  log::info(stage.name(), ": working in ", stage.folder().string(),
            "; all settings are in its resolved.yaml (--log-level debug prints them)");
  if (world_.rank() == 0) log::debug(stage.name(), ": resolved config:\n", config::yaml(config::to_json(config_)));
  try {
    json summary = work(stage);
    world_.together([&] {
      if (world_.rank() != 0) return;
      summary["seconds"] = time->seconds();  // over all starts
      time.reset();                          // nothing is written in the folder once it counts as complete
      stage.finish(summary, results);
    });
    return summary;
  } catch (const std::exception& error) {
    // The command says it on the terminal once this file is closed.
    const bool stopped = dynamic_cast<const Stopped*>(&error) != nullptr;
    log::record(cat(stage.name(), stopped ? ": " : ": failed: ", message_of(error)),
                stopped ? log::Level::warn : log::Level::error);
    throw;
  }
}

json Experiment::train_flow(const Stage& stage, models::VideoTransformer model,
                            const finetune::FlowTrainingConfig& config, const char* title) {
  model->to(device());
  finetune::FlowTask task(model, dataset(), codec().geometry(), config, config_.run.seed, stage.name(), world_);
  train::Training training{title, stage.folder(), stage.fingerprint()};
  if (device().is_cuda()) {  // on a CPU it says little
    double tflops = 0;       // of a step on average: each is of one bucket
    for (std::size_t b = 0; b < dataset().buckets(); ++b) {
      const auto samples = static_cast<double>(dataset().of_bucket(data::Split::train, b).size());
      tflops += samples / static_cast<double>(dataset().size(data::Split::train)) *
                training_step_tflops(model->architecture(), models::block_map_of(model),
                                     video_of(config_.data.of_bucket(b), codec().geometry()), config.global_batch);
    }
    training.tflops = tflops / world_.size();
  }
  const json result = train::train(task, config.train, training, world_);
  world_.together([&] {
    if (world_.rank() == 0) families_.save(stage.folder() / "model", model);
  });
  // How much of the loss needs no transformer at all: what the model has to beat.
  const double pointwise = evaluate::pointwise_loss(dataset(), config, config_.run.seed, world_);
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
  return run(pretrain_stage(), {"model"}, [&](const Stage& stage) {
    const models::VideoTransformer model = families_.named(config_.model.family).make(new_model_);
    model->initialize(config_.run.seed);
    return train_flow(stage, model, config_.pretrain, "pretrain");
  });
}

at::Tensor Experiment::encode_prompt(const std::string& prompt) {
  at::Tensor& known = prompts_[prompt];
  if (!known.defined()) known = encoders_.text->encode({prompt})[0];
  return known.to(device());
}

json Experiment::finetune() {
  return run(finetune_stage(), {"model"}, [&](const Stage& stage) {
    return train_flow(stage, load(blocks().empty() ? WhichModel::teacher : WhichModel::distilled), config_.finetune,
                      blocks().empty() ? "finetune (control)" : "finetune");
  });
}

models::VideoTransformer Experiment::load(WhichModel which) {
  models::VideoTransformer model{nullptr};
  world_.together([&] {
    if (which == WhichModel::finetuned) {
      const Stage stage = finetune_stage();
      stage.require_intact();
      model = families_.load(stage.folder() / "model", {.device = device()});
      return;
    }
    model = families_.load(teacher_folder(), {.device = device()});
    if (which == WhichModel::teacher) return;
    const auto size = latent();
    models::convert(model, blocks(), config_.run.seed, {size[0], size[1], size[2]});
    if (which == WhichModel::undistilled) return;
    const Stage stage = distill_stage();
    stage.require_intact();
    distill::load_feature_maps(model, blocks(), stage.folder(), stage.fingerprint());
  });
  return model;
}

std::vector<std::string> Experiment::sample_prompts() {
  std::vector<std::string> prompts = config_.sample.prompts;
  if (!config_.sample.prompts_file.empty()) {
    prompts = read_prompts(config_.sample.prompts_file);
  } else if (prompts.empty()) {
    for (const std::size_t caption : dataset().captions(data::Split::validation))
      prompts.push_back(dataset().caption(caption));
  }
  const auto most = static_cast<std::size_t>(config_.sample.max_prompts);
  if (most > 0 && prompts.size() > most) prompts.resize(most);
  return prompts;
}

sampling::Request Experiment::sample_request(const models::VideoTransformer& model, std::uint64_t sample) const {
  sampling::Request request;
  request.sampler = config_.sample.sampler;
  request.guidance = config_.sample.guidance;
  const auto size = latent();
  request.shape = {model->architecture().channels, size[0], size[1], size[2]};
  request.seed = config_.sample.seed;
  request.sample = sample;
  if (!config_.sample.noise.empty()) {
    const safetensors::Reader file(config_.sample.noise);
    const safetensors::TensorInfo* info = file.find("noise");
    require(info != nullptr, [&] { return config_.sample.noise.string() + ": found no tensor 'noise', expected one"; });
    const at::Tensor noise = read_tensor(file, *info);
    // A batch of one, as pipelines have it, is as good.
    request.noise = noise.dim() == 5 && noise.size(0) == 1 ? noise[0] : noise;
  }
  // Of the model that was given: a comparison samples several from one config.
  request.form = config_.sample.resolved_form(models::block_map_of(model));
  request.compute = compute_type(config_.sample.precision, device());
  std::string reason;
  request.order = sampling::best_order(model, request, reason);
  return request;
}

at::Tensor Experiment::decode(const at::Tensor& latents) {
  const at::Tensor video = encoders_.codec->decode(latents.to(at::kCPU)).clamp(-1, 1);
  return ((video + 1) * 127.5).round().to(at::kByte).permute({1, 2, 3, 0}).contiguous();
}

}  // namespace rehyat::stages
