#include "analysis/cost_table.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"

namespace rehyat::analysis {
namespace {

/// The examples that the kinds give of themselves.
std::vector<ops::AttentionSpec> specs_to_show() {
  std::vector<ops::AttentionSpec> specs;
  for (const ops::AttentionKind* kind : ops::built_in_kinds()) {
    for (const ops::AttentionSpec& spec : kind->examples()) specs.push_back(spec);
  }
  return specs;
}

}  // namespace

CostTable::CostTable(const CostSubject& subject) : subject_(subject) {
  for (const ops::AttentionSpec& spec : specs_to_show())
    rows_.push_back({ops::to_string(spec), block_cost(subject.model, subject.video, spec, subject.phi)});
  std::vector<std::string> seen;
  for (const BlockChoice& choice : subject.blocks) {
    const std::string name = ops::to_string(choice.attention);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    const auto count = std::count_if(subject.blocks.begin(), subject.blocks.end(),
                                     [&](const auto& other) { return ops::to_string(other.attention) == name; });
    rows_.push_back({cat("config, ", count, count == 1 ? " block: " : " blocks: ", name),
                     block_cost(subject.model, subject.video, choice.attention, choice.phi), true});
  }
}

nlohmann::ordered_json CostTable::json() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : rows_) {
    list.push_back(to_json(row.cost));
    list.back()["own"] = row.own;
  }
  nlohmann::ordered_json out = {{"parameters", model_parameters(subject_.model)},
                                {"phi_parameters_per_block", phi_parameters(subject_.model, subject_.phi)},
                                {"rows", list}};
  if (!subject_.blocks.empty()) out["model"] = to_json(model_cost(subject_.model, subject_.video, subject_.blocks));
  return out;
}

std::string CostTable::text() const {
  const VideoSize& video = subject_.video;
  const std::string out =
      cat(TextList()
              .add("parameters", human_count(model_parameters(subject_.model)))
              .add("feature maps", cat(human_count(phi_parameters(subject_.model, subject_.phi)), " a block"))
              .add("video", cat(video.frames, " frames at ", video.height, " x ", video.width))
              .text(),
          "\n", rows_text());
  if (subject_.blocks.empty()) return out;
  return out + "\n" + model_text(model_cost(subject_.model, video, subject_.blocks));
}

std::string CostTable::rows_text() const {
  // Three decimals of one unit, so that rows can be compared; the unit is one in which the largest is at least 0.1.
  double largest = 0;
  for (const Row& row : rows_) largest = std::max(largest, row.cost.block_tflops_paper);
  double scale = 1;
  const char* unit = "TFLOP";
  if (largest < 0.1) scale = 1e3, unit = "GFLOP";
  if (largest < 1e-4) scale = 1e6, unit = "MFLOP";
  const auto flop = [&](double tera) {
    std::ostringstream out;
    out << std::fixed << std::setprecision(3) << scale * tera;
    return out.str();
  };
  TextTable table({{"attention of the block"},
                   {"paper", true},
                   {"recurrent", true},
                   {"attention", true},
                   {"state", true},
                   {"ring", true}});
  for (const auto& [name, cost, own] : rows_) {
    const auto& recurrent = cost.block_tflops_recurrent;
    table.row({name, flop(cost.block_tflops_paper), recurrent ? flop(*recurrent) : "-", flop(cost.attention_tflops),
               human_bytes(cost.state_bytes), human_bytes(cost.ring_bytes)});
  }
  return cat(
      table.text(), unit,
      " of one block, 2 a multiply-accumulate; state: S and z in float32; ring: keys and values of the overlap in ",
      "bf16\n");
}

std::string CostTable::model_text(const ModelCost& cost) const {
  return "the model as configured\n" +
         TextList()
             .add("one pass",
                  cat(human_flop(cost.tflops_paper), " in the paper's count, ", human_flop(cost.tflops_recurrent),
                      " recurrently, ", human_flop(cost.tflops_softmax), " with no block converted"))
             .add("parameters",
                  cat(human_count(cost.parameters), ", of which feature maps ", human_count(cost.phi_parameters)))
             .add("states", cat(human_bytes(cost.state_bytes), ", rings ", human_bytes(cost.ring_bytes)))
             .add("sampled", cost.constant_memory ? "chunk by chunk, in memory that does not grow with the video"
                                                  : "step by step: not every block is recurrent with one chunk size")
             .text("  ");
}

}  // namespace rehyat::analysis
