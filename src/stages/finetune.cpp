#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/flow_training.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {
namespace {

/// The control, in which no block is converted, is the teacher trained on: there is nothing to distil.
TrainedModel start_of(Run& run) {
  return run.models().blocks().empty() ? TrainedModel::teacher : TrainedModel::distilled;
}

class FinetuneStage : public StageOf<TrainingResult> {
 public:
  std::string name() const override { return "finetune"; }
  StageHelp help() const override {
    return {.summary = "finetune the hybrid model by flow matching",
            .example = "mpirun -n 2 rehyat finetune -c configs/demo.yaml run.seed=2",
            .polls = true};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    return {{"format", 2},
            {"hybrid", models::to_json(run.models().blocks())},
            {"start", run.models().fingerprint(start_of(run))},
            {"prepare", run.folder("prepare").fingerprint()},
            {"finetune", deciding("finetune", config::to_json(run.config().finetune))},
            {"run", {{"seed", run.config().run.seed}}}};
  }
  std::vector<std::string> reads(Run& run) const override {
    std::vector<std::string> out = {"prepare"};
    for (const std::string& stage : run.models().made_by(start_of(run))) out.push_back(stage);
    return out;
  }
  std::string link_name(Run& run) const override { return link_to(name(), TrainedModel::finetuned, run); }
  bool is_goal(const std::set<std::string>&) const override { return true; }
  std::vector<std::filesystem::path> outputs(Run&) const override { return {"model"}; }
  Needs needs(Run& run) const override {
    return training_needs(run, run.models().blocks(), run.config().finetune, name());
  }

 protected:
  TrainingResult make(Run& run, const StageFolder& folder) const override {
    const TrainedModel start = start_of(run);
    return train_flow(run, folder, run.models().load(start), run.config().finetune, name(),
                      start == TrainedModel::teacher ? "finetune (control)" : "finetune");
  }

  std::string told(const Timed<TrainingResult>& timed) const override { return training_text(timed.result); }
};

}  // namespace

std::shared_ptr<const Stage> finetune_stage() {
  return std::make_shared<FinetuneStage>();
}

}  // namespace rehyat::stages
