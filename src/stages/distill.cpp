#include "stages/distill.h"

#include "analysis/memory.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "distill/online.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/machine.h"
#include "stages/setting_sides.h"
#include "stages/teacher.h"
#include "tensor/host_copy.h"

namespace rehyat::stages {

void DistillResult::fields(config::Fields& f) {
  f.add("window_only", window_only, "mean relative error with the linear branch off");
  f.add("untrained", untrained, "mean relative error with the feature maps as they start");
  f.add("distilled", distilled, "mean relative error in the end");
  f.list("blocks", blocks, "each of them");
}

namespace {

bool from_cache(Run& run) {
  return run.config().distill.source == distill::Source::cache;
}

std::unique_ptr<distill::PointSource> point_source(Run& run, const models::VideoTransformer& teacher,
                                                   distill::Prompts prompts) {
  std::unique_ptr<distill::PointSource> source;
  run.world().all_or_none([&] {
    if (from_cache(run)) {
      const StageFolder cache = run.folder("cache");
      source = std::make_unique<distill::CachedPoints>(
          data::ActivationCache(cache.folder(), cache.identity()),
          [copies = CopyStream(run.device().get())](at::IntArrayRef shape, at::ScalarType type) {
            return copies.host_memory(shape, type);
          });
      return;
    }
    source = std::make_unique<distill::OnlinePoints>(teacher_walk(run, teacher, std::move(prompts)),
                                                     run.config().distill, run.world());
  });
  return source;
}

class DistillStage : public StageOf<DistillResult> {
 public:
  std::string name() const override { return "distill"; }
  StageHelp help() const override {
    return {.summary =
                "distil the feature maps of each block, from the cache or, with distill.source=online, from the "
                "teacher running beside",
            .example = "mpirun -n 2 rehyat distill -c configs/demo.yaml run.seed=2",
            .polls = true};
  }

  nlohmann::ordered_json identity(Run& run) const override {
    const distill::DistillConfig& config = run.config().distill;
    nlohmann::ordered_json settings = config::to_json(config);
    if (!from_cache(run)) settings["online"] = config::to_json(config.online.value_or(distill::OnlineConfig()));
    nlohmann::ordered_json out = {{"format", 3},
                                  {"hybrid", models::to_json(run.models().blocks())},
                                  {"teacher", run.models().fingerprint(TrainedModel::teacher)},
                                  {"distill", deciding("distill", settings)},
                                  {"run", {{"seed", run.config().run.seed}}}};
    if (from_cache(run)) {
      out["points"] = run.folder("cache").fingerprint();
    } else {
      out["points"] = prompts_identity(run).second;
      out["cache"] = trajectory_settings(run);
      out["latent size"] = run.models().latent();
    }
    return out;
  }

  std::vector<std::string> reads(Run& run) const override {
    std::vector<std::string> out = run.models().made_by(TrainedModel::teacher);
    if (from_cache(run)) {
      out.emplace_back("cache");
    } else {
      for (const std::string& stage : prompts_come_from(run)) out.push_back(stage);
    }
    return out;
  }

  std::vector<std::filesystem::path> outputs(Run& run) const override {
    std::vector<std::filesystem::path> out;
    for (const std::int64_t block : run.models().converted()) {
      out.emplace_back(distill::block_name(block) + ".safetensors");
      out.emplace_back(std::filesystem::path(distill::block_name(block)) / distill::kBlockMarker);
    }
    return out;
  }

  Needs needs(Run& run) const override {
    const ExperimentConfig& config = run.config();
    const models::Architecture& model = run.models().architecture();
    const models::BlockMap& blocks = run.models().blocks();
    const analysis::VideoSize video = video_of(run);
    const double target =
        config.cache.store_targets
            ? 0
            : analysis::block_cost(model, video, analysis::softmax_block().attention).attention_tflops;
    double tflops = 0;
    Needs needs;
    needs.phi_parameters = 0;
    for (const auto& item : blocks) {
      const analysis::BlockCost cost = analysis::block_cost(model, video, item.second.spec, item.second.phi);
      tflops +=
          (kStepOverForward * cost.attention_tflops + target) * static_cast<double>(config.distill.train.iterations);
      *needs.phi_parameters += cost.phi_parameters;
    }
    analysis::TrainingSetup setup;
    setup.distill = true;
    setup.compute_bytes = config.distill.precision == Precision::bf16 ? 2 : 4;
    needs.disk_bytes = *needs.phi_parameters * 4 * (3 * config.distill.train.keep_checkpoints + 1);
    needs.memory_per_gpu = analysis::training_memory(model, video, block_choices(blocks, model.layers), setup);
    if (!from_cache(run)) {
      const distill::WalkLength walks = distill::online_walks(config.cache, config.distill, config.run.seed);
      tflops += static_cast<double>(walks.evaluations) * forward_tflops(model, {}, video);
      needs.memory_of_points = distill::online_bytes(model, config.cache, config.distill,
                                                     static_cast<std::int64_t>(blocks.size()), run.models().latent());
    }
    needs.steps = config.distill.train.iterations * std::ssize(blocks);
    needs.work = work_of(tflops, config.run);
    needs.smaller_memory = "data.size or data.frames";
    needs.smaller_disk = "distill.keep_checkpoints";
    return needs;
  }

  void check(Run& run, const StageFolder& /*folder*/) const override {
    if (from_cache(run)) return;
    const ExperimentConfig& config = run.config();
    distill::check_online(run.models().architecture(), config.cache, config.distill, std::ssize(run.models().blocks()),
                          run.models().latent());
  }

 protected:
  DistillResult make(Run& run, const StageFolder& folder) const override {
    distill::Prompts prompts = from_cache(run) ? distill::Prompts() : teacher_prompts(run, folder, name());
    const models::VideoTransformer teacher = run.models().load(TrainedModel::teacher);
    const std::unique_ptr<distill::PointSource> source = point_source(run, teacher, std::move(prompts));
    distill::DistillConfig config = run.config().distill;
    if (!config.keep_on_host) config.keep_on_host = host_memory() / run.world().local_size() * 2 / 5;
    const auto results = distill::distill(
        {teacher, run.models().blocks(), config, run.config().run.seed, folder.fingerprint(), folder.folder()}, *source,
        run.world());
    run.device().set_threads();
    DistillResult out;
    const auto count = static_cast<double>(results.size());
    for (const distill::BlockResult& block : results) {
      out.blocks.push_back(block);
      out.window_only += block.window_only / count;
      out.untrained += block.untrained / count;
      out.distilled += block.distilled / count;
    }
    return out;
  }

  std::string told(const Timed<DistillResult>& timed) const override {
    const DistillResult& result = timed.result;
    TextTable table({{"block"}, {"window only", true}, {"untrained", true}, {"distilled", true}, {"time", true}});
    for (const distill::BlockResult& block : result.blocks)
      table.row({cat(block.block), human_number(block.window_only), human_number(block.untrained),
                 human_number(block.distilled), human_seconds(block.seconds)});
    table.row(
        {"mean", human_number(result.window_only), human_number(result.untrained), human_number(result.distilled), ""});
    return table.text() + "relative errors of attention on held-out points; window only: the linear branch off";
  }
};

}  // namespace

std::shared_ptr<const Stage> distill_stage() {
  return std::make_shared<DistillStage>();
}

}  // namespace rehyat::stages
