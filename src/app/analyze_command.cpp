#include <iomanip>
#include <memory>
#include <sstream>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "core/strings.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

struct Options {
  std::string config;
  std::vector<std::string> overrides;
  std::int64_t frames = 0, height = 0, width = 0;
};

/// The patterns of the paper, and the other kinds.
std::vector<ops::AttentionSpec> specs_to_show() {
  using Kind = ops::AttentionKind;
  std::vector<ops::AttentionSpec> specs = {{.kind = Kind::softmax}};
  for (const auto& [tc, to] : std::vector<std::pair<int, int>>{{1, 1}, {2, 1}, {3, 1}, {5, 1}, {3, 0}})
    specs.push_back({.kind = Kind::rehyat, .tc = tc, .to = to});
  specs.push_back({.kind = Kind::rehyat, .tc = 3, .to = 0, .causal = false});
  for (const int rate : {2, 4, 8}) specs.push_back({.kind = Kind::uniform_hybrid, .rate = rate});
  specs.push_back({.kind = Kind::linear});
  return specs;
}

std::string table(const std::vector<std::pair<ops::AttentionSpec, analysis::BlockCost>>& rows) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(3) << std::left << std::setw(36) << "attention of the block" << std::right
      << std::setw(10) << "paper" << std::setw(12) << "recurrent" << std::setw(12) << "attention" << std::setw(12)
      << "state" << std::setw(12) << "ring"
      << "\n";
  for (const auto& [spec, cost] : rows) {
    out << std::left << std::setw(36) << ops::to_string(spec) << std::right << std::setw(10) << cost.block_tflops_paper
        << std::setw(12);
    if (cost.block_tflops_recurrent) {
      out << *cost.block_tflops_recurrent;
    } else {
      out << "-";
    }
    out << std::setw(12) << cost.attention_tflops << std::setw(12) << human_bytes(cost.state_bytes) << std::setw(12)
        << human_bytes(cost.ring_bytes) << "\n";
  }
  out << "TFLOP of one block (2 a multiply-accumulate); state: S and z in float32; ring: keys and values of the "
         "overlap in bf16.";
  return out.str();
}

void analyze(Context& context, const Options& options) {
  analysis::Dimensions dimensions;
  analysis::VideoSize video;
  ops::FeatureMapConfig phi;
  if (!options.config.empty()) {
    Arguments arguments;
    arguments.config = options.config;
    arguments.overrides = options.overrides;
    const Context own{arguments, context.world};
    pipeline::Experiment experiment = load_experiment(own);
    dimensions = dimensions_of(experiment.architecture());
    video = video_of(experiment.config().data);
    phi = experiment.config().hybrid.attention.phi;
  }
  if (options.frames > 0) video.frames = options.frames;
  if (options.height > 0) video.height = options.height;
  if (options.width > 0) video.width = options.width;
  std::vector<std::pair<ops::AttentionSpec, analysis::BlockCost>> rows;
  json list = json::array();
  for (const ops::AttentionSpec& spec : specs_to_show()) {
    rows.emplace_back(spec, analysis::block_cost(dimensions, video, spec, phi));
    list.push_back(analysis::to_json(rows.back().second));
  }
  const json result = {{"parameters", analysis::model_parameters(dimensions)},
                       {"phi_parameters_per_block", analysis::phi_parameters(dimensions, phi)},
                       {"rows", list}};
  context.result(result, cat("parameters ", human_count(analysis::model_parameters(dimensions)), ", feature maps ",
                             human_count(analysis::phi_parameters(dimensions, phi)), " a block; ", video.frames,
                             " frames at ", video.height, " x ", video.width, "\n\n", table(rows)));
}

}  // namespace

Command analyze_command() {
  Command command;
  command.name = "analyze";
  command.summary =
      "parameters, FLOPs and state sizes of each kind of attention, counted as in the paper and recurrently";
  command.example = "rehyat analyze --height 480 --width 832 --frames 81    (Wan2.1 1.3B; or -c FILE.yaml)";
  command.takes_config = false;
  const auto options = std::make_shared<Options>();
  command.declare = [options](CLI::App& app) {
    app.add_option("-c,--config", options->config,
                   "take the model and video size from this file; default: Wan2.1 1.3B at 480 x 832, 81 frames");
    app.add_option("overrides", options->overrides, "settings that replace the file's: dotted.key=value");
    app.add_option("--frames", options->frames, "frames, 4k + 1");
    app.add_option("--height", options->height, "pixels");
    app.add_option("--width", options->width, "pixels");
  };
  command.run = [options](Context& context) { analyze(context, *options); };
  return command;
}

}  // namespace rehyat::app
