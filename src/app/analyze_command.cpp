#include <algorithm>
#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "core/strings.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

struct AnalyzeOptions {
  std::string config;
  std::vector<std::string> overrides;
  std::optional<std::int64_t> frames, height, width;
};

/// What each kind has to show.
std::vector<ops::AttentionSpec> specs_to_show() {
  std::vector<ops::AttentionSpec> specs;
  for (const ops::AttentionKind* kind : ops::built_in_kinds()) {
    for (const ops::AttentionSpec& spec : kind->examples()) specs.push_back(spec);
  }
  return specs;
}

/// What FLOPs are printed in: small models would show zeros only in 10^12. The JSON keeps to 10^12.
struct Unit {
  double scale = 1;
  const char* name = "TFLOP";
};

Unit unit_for(double tflops) {
  if (tflops >= 0.1) return {};
  return tflops >= 1e-4 ? Unit{1e3, "GFLOP"} : Unit{1e6, "MFLOP"};
}

struct Row {
  std::string name;
  analysis::BlockCost cost;
};

/// What is counted, and how.
struct Subject {
  models::Architecture model;
  analysis::VideoSize video;
  ops::FeatureMapConfig phi;
  std::vector<analysis::BlockChoice> blocks;  ///< of a config; empty without one
};

std::string cost_table(const std::vector<Row>& rows) {
  double largest = 0;
  for (const Row& row : rows) largest = std::max(largest, row.cost.block_tflops_paper);
  const Unit unit = unit_for(largest);
  std::ostringstream out;
  out << std::fixed << std::setprecision(3) << std::left << std::setw(46) << "attention of the block" << std::right
      << std::setw(10) << "paper" << std::setw(12) << "recurrent" << std::setw(12) << "attention" << std::setw(12)
      << "state" << std::setw(12) << "ring"
      << "\n";
  for (const auto& [name, cost] : rows) {
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

Subject subject_of(const Context& context, const AnalyzeOptions& options) {
  Subject out;
  out.model = context.families.named("wan").architecture(json::object());
  out.video = {81, 480, 832, context.families.encoders().named("wan").published_geometry()};
  if (!options.config.empty()) {
    Arguments arguments;
    arguments.config = options.config;
    arguments.overrides = options.overrides;
    const Context own{arguments, context.world, context.families};
    stages::Experiment experiment = load_experiment(own);
    out.model = experiment.architecture();
    out.video = video_of(experiment);
    out.phi = experiment.config().hybrid.all_groups().front().attention.phi;
    out.blocks = block_choices(experiment);
  } else if (!options.overrides.empty()) {
    throw UsageError(Mistake{"analyze", cat('"', options.overrides.front(), "\" without a config"),
                             "-c FILE.yaml in front of settings", ""});
  }
  out.video.frames = options.frames.value_or(out.video.frames);
  out.video.height = options.height.value_or(out.video.height);
  out.video.width = options.width.value_or(out.video.width);
  return out;
}

/// The rows of the paper and of the other kinds, and those that the config itself uses.
std::vector<Row> rows_of(const Subject& subject) {
  std::vector<Row> rows;
  for (const ops::AttentionSpec& spec : specs_to_show())
    rows.push_back({ops::to_string(spec), analysis::block_cost(subject.model, subject.video, spec, subject.phi)});
  std::vector<std::string> seen;
  for (const analysis::BlockChoice& choice : subject.blocks) {
    const std::string name = ops::to_string(choice.attention);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    const auto count = std::count_if(subject.blocks.begin(), subject.blocks.end(),
                                     [&](const auto& other) { return ops::to_string(other.attention) == name; });
    rows.push_back({cat("config, ", count, count == 1 ? " block: " : " blocks: ", name),
                    analysis::block_cost(subject.model, subject.video, choice.attention, choice.phi)});
  }
  return rows;
}

std::string model_text(const analysis::ModelCost& cost) {
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

void analyze(Context& context, const AnalyzeOptions& options) {
  const Subject subject = subject_of(context, options);
  const std::vector<Row> rows = rows_of(subject);
  json list = json::array();
  const std::size_t own = rows.size() - std::min(rows.size(), specs_to_show().size());
  for (const Row& row : rows) {
    list.push_back(analysis::to_json(row.cost));
    list.back()["own"] = list.size() > rows.size() - own;
  }
  json result = {{"parameters", analysis::model_parameters(subject.model)},
                 {"phi_parameters_per_block", analysis::phi_parameters(subject.model, subject.phi)},
                 {"rows", list}};
  std::string text =
      cat("parameters ", human_count(analysis::model_parameters(subject.model)), ", feature maps ",
          human_count(analysis::phi_parameters(subject.model, subject.phi)), " a block; ", subject.video.frames,
          " frames at ", subject.video.height, " x ", subject.video.width, "\n\n", cost_table(rows));
  if (!subject.blocks.empty()) {
    const auto cost = analysis::model_cost(subject.model, subject.video, subject.blocks);
    result["model"] = analysis::to_json(cost);
    text += model_text(cost);
  }
  context.result(result, text);
}

}  // namespace

Command analyze_command() {
  Command command;
  command.name = "analyze";
  command.summary =
      "parameters, FLOPs and state sizes of each kind of attention, counted as in the paper and recurrently";
  command.example = "rehyat analyze --height 480 --width 832 --frames 81    (Wan2.1 1.3B; or -c FILE.yaml)";
  command.takes_config = false;
  const auto options = std::make_shared<AnalyzeOptions>();
  command.declare = [options](CLI::App& app) {
    // The parser's own bound would be printed with all its digits.
    const CLI::Validator positive(
        [](std::string& text) {
          const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
          return digits && text.find_first_not_of('0') != std::string::npos
                     ? std::string()
                     : cat("found ", text, ", expected a whole number of at least 1");
        },
        "POSITIVE");
    app.add_option("-c,--config", options->config,
                   "take the model and video size from this file; default: Wan2.1 1.3B at 480 x 832, 81 frames");
    app.add_option("overrides", options->overrides, "settings that replace the file's: dotted.key=value");
    app.add_option("--frames", options->frames, "frames, 4k + 1")->check(positive);
    app.add_option("--height", options->height, "pixels")->check(positive);
    app.add_option("--width", options->width, "pixels")->check(positive);
  };
  command.run = [options](Context& context) { analyze(context, *options); };
  return command;
}

}  // namespace rehyat::app
