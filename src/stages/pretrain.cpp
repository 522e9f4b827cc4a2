#include "core/error.h"
#include "stages/builtin.h"
#include "stages/flow_training.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {
namespace {

class PretrainStage : public StageOf<TrainingResult> {
 public:
  std::string name() const override { return "pretrain"; }
  StageHelp help() const override {
    return {.summary = "train a softmax teacher from scratch",
            .example = "mpirun -n 2 rehyat pretrain -c configs/demo.yaml run.seed=2",
            .polls = true};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    require(!run.config().model.names_teacher(), [] {
      return "model.weights: found a teacher, expected none for pretrain; remove model.weights and give "
             "model.architecture";
    });
    require(run.config().pretrain.trainable == finetune::Trainable::all, [] {
      return "pretrain.trainable: found a part of the model, expected all of it for a model that begins at random; "
             "remove the key";
    });
    return {{"format", 2},
            {"prepare", run.folder("prepare").fingerprint()},
            {"model", {{"family", run.config().model.family}, {"architecture", run.models().new_model()}}},
            {"pretrain", deciding("pretrain", config::to_json(run.config().pretrain))},
            {"run", {{"seed", run.config().run.seed}}}};
  }
  std::vector<std::string> reads(Run&) const override { return {"prepare"}; }
  std::vector<std::filesystem::path> outputs(Run&) const override { return {"model"}; }
  Needs needs(Run& run) const override { return training_needs(run, {}, run.config().pretrain, name()); }

 protected:
  TrainingResult make(Run& run, const StageFolder& folder) const override {
    const models::VideoTransformer model =
        run.models().families().named(run.config().model.family).make(run.models().new_model());
    model->initialize(run.config().run.seed);
    return train_flow(run, folder, model, run.config().pretrain, name(), name());
  }

  std::string told(const Timed<TrainingResult>& timed) const override { return training_text(timed.result); }
};

}  // namespace

std::shared_ptr<const Stage> pretrain_stage() {
  return std::make_shared<PretrainStage>();
}

}  // namespace rehyat::stages
