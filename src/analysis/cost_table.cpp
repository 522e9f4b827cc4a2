#include "analysis/cost_table.h"

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "core/strings.h"
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

/// The unit that FLOPs are printed in, so that those of a small model are not all zeros. JSON always has 10^12.
struct Unit {
  double scale = 1;
  const char* name = "TFLOP";
};

Unit unit_for(double tflops) {
  if (tflops >= 0.1) return {};
  return tflops >= 1e-4 ? Unit{1e3, "GFLOP"} : Unit{1e6, "MFLOP"};
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
  const std::string out = cat("parameters ", human_count(model_parameters(subject_.model)), ", feature maps ",
                              human_count(phi_parameters(subject_.model, subject_.phi)), " a block; ", video.frames,
                              " frames at ", video.height, " x ", video.width, "\n\n", rows_text());
  if (subject_.blocks.empty()) return out;
  return out + model_text(model_cost(subject_.model, video, subject_.blocks));
}

std::string CostTable::rows_text() const {
  double largest = 0;
  for (const Row& row : rows_) largest = std::max(largest, row.cost.block_tflops_paper);
  const Unit unit = unit_for(largest);
  std::ostringstream out;
  out << std::fixed << std::setprecision(3) << std::left << std::setw(46) << "attention of the block" << std::right
      << std::setw(10) << "paper" << std::setw(12) << "recurrent" << std::setw(12) << "attention" << std::setw(12)
      << "state" << std::setw(12) << "ring"
      << "\n";
  for (const auto& [name, cost, own] : rows_) {
    out << std::left << std::setw(46) << name << std::right << std::setw(10) << unit.scale * cost.block_tflops_paper
        << std::setw(12);
    if (cost.block_tflops_recurrent) {
      out << unit.scale * *cost.block_tflops_recurrent;
    } else {
      out << "-";
    }
    out << std::setw(12) << unit.scale * cost.attention_tflops << std::setw(12) << human_bytes(cost.state_bytes)
        << std::setw(12) << human_bytes(cost.ring_bytes) << "\n";
  }
  out << unit.name
      << " of one block (2 a multiply-accumulate); state: S and z in float32; ring: keys and values of the "
         "overlap in bf16.";
  return out.str();
}

std::string CostTable::model_text(const ModelCost& cost) const {
  const Unit unit = unit_for(cost.tflops_paper);
  std::ostringstream out;
  out << std::fixed << std::setprecision(3) << "\nThe model as configured, one pass: " << unit.scale * cost.tflops_paper
      << " " << unit.name << " in the paper's count, " << unit.scale * cost.tflops_recurrent << " recurrently, "
      << unit.scale * cost.tflops_softmax << " with no block converted; " << human_count(cost.parameters)
      << " parameters, of which feature maps " << human_count(cost.phi_parameters) << "; "
      << human_bytes(cost.state_bytes) << " of states, " << human_bytes(cost.ring_bytes) << " of rings; "
      << (cost.constant_memory ? "constant memory: it is sampled chunk by chunk."
                               : "not every block is recurrent with one chunk size: it is sampled step by step.");
  return out.str();
}

}  // namespace rehyat::analysis
