#include "stages/flow_training.h"

#include <algorithm>
#include <array>
#include <utility>

#include "analysis/memory.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "evaluate/held_out.h"
#include "finetune/flow_task.h"
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

analysis::TrainingSetup setup_of(Run& run, const models::BlockMap& blocks, const finetune::FlowTrainingConfig& config) {
  const models::Architecture& model = run.models().architecture();
  analysis::TrainingSetup setup;
  setup.accumulates = config.global_batch > config.micro_batch * run.world().size();
  setup.trained = trained_parameters(model, blocks, config.trainable);
  setup.batch = config.micro_batch;
  setup.compute_bytes = config.precision == Precision::bf16 ? 2 : 4;
  setup.ema = config.train.ema_decay.has_value();
  setup.recompute = config.decided_recompute();
  return setup;
}

constexpr std::array<std::pair<finetune::RecomputePolicy, const char*>, 3> kPolicies = {{
    {finetune::RecomputePolicy::none, "none"},
    {finetune::RecomputePolicy::selective, "selective"},
    {finetune::RecomputePolicy::full, "full"},
}};

std::string name_of(finetune::RecomputePolicy policy) {
  const auto found =
      std::find_if(kPolicies.begin(), kPolicies.end(), [&](const auto& item) { return item.first == policy; });
  return found == kPolicies.end() ? "auto" : found->second;
}

/// The config with what blocks run again decided: as it says, or the least that leaves a tenth of `memory`.
finetune::FlowTrainingConfig decide_recompute(Run& run, const models::BlockMap& blocks,
                                              finetune::FlowTrainingConfig config, std::int64_t memory) {
  if (config.recompute != finetune::RecomputePolicy::automatic) return config;
  const models::Architecture& model = run.models().architecture();
  const auto choices = block_choices(blocks, model.layers);
  for (const auto& item : kPolicies) {
    config.recompute = item.first;
    const analysis::MemoryEstimate need =
        analysis::training_memory(model, largest(bucket_videos(run)), choices, setup_of(run, blocks, config));
    if (static_cast<double>(need.total()) <= 0.9 * static_cast<double>(memory)) break;
  }
  return config;
}

/// FLOPs of a step over those of a step that keeps all blocks. A selective one runs most of the forward pass again too.
double recomputed(const finetune::FlowTrainingConfig& config) {
  return config.decided_recompute() == models::Recompute::none ? 1 : (kStepOverForward + 1) / kStepOverForward;
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
  finetune::FlowTask task(model, dataset, run.encoders().codec->geometry(), decided, seed, name, world);
  const double tflops = training_step_tflops(model->architecture(), models::block_map_of(model), bucket_videos(run),
                                             samples_of_buckets(run), config.global_batch);
  log::info(title, ": ", config.train.iterations, " steps of ", recomputed(decided) * tflops, " TFLOP each",
            ", recompute ", name_of(decided.recompute));
  train::Training training{title, folder.folder(), folder.fingerprint()};
  if (device.is_cuda()) training.tflops = tflops / world.size();  // on a CPU the rate says little
  const nlohmann::ordered_json last = train::train(task, config.train, training, world);
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
  needs.recompute = name_of(decided.recompute);
  needs.steps = config.train.iterations;
  needs.tflops_per_step = recomputed(decided) * training_step_tflops(model, blocks, bucket_videos(run),
                                                                     samples_of_buckets(run), config.global_batch);
  needs.work = work_of(*needs.tflops_per_step * static_cast<double>(config.train.iterations), run.config().run);
  needs.smaller_memory = cat(section, ".micro_batch, data.size or data.frames");
  needs.smaller_disk = cat(section, ".keep_checkpoints");
  return needs;
}

}  // namespace rehyat::stages
