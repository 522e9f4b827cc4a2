#include <functional>
#include <set>

#include "app/command.h"
#include "app/load_experiment.h"
#include "app/requirements.h"
#include "app/stages.h"
#include "core/log.h"
#include "core/strings.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using stages::Experiment;

/// A command that runs one stage and prints its summary.
Command stage_command(std::string name, std::string summary, json (Experiment::*run)(),
                      stages::Stage (Experiment::*stage)()) {
  Command command;
  command.name = name;
  command.summary = std::move(summary);
  command.example = "mpirun -n 2 rehyat " + name + " -c configs/demo.yaml run.seed=2";
  command.polls = true;
  command.run = [name, run, stage](Context& context) {
    Experiment experiment = load_experiment(context);
    if (name == "prepare") experiment.read_clips();
    const stages::Stage where = experiment.find(stage);
    if (context.arguments.dry_run) {
      const bool complete = where.complete();
      const json needs = requirements(experiment, name);
      context.result(
          {{"stage", name}, {"folder", where.folder().string()}, {"complete", complete}, {"needs", needs}},
          cat(name, ": ", complete ? "complete in " : "would work in ", where.folder().string(), "\n", needs.dump(2)));
      return;
    }
    json result = (experiment.*run)();
    result["folder"] = where.folder().string();
    context.result(result, cat(name, ": ", result.dump(2)));
  };
  return command;
}

/// One stage of `run`.
struct Step {
  std::string name;
  std::function<json()> run;
  std::function<json()> plan;  ///< for --dry-run: folder, complete, needs
};

/// The stages that the file describes, in order: those that a finetuned model needs, and of the rest those whose
/// section it names.
std::vector<Step> steps_of(Experiment& experiment, const std::set<std::string>& sections) {
  std::vector<Step> steps;
  const auto add = [&](const std::string& name, json (Experiment::*run)(), stages::Stage (Experiment::*stage)()) {
    const auto plan = [&experiment, name, stage] {
      const stages::Stage where = (experiment.*stage)();
      return json{{"folder", where.folder().string()},
                  {"complete", where.complete()},
                  {"needs", requirements(experiment, name)}};
    };
    steps.push_back({name, [&experiment, run] { return (experiment.*run)(); }, plan});
  };
  const auto add_made = [&](const std::string& name, json (*run)(Experiment&), stages::Stage (Experiment::*stage)()) {
    if (sections.count(name) == 0) return;
    add(name, nullptr, stage);
    steps.back().run = [&experiment, run] { return run(experiment); };
  };
  add("prepare", &Experiment::prepare, &Experiment::prepare_stage);
  if (experiment.config().model.weights.empty()) add("pretrain", &Experiment::pretrain, &Experiment::pretrain_stage);
  if (!experiment.blocks().empty()) {  // else there is nothing to distil
    if (experiment.needs_cache()) add("cache", &Experiment::cache, &Experiment::cache_stage);
    add("distill", &Experiment::distill, &Experiment::distill_stage);
  }
  add("finetune", &Experiment::finetune, &Experiment::finetune_stage);
  add_made("sample", run_sample, &Experiment::sample_stage);
  add_made("export", run_export, &Experiment::export_stage);
  if (sections.count("report") > 0)
    steps.push_back({"report", [&experiment] { return run_report(experiment, {}); },
                     [&experiment] { return report_needs(experiment); }});
  return steps;
}

}  // namespace

Command prepare_command() {
  Command command = stage_command("prepare", "videos and captions to latents and text embeddings", &Experiment::prepare,
                                  &Experiment::prepare_stage);
  data::DataConfig defaults;
  config::Fields fields;
  defaults.fields(fields);
  command.settings = config::documentation(fields, "data");
  command.example =
      "mpirun -n 2 rehyat prepare -c configs/demo.yaml run.seed=2\n"
      "  rehyat prepare -c FILE.yaml 'data.videos=shards/{000..127}.tar' data.captions=''";
  return command;
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
  return stage_command("distill",
                       "distil the feature maps of each block, from the cache or, with distill.source=online, from the "
                       "teacher running beside",
                       &Experiment::distill, &Experiment::distill_stage);
}
Command finetune_command() {
  return stage_command("finetune", "finetune the hybrid model by flow matching", &Experiment::finetune,
                       &Experiment::finetune_stage);
}

Command run_command() {
  Command command;
  command.name = "run";
  command.summary = "every stage that the file describes, in order, leaving out what is complete";
  command.example = "mpirun -n 2 rehyat run -c configs/demo.yaml";
  command.polls = true;
  command.run = [](Context& context) {
    Experiment experiment = load_experiment(context);
    experiment.read_clips();
    const std::vector<Step> steps = steps_of(experiment, sections_of(context.arguments));
    json results = json::object();
    for (const Step& step : steps) {
      if (context.arguments.dry_run) {
        results[step.name] = step.plan();
      } else {
        log::info("run: ", step.name, ", stage ", results.size() + 1, " of ", steps.size());
        results[step.name] = step.run();
      }
    }
    context.result(results, results.dump(2));
  };
  return command;
}

}  // namespace rehyat::app
