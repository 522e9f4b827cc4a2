#include "app/requirements.h"

#include <unistd.h>

#include <algorithm>

#include "analysis/memory.h"
#include "app/load_experiment.h"
#include "core/log.h"
#include "core/strings.h"
#include "distill/online.h"
#include "stages/costs.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// A step is a forward and a backward pass, which costs twice the forward one.
constexpr double kStepOverForward = 3;

struct Planned {
  const stages::ExperimentConfig& config;
  models::Architecture model;
  std::vector<std::int64_t> latent;
  analysis::VideoSize video;
  std::vector<analysis::BlockChoice> teacher, hybrid;
  models::BlockMap converted;
  at::Device device;
};

Planned plan(stages::Experiment& experiment) {
  const models::Architecture& model = experiment.architecture();
  Planned p{experiment.config(),
            model,
            experiment.latent(),
            video_of(experiment),
            {},
            {},
            {},
            // What a machine with a GPU would need can be asked for on one without.
            experiment.config().run.device == "cuda" ? at::Device(at::kCUDA) : experiment.device()};
  p.teacher.assign(static_cast<std::size_t>(model.layers), analysis::softmax_block());
  p.hybrid = block_choices(experiment);
  p.converted = experiment.blocks();
  return p;
}

void add_work(json& out, const Planned& p, double tflops, const char* suffix = "") {
  out[std::string("tflops") + suffix] = tflops;
  out[std::string("gpu_hours") + suffix] = tflops / p.config.run.gpu_tflops / 3600;
}

/// The largest of the buckets: what training has to have room and time for.
analysis::VideoSize largest_video(const Planned& p) {
  const data::DataConfig& config = p.config.data;
  const auto video_of_bucket = [&](std::size_t b) { return stages::video_of(config.of_bucket(b), p.video.geometry); };
  analysis::VideoSize largest = video_of_bucket(0);
  const auto pixels = [](const analysis::VideoSize& v) { return v.frames * v.height * v.width; };
  for (std::size_t b = 1; b < config.bucket_count(); ++b) {
    const analysis::VideoSize video = video_of_bucket(b);
    if (pixels(video) > pixels(largest)) largest = video;
  }
  return largest;
}

json of_training(const Planned& p, const std::vector<analysis::BlockChoice>& blocks,
                 const finetune::FlowTrainingConfig& config) {
  const analysis::VideoSize video = largest_video(p);
  const analysis::ModelCost cost = analysis::model_cost(p.model, video, blocks);
  analysis::TrainingSetup setup;
  setup.batch = config.micro_batch;
  setup.compute_bytes = compute_type(config.precision, p.device) == at::kBFloat16 ? 2 : 4;
  setup.checkpointing = false;
  setup.ema = config.train.ema_decay.has_value();
  // A checkpoint holds weights and both moments, the result the weights once more.
  const std::int64_t copies = (setup.ema ? 4 : 3) * config.train.keep_checkpoints + 1;
  json out = {{"model_parameters", cost.parameters},
              {"disk_bytes", 4 * cost.parameters * copies},
              {"memory_per_gpu", to_json(analysis::training_memory(p.model, video, blocks, setup))}};
  add_work(out, p,
           kStepOverForward * cost.tflops_paper * static_cast<double>(config.train.iterations * config.global_batch));
  return out;
}

json of_prepare(const Planned& p) {
  json out = {{"disk_bytes_per_window", analysis::dataset_bytes(p.model, largest_video(p), 1)}};
  if (p.config.data.buckets.empty()) return out;
  out["buckets"] = json::array();
  for (std::size_t b = 0; b < p.config.data.bucket_count(); ++b) {
    const data::DataConfig bucket = p.config.data.of_bucket(b);
    out["buckets"].push_back(
        {{"size", bucket.size},
         {"frames", bucket.frames},
         {"disk_bytes_per_window", analysis::dataset_bytes(p.model, stages::video_of(bucket, p.video.geometry), 1)}});
  }
  return out;
}

json of_cache(const Planned& p) {
  const distill::CacheConfig& c = p.config.cache;
  const std::int64_t branches = c.guidance != 1 ? 2 : 1;
  const analysis::ModelCost cost = analysis::model_cost(p.model, p.video, p.teacher);
  analysis::CacheSetup setup;
  setup.prompts = c.seeds;  // trajectories
  setup.steps = std::min(c.keep_per_trajectory, c.sampler.steps * branches);
  setup.branches = 1;  // points are (step, branch) pairs
  setup.blocks = static_cast<std::int64_t>(p.converted.size());
  setup.store_targets = c.store_targets;
  setup.bytes = c.type == distill::CacheType::bf16 ? 2 : 4;
  json out = {{"disk_bytes_per_prompt", analysis::cache_bytes(p.model, p.video, setup)}, {"quota_bytes", c.quota}};
  add_work(out, p, cost.tflops_paper * static_cast<double>(c.seeds * c.sampler.steps * branches), "_per_prompt");
  return out;
}

json of_distill(const Planned& p) {
  analysis::TrainingSetup setup;
  setup.distill = true;
  setup.compute_bytes = compute_type(p.config.distill.precision, p.device) == at::kBFloat16 ? 2 : 4;
  const double target =
      p.config.cache.store_targets
          ? 0
          : analysis::block_cost(p.model, p.video, analysis::softmax_block().attention).attention_tflops;
  double tflops = 0;
  std::int64_t parameters = 0;
  for (const auto& item : p.converted) {
    const analysis::BlockCost cost = analysis::block_cost(p.model, p.video, item.second.spec, item.second.phi);
    tflops +=
        (kStepOverForward * cost.attention_tflops + target) * static_cast<double>(p.config.distill.train.iterations);
    parameters += cost.phi_parameters;
  }
  json out = {{"phi_parameters", parameters},
              {"disk_bytes", parameters * 4 * (3 * p.config.distill.train.keep_checkpoints + 1)},
              {"memory_per_gpu", to_json(analysis::training_memory(p.model, p.video, p.hybrid, setup))}};
  if (p.config.distill.source == distill::Source::online) {
    const distill::OnlineConfig online = p.config.distill.online.value_or(distill::OnlineConfig());
    const auto walks = static_cast<double>(online.rounds * online.trajectories * p.config.cache.sampler.steps *
                                           distill::branch_count(p.config.cache));
    tflops += walks * analysis::model_cost(p.model, p.video, p.teacher).tflops_paper;
    out["memory_of_points"] = distill::online_bytes(p.model, p.config.cache, p.config.distill,
                                                    static_cast<std::int64_t>(p.converted.size()), p.latent);
  }
  add_work(out, p, tflops);
  return out;
}

json of_sample(const Planned& p) {
  const stages::SampleConfig& s = p.config.sample;
  const std::int64_t branches = s.guidance != 1 ? 2 : 1;
  const bool teacher = s.model == stages::WhichModel::teacher;
  const analysis::ModelCost cost = analysis::model_cost(p.model, p.video, teacher ? p.teacher : p.hybrid);
  const bool recurrent = !teacher && s.resolved_form(p.converted) == models::AttentionForm::recurrent;
  // An ancestral sampler draws noise for the whole video at each step, and so goes step by step.
  const bool chunked = recurrent && cost.constant_memory && s.sampler.kind != diffusion::SamplerKind::euler_ancestral;
  json out = {{"model_parameters", cost.parameters},
              {"form", recurrent ? "recurrent" : "parallel"},
              {"constant_memory", chunked}};
  // The ring is of the compute type, which is what sampling runs in.
  const auto number_bytes = static_cast<std::int64_t>(at::elementSize(sampling::Request{}.compute));
  if (chunked)
    out["state_and_ring_bytes"] = analysis::sampling_state_bytes(cost, s.sampler.steps, branches, number_bytes);
  add_work(out, p,
           (recurrent ? cost.tflops_recurrent : cost.tflops_paper) * static_cast<double>(s.sampler.steps * branches),
           "_per_video");
  return out;
}

json of_export(const Planned& p) {
  const stages::ExportConfig& e = p.config.export_;
  const bool teacher = e.model == stages::WhichModel::teacher;
  const analysis::ModelCost cost = analysis::model_cost(p.model, p.video, teacher ? p.teacher : p.hybrid);
  const std::int64_t bytes = e.dtype == "f32" ? 4 : 2, copies = static_cast<std::int64_t>(e.formats.size());
  // Feature maps stay in float32; the headers are small.
  return {
      {"model", stages::to_string(e.model)},
      {"model_parameters", cost.parameters},
      {"disk_bytes", copies * ((cost.parameters - cost.phi_parameters) * bytes + cost.phi_parameters * 4 + (1 << 20))},
      {"host_memory_bytes", 2 * 4 * cost.parameters}};
}

json of_stage(const Planned& p, const std::string& stage) {
  if (stage == "export") return of_export(p);
  if (stage == "prepare") return of_prepare(p);
  if (stage == "pretrain") return of_training(p, p.teacher, p.config.pretrain);
  if (stage == "cache") return of_cache(p);
  if (stage == "distill") return of_distill(p);
  if (stage == "finetune") return of_training(p, p.hybrid, p.config.finetune);
  return of_sample(p);
}

/// Bytes of the memory that the run would have, and what it is called.
std::pair<std::int64_t, std::string> memory_of(const stages::RunConfig& run) {
  if (run.device == "cuda" || (run.device == "auto" && at::globalContext().hasCUDA()))
    return {run.gpu_memory, "one GPU (run.gpu_memory)"};
  return {static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE), "this machine"};
}

void warn_about_memory(json& needs, const stages::RunConfig& run, const std::string& stage) {
  std::int64_t bytes = 0;
  if (needs.contains("memory_per_gpu")) bytes = needs["memory_per_gpu"].at("total");
  if (needs.contains("state_and_ring_bytes"))
    bytes = needs["state_and_ring_bytes"].get<std::int64_t>() + 4 * needs["model_parameters"].get<std::int64_t>();
  const auto [limit, whose] = memory_of(run);
  if (bytes <= limit) return;
  const std::string warning =
      cat(stage, ": needs about ", human_bytes(bytes), " of memory, but ", whose, " has ", human_bytes(limit));
  needs["warning"] = warning;
  log::warn(warning);
}

}  // namespace

json requirements(stages::Experiment& experiment, const std::string& stage) {
  const Planned p = plan(experiment);
  json needs = of_stage(p, stage);
  warn_about_memory(needs, p.config.run, stage);
  return needs;
}

}  // namespace rehyat::app
