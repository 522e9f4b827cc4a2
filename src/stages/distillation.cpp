#include <algorithm>
#include <memory>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "data/dataset/text_table.h"
#include "distill/collect.h"
#include "distill/distill.h"
#include "distill/online.h"
#include "files/atomic_file.h"
#include "stages/experiment.h"
#include "stages/prompt_file.h"

/// The stages `cache` and `distill`.
namespace rehyat::stages {

using json = nlohmann::ordered_json;

const std::vector<std::string>& Experiment::cache_prompts() {
  if (cache_prompts_.empty()) cache_prompts_ = read_prompts(config_.cache.prompts);
  return cache_prompts_;
}

json Experiment::trajectory_settings() {
  json settings = config::to_json(config_.cache);
  settings.erase("quota");
  if (!config_.cache.prompts.empty()) settings["prompts"] = cache_prompts();
  return settings;
}

std::vector<std::int64_t> Experiment::converted() {
  std::vector<std::int64_t> out;
  for (const auto& item : blocks()) out.push_back(item.first);
  return out;
}

std::size_t Experiment::prompt_count() {
  const std::size_t all =
      config_.cache.prompts.empty() ? dataset().captions(data::Split::train).size() : cache_prompts().size();
  const auto most = static_cast<std::size_t>(config_.cache.max_prompts);
  const std::size_t count = most > 0 ? std::min(all, most) : all;
  distill::check_prompts(config_.cache, count);
  return count;
}

distill::Prompts Experiment::teacher_prompts(const Stage& stage, const std::string& command) {
  std::size_t count = 0;
  std::vector<std::string> texts;
  world_.together([&] {
    count = prompt_count();
    if (config_.cache.prompts.empty()) return;
    texts = cache_prompts();
    texts.resize(count);
  });
  if (texts.empty()) {
    return {count,
            [this, numbers = dataset().captions(data::Split::train)](std::size_t i) {
              return dataset().text(numbers.at(i));
            },
            dataset().empty_text()};
  }
  texts.insert(texts.begin(), "");
  const json entry = data::write_text_table(texts, {*encoders_.text, stage.folder(), command, {}}, world_);
  // It may be larger than the teacher, which comes next.
  forget_encoders();
  std::shared_ptr<data::TextTable> table;
  world_.together([&] {
    if (world_.rank() == 0) data::remove_text_parts(stage.folder());
    table = std::make_shared<data::TextTable>(stage.folder(), entry, command);
  });
  return {count, [table](std::size_t i) { return table->at(i + 1); }, table->at(0)};
}

json Experiment::cache() {
  return run(cache_stage(), {"manifest.json"}, [&](const Stage& stage) {
    distill::CachePlan plan;
    world_.together([&] {
      plan = distill::plan_cache(architecture(), config_.cache, prompt_count(), converted(), latent(), stage.folder());
    });
    log::info("cache: ", plan.trajectories, " trajectories, ", human_bytes(plan.bytes), ", of which ",
              human_bytes(plan.left), " are left to write");
    distill::Prompts prompts = teacher_prompts(stage, "cache");
    distill::TeacherWalk walk = teacher_walk(load(WhichModel::teacher), std::move(prompts));
    distill::collect_activations(walk, plan, data::cache_folder(stage.folder(), stage.identity()), world_);
    return json{{"trajectories", plan.trajectories}, {"bytes", plan.bytes}, {"blocks", walk.blocks}};
  });
}

distill::TeacherWalk Experiment::teacher_walk(const models::VideoTransformer& teacher, distill::Prompts prompts) {
  return {teacher, config_.cache, converted(), latent(), std::move(prompts), config_.run.seed};
}

std::unique_ptr<distill::PointSource> Experiment::point_source(const models::VideoTransformer& teacher,
                                                               distill::Prompts prompts) {
  std::unique_ptr<distill::PointSource> source;
  world_.together([&] {
    if (needs_cache()) {
      const Stage stage = cache_stage();
      stage.require_complete();
      source = std::make_unique<distill::CachedPoints>(data::ActivationCache(stage.folder(), stage.identity()));
      return;
    }
    source =
        std::make_unique<distill::OnlinePoints>(teacher_walk(teacher, std::move(prompts)), config_.distill, world_);
  });
  return source;
}

json Experiment::distill() {
  std::vector<std::filesystem::path> maps;
  for (const std::int64_t block : converted()) {
    maps.push_back(distill::block_name(block) + ".safetensors");
    maps.push_back(distill::block_name(block) + ".json");
  }
  return run(distill_stage(), maps, [&](const Stage& stage) {
    distill::Prompts prompts = needs_cache() ? distill::Prompts() : teacher_prompts(stage, "distill");
    const models::VideoTransformer teacher = load(WhichModel::teacher);
    const std::unique_ptr<distill::PointSource> source = point_source(teacher, std::move(prompts));
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

}  // namespace rehyat::stages
