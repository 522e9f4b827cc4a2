#include <memory>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "distill/collect.h"
#include "distill/distill.h"
#include "distill/online.h"
#include "pipeline/experiment.h"
#include "pipeline/prompt_file.h"

/// The stages `cache` and `distill`.
namespace rehyat::pipeline {

using json = nlohmann::ordered_json;

json Experiment::trajectory_settings() const {
  json settings = config::to_json(config_.cache);
  settings.erase("quota");
  if (!config_.cache.prompts.empty()) settings["prompts"] = read_prompts(config_.cache.prompts);
  return settings;
}

std::vector<std::int64_t> Experiment::converted() {
  std::vector<std::int64_t> out;
  for (const auto& item : blocks()) out.push_back(item.first);
  return out;
}

std::vector<distill::Prompt> Experiment::teacher_prompts() {
  std::vector<std::string> texts =
      config_.cache.prompts.empty() ? dataset().captions(data::Split::train) : read_prompts(config_.cache.prompts);
  const auto most = static_cast<std::size_t>(config_.cache.max_prompts);
  if (most > 0 && texts.size() > most) texts.resize(most);
  distill::check_prompts(config_.cache, texts.size());  // before anything is computed
  std::vector<distill::Prompt> prompts;
  for (const std::string& text : texts) prompts.push_back({text, encode_prompt(text)});
  return prompts;
}

json Experiment::cache() {
  return run(cache_stage(), [&](const Stage& stage) {
    distill::CachePlan plan;
    world_.together([&] {
      plan =
          distill::plan_cache(architecture(), config_.cache, teacher_prompts(), converted(), latent(), stage.folder());
    });
    log::info("cache: ", plan.trajectories, " trajectories, ", human_bytes(plan.bytes), ", of which ",
              human_bytes(plan.left), " are left to write");
    models::WanTransformer teacher = load(WhichModel::teacher);
    distill::collect_activations(teacher, config_.cache, plan, encode_prompt(""), config_.run.seed,
                                 {{"stage", stage.fingerprint()}}, stage.folder(), world_);
    return json{{"trajectories", plan.trajectories}, {"bytes", plan.bytes}, {"blocks", plan.blocks}};
  });
}

std::unique_ptr<distill::PointSource> Experiment::point_source(const models::WanTransformer& teacher) {
  std::unique_ptr<distill::PointSource> source;
  world_.together([&] {
    if (needs_cache()) {
      const Stage stage = cache_stage();
      stage.require_complete("cache");
      source = std::make_unique<distill::CachedPoints>(
          data::ActivationCache(stage.folder(), {{"stage", stage.fingerprint()}}));
      return;
    }
    distill::TeacherWalk walk{teacher, config_.cache, converted(), latent(), encode_prompt(""), config_.run.seed};
    source = std::make_unique<distill::OnlinePoints>(std::move(walk), teacher_prompts(), config_.distill, world_);
  });
  return source;
}

json Experiment::distill() {
  return run(distill_stage(), [&](const Stage& stage) {
    const models::WanTransformer teacher = load(WhichModel::teacher);
    const std::unique_ptr<distill::PointSource> source = point_source(teacher);
    const auto results = distill::distill(teacher, blocks(), *source, config_.distill, config_.run.seed,
                                          stage.fingerprint(), stage.folder(), world_);
    set_threads();
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

}  // namespace rehyat::pipeline
