#include "app/load_experiment.h"

#include "data/activation_cache.h"

namespace rehyat::app {

using json = nlohmann::ordered_json;

pipeline::Experiment load_experiment(const Context& context) {
  const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
  try {
    return pipeline::Experiment(config::load<pipeline::ExperimentConfig>(document), context.world);
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(context.arguments.config.string() + ": " + error.what());
  }
}

analysis::Dimensions dimensions_of(const models::WanConfig& config) {
  analysis::Dimensions d;
  d.dim = config.dim;
  d.layers = config.layers;
  d.heads = config.heads;
  d.ffn = config.ffn_dim;
  d.frequency = config.freq_dim;
  d.text_width = config.text_dim;
  d.text_tokens = config.text_length;
  d.channels = config.in_channels;
  d.patch = {1, config.patch, config.patch};
  return d;
}

analysis::VideoSize video_of(const data::DataConfig& config) {
  return {config.frames, config.size[0], config.size[1]};
}

json requirements(pipeline::Experiment& experiment, const std::string& stage) {
  const pipeline::ExperimentConfig& config = experiment.config();
  const models::WanConfig& model = experiment.architecture();
  std::vector<analysis::BlockChoice> blocks(static_cast<std::size_t>(model.layers), analysis::softmax_block());
  const models::BlockMap converted = models::resolve(config.hybrid, model.layers);
  if (stage != "pretrain" && stage != "cache") {
    for (const auto& [block, attention] : converted)
      blocks[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  }
  const analysis::ModelCost cost = analysis::model_cost(dimensions_of(model), video_of(config.data), blocks);
  const auto slices = experiment.latent();
  const std::int64_t tokens = slices[0] * (slices[1] / model.patch) * (slices[2] / model.patch);
  json out = {{"model_parameters", cost.parameters}, {"forward_tflops", cost.tflops_paper}};
  // A step is a forward and a backward pass, which costs twice the forward one.
  const auto training = [&](const finetune::FlowTrainingConfig& c) {
    out["training_tflops"] = 3 * cost.tflops_paper * static_cast<double>(c.train.iterations * c.global_batch);
    out["weights_and_optimizer_bytes"] = cost.parameters * 16;
    out["disk_bytes"] = cost.parameters * 12 * c.train.keep_checkpoints + cost.parameters * 4;
  };
  if (stage == "pretrain") training(config.pretrain);
  if (stage == "finetune") training(config.finetune);
  if (stage == "cache") {
    const std::int64_t branches = config.cache.guidance != 1 ? 2 : 1;
    const std::int64_t points = std::min(config.cache.keep_per_trajectory, config.cache.sampler.steps * branches);
    const std::int64_t per_prompt =
        data::cache_bytes(config.cache.seeds, points, static_cast<std::int64_t>(converted.size()), tokens, model.dim,
                          config.cache.type == distill::CacheType::bf16 ? 2 : 4, config.cache.store_targets);
    out["disk_bytes_per_prompt"] = per_prompt;
    out["quota_bytes"] = config.cache.quota;
    out["tflops_per_prompt"] =
        cost.tflops_paper * static_cast<double>(config.cache.seeds * config.cache.sampler.steps * branches);
  }
  return out;
}

}  // namespace rehyat::app
