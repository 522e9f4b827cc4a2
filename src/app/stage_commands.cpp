#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "core/strings.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using pipeline::Experiment;

/// A command that runs one stage and prints its summary.
Command stage_command(std::string name, std::string summary, json (Experiment::*run)(),
                      pipeline::Stage (Experiment::*stage)()) {
  Command command;
  command.name = name;
  command.summary = std::move(summary);
  command.example = "mpirun -n 2 rehyat " + name + " -c configs/demo.yaml run.seed=2";
  command.polls = true;
  command.run = [name, run, stage](Context& context) {
    Experiment experiment = load_experiment(context);
    std::optional<pipeline::Stage> found;
    context.world.together([&] { found = (experiment.*stage)(); });
    const pipeline::Stage& where = *found;
    if (context.arguments.dry_run) {
      const bool complete = where.complete();
      context.result({{"stage", name},
                      {"folder", where.folder().string()},
                      {"complete", complete},
                      {"needs", requirements(experiment, name)}},
                     cat(name, ": ", complete ? "complete in " : "would work in ", where.folder().string(), "\n",
                         requirements(experiment, name).dump(2)));
      return;
    }
    json result = (experiment.*run)();
    result["folder"] = where.folder().string();
    context.result(result, cat(name, ": ", result.dump(2)));
  };
  return command;
}

}  // namespace

Command prepare_command() {
  return stage_command("prepare", "videos and captions to latents and text embeddings", &Experiment::prepare,
                       &Experiment::prepare_stage);
}
Command pretrain_command() {
  return stage_command("pretrain", "train a softmax teacher from scratch", &Experiment::pretrain,
                       &Experiment::pretrain_stage);
}
Command cache_command() {
  return stage_command("cache", "store the teacher's activations over its trajectories", &Experiment::cache,
                       &Experiment::cache_stage);
}
Command distill_command() {
  return stage_command("distill", "distil the feature maps of each block", &Experiment::distill,
                       &Experiment::distill_stage);
}
Command finetune_command() {
  return stage_command("finetune", "finetune the hybrid model by flow matching", &Experiment::finetune,
                       &Experiment::finetune_stage);
}

Command run_command() {
  Command command;
  command.name = "run";
  command.summary = "every stage in order, leaving out what is complete";
  command.example = "mpirun -n 2 rehyat run -c configs/demo.yaml";
  command.polls = true;
  command.run = [](Context& context) {
    Experiment experiment = load_experiment(context);
    json results;
    if (context.arguments.dry_run) {
      for (const char* name : {"prepare", "pretrain", "cache", "distill", "finetune", "sample"})
        results[name] = requirements(experiment, name);
      context.result(results, results.dump(2));
      return;
    }
    results["prepare"] = experiment.prepare();
    if (experiment.config().model.weights.empty()) results["pretrain"] = experiment.pretrain();
    results["cache"] = experiment.cache();
    results["distill"] = experiment.distill();
    results["finetune"] = experiment.finetune();
    context.result(results, results.dump(2));
  };
  return command;
}

}  // namespace rehyat::app
