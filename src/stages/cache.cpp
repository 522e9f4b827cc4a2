#include <algorithm>

#include "analysis/memory.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "distill/collect.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/teacher.h"

namespace rehyat::stages {
namespace {

struct CacheResult {
  std::int64_t trajectories = 0, bytes = 0;
  std::vector<std::int64_t> blocks;

  void fields(config::Fields& f) {
    f.add("trajectories", trajectories, "of the teacher");
    f.add("bytes", bytes, "of all points");
    f.add("blocks", blocks, "whose inputs are stored");
  }
};

class CacheStage : public StageOf<CacheResult> {
 public:
  std::string name() const override { return "cache"; }
  StageHelp help() const override {
    return {.summary = "store the teacher's activations over its trajectories",
            .example = "mpirun -n 2 rehyat cache -c configs/demo.yaml run.seed=2",
            .polls = true};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    return {{"format", 2},
            {"teacher", run.models().fingerprint(TrainedModel::teacher)},
            prompts_identity(run),
            {"cache", trajectory_settings(run)},
            {"converted blocks", run.models().converted()},
            {"latent size", run.models().latent()},
            {"run", {{"seed", run.config().run.seed}}}};
  }
  std::vector<std::string> reads(Run& run) const override {
    std::vector<std::string> out = prompts_come_from(run);
    for (const std::string& stage : run.models().made_by(TrainedModel::teacher)) out.push_back(stage);
    return out;
  }

  std::vector<std::filesystem::path> outputs(Run&) const override { return {"manifest.json"}; }

  Needs needs(Run& run) const override {
    const distill::CacheConfig& config = run.config().cache;
    const models::Architecture& model = run.models().architecture();
    Needs needs;
    needs.model = to_string(TrainedModel::teacher);
    needs.model_parameters = model_cost(run, {}).parameters;
    needs.model_bytes = kWeightBytes * *needs.model_parameters;
    needs.disk_bytes_per_prompt = distill::point_bytes(
        model, config, config.seeds, static_cast<std::int64_t>(run.models().converted().size()), run.models().latent());
    needs.quota_bytes = config.quota;
    if (*needs.disk_bytes_per_prompt > 0) needs.quota_prompts = config.quota / *needs.disk_bytes_per_prompt;
    const double forward = forward_tflops(model, {}, video_of(run));
    needs.tflops_per_step = static_cast<double>(distill::branch_count(config)) * forward;
    needs.work_per_prompt =
        work_of(static_cast<double>(config.seeds) * distill::mean_evaluations(config) * forward, run.config().run);
    if (const std::optional<std::size_t> prompts = prompts_at_most(run)) {
      needs.prompts = static_cast<std::int64_t>(*prompts);
      const distill::WalkLength walks =
          distill::cache_walks(config, run.config().run.seed, *needs.prompts * config.seeds);
      needs.steps = walks.steps;
      needs.disk_bytes = *needs.prompts * *needs.disk_bytes_per_prompt;
      needs.work = work_of(static_cast<double>(walks.evaluations) * forward, run.config().run);
      // What is known for sure is refused by `check`.
      if (*needs.disk_bytes > config.quota && !known_prompts(run))
        needs.warn(cat("cache: ", *prompts, " prompts, as cache.max_prompts allows, need ",
                       human_bytes(*needs.disk_bytes), ", but cache.quota is ", human_bytes(config.quota),
                       "; lower cache.max_prompts, cache.seeds or cache.keep_per_trajectory, or raise cache.quota"));
    }
    needs.smaller_memory = "data.size or data.frames";
    needs.smaller_disk = "cache.max_prompts, cache.seeds or cache.keep_per_trajectory";
    return needs;
  }

  void check(Run& run, const StageFolder& folder) const override {
    if (const std::optional<std::size_t> prompts = known_prompts(run)) plan_of(run, folder, *prompts);
  }

 protected:
  CacheResult make(Run& run, const StageFolder& folder) const override {
    distill::CachePlan plan;
    run.world().all_or_none([&] { plan = plan_of(run, folder, prompt_count(run)); });
    log::info("cache: ", plan.trajectories, " trajectories, ", human_bytes(plan.bytes), ", of which ",
              human_bytes(plan.left), " are left to write");
    distill::Prompts prompts = teacher_prompts(run, folder, name());
    distill::TeacherWalk walk = teacher_walk(run, run.models().load(TrainedModel::teacher), std::move(prompts));
    distill::collect_activations(walk, plan, data::cache_folder(folder.folder(), folder.identity()), run.world());
    return {plan.trajectories, plan.bytes, walk.blocks};
  }

  std::string told(const Timed<CacheResult>& timed) const override {
    const CacheResult& result = timed.result;
    std::vector<std::string> blocks;
    for (const std::int64_t block : result.blocks) blocks.push_back(cat(block));
    return TextList()
        .add("trajectories", cat(result.trajectories))
        .add("on the disk", human_bytes(result.bytes))
        .add("blocks", cat(blocks.size(), ": ", join(blocks, ", ")))
        .text();
  }

 private:
  static distill::CachePlan plan_of(Run& run, const StageFolder& folder, std::size_t prompts) {
    return distill::plan_cache(run.models().architecture(), run.config().cache, prompts, run.models().converted(),
                               run.models().latent(), folder.folder());
  }

  /// How many prompts the teacher will be run on; nothing where captions have to be counted that are not prepared yet.
  static std::optional<std::size_t> known_prompts(Run& run) {
    std::size_t all = 0;
    if (!run.config().cache.prompts.empty()) {  // they need no videos
      all = run.prompts().of_cache().size();
    } else if (run.missing().empty() && run.folder("prepare").complete()) {
      all = run.dataset().open(run.folder("prepare")).captions(data::Split::train).size();
    } else {
      return std::nullopt;
    }
    const auto most = static_cast<std::size_t>(run.config().cache.max_prompts);
    return most > 0 ? std::min(all, most) : all;
  }

  /// As known_prompts, or else cache.max_prompts, which there may be fewer of.
  static std::optional<std::size_t> prompts_at_most(Run& run) {
    if (const auto known = known_prompts(run)) return known;
    const auto most = static_cast<std::size_t>(run.config().cache.max_prompts);
    return most > 0 ? std::optional(most) : std::nullopt;
  }
};

}  // namespace

std::shared_ptr<const Stage> cache_stage() {
  return std::make_shared<CacheStage>();
}

}  // namespace rehyat::stages
