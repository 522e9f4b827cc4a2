#include "stages/flow_training.h"

#include <algorithm>
#include <utility>

#include "analysis/memory.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "evaluate/held_out.h"
#include "finetune/flow_task.h"
#include "models/frozen_weights.h"
#include "stages/costs.h"
#include "stages/machine.h"
#include "train/loop.h"

namespace rehyat::stages {

void TrainingResult::fields(config::Fields& f) {
  f.add("iterations", iterations, "steps");
  f.add("validation_loss", validation_loss, "on held-out clips");
  f.add("no_context_loss", no_context_loss, "of the best predictor that sees no context");
  f.add("training_loss", training_loss, "of the last step");
}

std::string training_text(const TrainingResult& result) {
  return TextList()
      .add("steps", human_count(result.iterations))
      .add("held-out loss", human_number(result.validation_loss))
      .add("without context", cat(human_number(result.no_context_loss), ", of the best predictor that sees no context"))
      .add("training loss", cat(human_number(result.training_loss), ", of the last step"))
      .text();
}

namespace {

/// Parameters that are trained of a model with these blocks converted; none where all are.
std::optional<std::int64_t> trained_parameters(const models::Architecture& model, const models::BlockMap& blocks,
                                               finetune::Trainable trainable) {
  if (trainable == finetune::Trainable::all) return std::nullopt;
  std::int64_t out = 0;
  for (const auto& item : blocks) {
    if (item.second.spec.kind->has_linear()) out += analysis::phi_parameters(model, item.second.phi);
    if (trainable == finetune::Trainable::blocks) out += model.block.parameters;
    if (trainable == finetune::Trainable::attention) out += models::attention_parameters(model.dim);
  }
  return out;
}

/// Of those that are trained the weights of the blocks' products, which `offload` keeps in host memory, without the
/// feature maps and with the little that a block has besides.
std::int64_t product_parameters(const models::Architecture& model, const models::BlockMap& blocks,
                                finetune::Trainable trainable) {
  const auto converted = static_cast<std::int64_t>(blocks.size());
  switch (trainable) {
    case finetune::Trainable::all:
      return model.layers * model.block.parameters;
    case finetune::Trainable::blocks:
      return converted * model.block.parameters;
    case finetune::Trainable::attention:
      return converted * models::attention_parameters(model.dim);
    default:
      return 0;
  }
}

analysis::TrainingSetup setup_of(Run& run, const models::BlockMap& blocks, const finetune::FlowTrainingConfig& config) {
  const models::Architecture& model = run.models().architecture();
  analysis::TrainingSetup setup;
  setup.accumulates = config.global_batch > config.micro_batch * run.world().size();
  setup.trained = trained_parameters(model, blocks, config.trainable);
  setup.batch = config.micro_batch;
  setup.compute_bytes = config.precision == Precision::bf16 ? 2 : 4;
  if (config.train.offload == train::Offload::optimizer)
    setup.hosted = product_parameters(model, blocks, config.trainable);
  if (setup.trained && wants_gpu(run.config().run.device))
    setup.frozen = model.layers * model.block.parameters - product_parameters(model, blocks, config.trainable);
  setup.ema = config.train.ema_decay.has_value();
  setup.recompute = config.decided_recompute();
  return setup;
}

/// The config with what blocks run again decided: as it says, or the least within its limit or nine tenths of
/// `memory`.
finetune::FlowTrainingConfig decide_recompute(Run& run, const models::BlockMap& blocks,
                                              finetune::FlowTrainingConfig config, std::int64_t memory) {
  if (config.recompute != finetune::RecomputePolicy::automatic) return config;
  const models::Architecture& model = run.models().architecture();
  const std::int64_t limit = config.memory.value_or(memory / 10 * 9);
  config.automatic_plan = analysis::fitting_recompute(
      model, largest(bucket_videos(run)), block_choices(blocks, model.layers), setup_of(run, blocks, config), limit);
  return config;
}

/// FLOPs of a step over those of a step that keeps all blocks. A selective one runs most of the forward pass again too.
double recomputed(const finetune::FlowTrainingConfig& config, std::int64_t layers) {
  const std::int64_t kept = config.decided_recompute().count(models::Recompute::none, layers);
  return (kStepOverForward + 1 - static_cast<double>(kept) / static_cast<double>(layers)) / kStepOverForward;
}

}  // namespace

TrainingResult train_flow(Run& run, const StageFolder& folder, models::VideoTransformer model,
                          const finetune::FlowTrainingConfig& config, const std::string& name,
                          const std::string& title) {
  const comm::Communicator& world = run.world();
  const at::Device device = run.device().get();
  const std::uint64_t seed = run.config().run.seed;
  const data::LatentDataset& dataset = run.dataset().open(run.folder("prepare"));
  model->to(device);
  const finetune::FlowTrainingConfig decided = decide_recompute(
      run, models::block_map_of(model), config, device_memory(run.config().run, device.is_cuda() ? device.index() : 0));
  const double tflops = training_step_tflops(model->architecture(), models::block_map_of(model), bucket_videos(run),
                                             samples_of_buckets(run), config.global_batch);
  log::info(title, ": ", config.train.iterations, " steps of ",
            recomputed(decided, model->architecture().layers) * tflops, " TFLOP each", ", recompute ",
            models::to_string(decided.decided_recompute()));
  train::Training training{title, folder.folder(), folder.fingerprint()};
  if (device.is_cuda()) training.tflops = tflops / world.size();  // on a CPU the rate says little
  nlohmann::ordered_json last;
  {
    // Its held-out points, which may be gigabytes, are gone before they are made again below.
    finetune::FlowTask task(model, dataset, run.encoders().codec->geometry(), decided, seed, name, world);
    std::optional<models::FrozenWeights> frozen;
    if (device.is_cuda()) frozen.emplace(*model, compute_type(config.precision, device));
    last = train::train(task, config.train, training, world);
  }
  world.all_or_none([&] {
    if (world.rank() == 0) run.models().families().save(folder.folder() / "model", model);
  });
  TrainingResult result;
  result.iterations = config.train.iterations;
  result.validation_loss = last.at("validation_loss");
  result.training_loss = last.at("loss");
  result.no_context_loss = evaluate::pointwise_loss(dataset, config, seed, world);
  return result;
}

Needs training_needs(Run& run, const models::BlockMap& blocks, const finetune::FlowTrainingConfig& config,
                     const std::string& section) {
  const models::Architecture& model = run.models().architecture();
  const auto choices = block_choices(blocks, model.layers);
  const analysis::VideoSize video = largest(bucket_videos(run));
  const finetune::FlowTrainingConfig decided = decide_recompute(run, blocks, config, device_memory(run.config().run));
  const analysis::TrainingSetup setup = setup_of(run, blocks, decided);
  // A checkpoint holds the trained weights and their two moments, the result all weights.
  const std::int64_t copies = (setup.ema ? 4 : 3) * config.train.keep_checkpoints;
  Needs needs;
  needs.model_parameters = analysis::model_cost(model, video, choices).parameters;
  needs.disk_bytes = 4 * (setup.trained.value_or(*needs.model_parameters) * copies + *needs.model_parameters);
  needs.memory_per_gpu = analysis::training_memory(model, video, choices, setup);
  // Weights, two moments and their average, of each rank of the machine.
  if (setup.hosted > 0)
    needs.host_memory_bytes = (setup.ema ? 4 : 3) * analysis::kFloatBytes * setup.hosted * run.world().local_size();
  needs.recompute = models::to_string(decided.decided_recompute());
  needs.steps = config.train.iterations;
  needs.tflops_per_step =
      recomputed(decided, model.layers) *
      training_step_tflops(model, blocks, bucket_videos(run), samples_of_buckets(run), config.global_batch);
  needs.work = work_of(*needs.tflops_per_step * static_cast<double>(config.train.iterations), run.config().run);
  needs.smaller_memory = cat(section, ".micro_batch, data.size or data.frames");
  needs.smaller_disk = cat(section, ".keep_checkpoints");
  return needs;
}

}  // namespace rehyat::stages
