#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "files/atomic_file.h"
#include "stages/plan.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// What CONTRIBUTING says of adding a stage: one class, and one line that puts it in the registry.
namespace rehyat::stages {
namespace {

using testing::expect_error;
using testing::TempFolder;
using toy::toy_config;

// ---- the toy stage ----
struct Sum {
  std::int64_t sum = 0;
  void fields(config::Fields& f) { f.add("sum", sum, "of the seed and one"); }
};

class SumStage : public StageOf<Sum> {
 public:
  std::string name() const override { return "sum"; }
  StageHelp help() const override { return {"adds one to the seed", "rehyat sum -c FILE.yaml"}; }
  nlohmann::ordered_json identity(Run& run) const override { return {{"seed", run.config().run.seed}}; }
  std::vector<std::string> reads(Run&) const override { return {}; }
  Needs needs(Run&) const override { return {.disk_bytes = 1}; }

 protected:
  Sum make(Run& run, const StageFolder& folder) const override {
    write_file_atomic(folder.folder() / "sum.txt", "made");
    return {static_cast<std::int64_t>(run.config().run.seed) + 1};
  }
};
// ---- until here; the line is registry.add(std::make_shared<SumStage>()) ----

/// Reads the first, and fails its own check where the config says so.
class SquareStage : public StageOf<Sum> {
 public:
  std::string name() const override { return "square"; }
  StageHelp help() const override { return {"squares the sum", "rehyat square -c FILE.yaml"}; }
  nlohmann::ordered_json identity(Run& run) const override { return {{"sum", run.folder("sum").fingerprint()}}; }
  std::vector<std::string> reads(Run&) const override { return {"sum"}; }
  Needs needs(Run&) const override { return {}; }
  bool is_goal(const std::set<std::string>& sections) const override { return sections.contains("sample"); }

 protected:
  Sum make(Run& run, const StageFolder&) const override {
    const Sum sum = read_result<Sum>(run.folder("sum")).result;
    const Sum square{sum.sum * sum.sum};
    if (run.config().report.title == "fails") throw FailedCheck("the square is too large", config::to_json(square));
    return square;
  }
};

Registry toys() {
  Registry registry;
  registry.add(std::make_shared<SumStage>());
  registry.add(std::make_shared<SquareStage>());
  return registry;
}

class ToyStage : public ::testing::Test {
 protected:
  std::unique_ptr<stages::Run> run(const std::string& more = "") {
    return std::make_unique<stages::Run>(toy_config(folder_ / "run", more), world_, registry_, families_);
  }
  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toys();
};

TEST_F(ToyStage, IsRunOnceAndFoundAgain) {
  const auto first = run();
  const auto result = run_stage(*first, registry_.at("sum"));
  EXPECT_EQ(result.at("sum"), 2);
  EXPECT_GE(result.at("seconds").get<double>(), 0);
  const StageFolder folder = first->folder("sum");
  EXPECT_TRUE(folder.complete());
  for (const char* name : {"sum.txt", "identity.json", "resolved.yaml", "environment.json", "elapsed.json", "log.txt"})
    EXPECT_TRUE(std::filesystem::exists(folder.folder() / name)) << name;
  std::filesystem::remove(folder.folder() / "sum.txt");  // it would come back were the work done again
  EXPECT_EQ(run_stage(*run(), registry_.at("sum")), result);
  EXPECT_FALSE(std::filesystem::exists(folder.folder() / "sum.txt"));
  EXPECT_EQ(read_result<Sum>(folder).result.sum, 2);
}

TEST_F(ToyStage, AResultWithoutWordsOfItsOwnIsToldByItsNames) {
  const nlohmann::ordered_json result = {{"sum", 2}, {"seconds", 75.2}};
  EXPECT_EQ(result_text(registry_.at("sum"), result, "run/sum-1"),
            "sum: complete in run/sum-1, 1 min 15 s\n"
            "  sum      2\n"
            "  seconds  1 min 15 s");
  EXPECT_EQ(result_text(registry_.at("sum"), {{"sum", 2}}, "run/sum-1"), "sum: not passed, in run/sum-1\n  sum  2");
}

TEST_F(ToyStage, ADryRunTouchesNothing) {
  const auto plan = plan_stage(*run(), registry_.at("square")).json;
  EXPECT_FALSE(plan.at("complete").get<bool>());
  EXPECT_EQ(plan.at("reads"), nlohmann::ordered_json({{"sum", false}}));
  EXPECT_EQ(plan_stage(*run(), registry_.at("sum")).json.at("needs").at("disk_bytes"), 1);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(ToyStage, NamesTheCommandToRunFirst) {
  expect_error<UserError>([&] { run_stage(*run(), registry_.at("square")); },
                          {"the stage 'sum' is not complete", "run `rehyat sum`"});
  run_stage(*run(), registry_.at("sum"));
  EXPECT_EQ(run_stage(*run(), registry_.at("square")).at("sum"), 4);
}

TEST_F(ToyStage, RunDoesWhatAGoalReadsFirst) {
  const auto of = run();
  EXPECT_TRUE(described_stages(*of, {"run", "data"}).empty());
  const auto stages = described_stages(*of, {"run", "sample"});
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0]->name(), "sum");
  EXPECT_EQ(stages[1]->name(), "square");
}

TEST_F(ToyStage, AFailedCheckTellsItsResultAndMarksNothing) {
  run_stage(*run(), registry_.at("sum"));
  const auto failing = run("report: { title: fails }\n");
  try {
    run_stage(*failing, registry_.at("square"));
    FAIL();
  } catch (const FailedCheck& failed) {
    EXPECT_EQ(failed.result().at("sum"), 4);
  }
  EXPECT_FALSE(failing->folder("square").complete());
}

}  // namespace
}  // namespace rehyat::stages
