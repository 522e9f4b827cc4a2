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
    needs.disk_bytes_per_prompt = distill::point_bytes(
        model, config, config.seeds, static_cast<std::int64_t>(run.models().converted().size()), run.models().latent());
    needs.quota_bytes = config.quota;
    const auto walk = static_cast<double>(config.seeds * config.sampler.steps * distill::branch_count(config));
    needs.work_per_prompt = work_of(walk * forward_tflops(model, {}, video_of(run)), run.config().run);
    if (const std::optional<std::size_t> prompts = known_prompts(run)) {
      needs.disk_bytes = static_cast<std::int64_t>(*prompts) * *needs.disk_bytes_per_prompt;
      needs.work = work_of(static_cast<double>(*prompts) * needs.work_per_prompt->tflops, run.config().run);
      if (*needs.disk_bytes > config.quota)
        needs.warn(cat("cache: ", *prompts, " prompts need ", human_bytes(*needs.disk_bytes), ", but cache.quota is ",
                       human_bytes(config.quota)));
    }
    return needs;
  }

 protected:
  CacheResult make(Run& run, const StageFolder& folder) const override {
    distill::CachePlan plan;
    run.world().all_or_none([&] {
      plan = distill::plan_cache(run.models().architecture(), run.config().cache, prompt_count(run),
                                 run.models().converted(), run.models().latent(), folder.folder());
    });
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
  /// How many prompts the teacher will be run on, as far as it is known before the dataset is there: cache.max_prompts
  /// of them at most.
  static std::optional<std::size_t> known_prompts(Run& run) {
    const distill::CacheConfig& config = run.config().cache;
    const auto most = static_cast<std::size_t>(config.max_prompts);
    if (!config.prompts.empty()) {
      const std::size_t all = run.prompts().of_cache().size();
      return most > 0 ? std::min(all, most) : all;
    }
    const StageFolder dataset = run.folder("prepare");
    if (dataset.complete()) {
      const std::size_t all = run.dataset().open(dataset).captions(data::Split::train).size();
      return most > 0 ? std::min(all, most) : all;
    }
    return most > 0 ? std::optional(most) : std::nullopt;
  }
};

}  // namespace

std::shared_ptr<const Stage> cache_stage() {
  return std::make_shared<CacheStage>();
}

}  // namespace rehyat::stages
