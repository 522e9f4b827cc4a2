#include "analysis/memory.h"
#include "comm/root.h"
#include "core/strings.h"
#include "evaluate/verify_model.h"
#include "stages/builtin.h"
#include "stages/costs.h"
#include "stages/run.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {
namespace {

class VerifyStage : public StageOf<evaluate::VerifyResult> {
 public:
  std::string name() const override { return "verify"; }
  StageHelp help() const override {
    return {.summary = "check on your own checkpoint that the forms agree and that reloading changes nothing",
            .example = "rehyat verify -c configs/demo.yaml"};
  }
  nlohmann::ordered_json identity(Run& run) const override {
    const VerifyConfig& config = run.config().verify;
    return {{"format", 2},
            {"model", run.models().fingerprint(config.model)},
            {"verify", deciding("verify", config::to_json(config))},
            {"run", {{"seed", run.config().run.seed}}}};
  }
  std::vector<std::string> reads(Run& run) const override { return run.models().made_by(run.config().verify.model); }
  std::string link_name(Run& run) const override { return link_to(name(), run.config().verify.model, run); }
  bool is_goal(const std::set<std::string>& sections) const override { return sections.contains(name()); }
  bool always_anew() const override { return true; }

  Needs needs(Run& run) const override {
    const VerifyConfig& config = run.config().verify;
    Needs needs;
    needs.model = to_string(config.model);
    needs.model_parameters = model_cost(run, blocks_of(run, config.model)).parameters;
    needs.disk_bytes = 4 * *needs.model_parameters;             // a copy to read back, for as long as it takes
    needs.host_memory_bytes = 2 * 8 * *needs.model_parameters;  // float64, and what was read back
    return needs;
  }

 protected:
  evaluate::VerifyResult make(Run& run, const StageFolder& /*folder*/) const override {
    const VerifyConfig& config = run.config().verify;
    const models::VideoTransformer model = run.models().load(config.model);
    const std::vector<std::int64_t> latent = run.models().latent();
    return comm::from_root<evaluate::VerifyResult>(run.world(), [&] {
      evaluate::VerifyResult result =
          evaluate::verify_model(model, run.models().families(), {latent[1], latent[2]}, run.config().run.seed);
      result.model = cat("the ", to_string(config.model), " model in ", run.config().run.dir.string());
      result.tolerance = config.tolerance;
      const std::string complaint = result.complaint();
      if (!complaint.empty())
        throw FailedCheck(cat("[verify] ", result.model, ": ", complaint), config::to_json(result));
      return result;
    });
  }
  std::string told(const Timed<evaluate::VerifyResult>& timed) const override { return timed.result.text(); }
};

}  // namespace

std::shared_ptr<const Stage> verify_stage() {
  return std::make_shared<VerifyStage>();
}

}  // namespace rehyat::stages
