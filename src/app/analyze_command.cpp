#include <memory>
#include <optional>

#include "analysis/cost_table.h"
#include "app/command.h"
#include "app/load_run.h"
#include "core/strings.h"
#include "core/table.h"
#include "stages/costs.h"

namespace rehyat::app {
namespace {

struct AnalyzeOptions {
  std::optional<std::int64_t> frames, height, width;
  std::string published;
};

/// Without a config: the first of the models that are known by name.
constexpr const char* kUsualModel = "wan2.1-t2v-1.3b";

void analyze(const Context& context, const AnalyzeOptions& options) {
  analysis::CostSubject subject;
  std::string assumed;
  std::vector<std::string> missing;
  if (context.arguments.config.empty()) {
    const auto model = context.families.published(options.published.empty() ? kUsualModel : options.published);
    subject.model = model.architecture;
    subject.video = {81, 480, 832, context.families.encoders().named(model.encoders).published_geometry()};
    assumed = model.name;
  } else {
    Arguments arguments = context.arguments;
    if (!options.published.empty()) arguments.overrides.push_back("model.published=" + options.published);
    const std::unique_ptr<stages::Run> run =
        load_run({arguments, context.world, context.registry, context.families}, stages::Purpose::plan);
    assumed = run->assumed();
    missing = run->missing();
    subject.model = run->models().architecture();
    subject.video = stages::video_of(*run);
    subject.phi = run->config().hybrid.all_groups().front().attention.phi;
    subject.blocks = stages::block_choices(run->models().blocks(), subject.model.layers);
  }
  subject.video.frames = options.frames.value_or(subject.video.frames);
  subject.video.height = options.height.value_or(subject.video.height);
  subject.video.width = options.width.value_or(subject.video.width);
  const analysis::CostTable table(subject);
  nlohmann::ordered_json json = table.json();
  TextList first;
  if (!missing.empty()) json["missing"] = missing;
  for (const std::string& file : missing) first.add("missing", file);
  if (!assumed.empty()) json["assumed"] = assumed;
  if (!assumed.empty()) first.add("model", cat("the sizes of ", assumed, missing.empty() ? "" : " are assumed"));
  context.result(json, first.text() + table.text());
}

}  // namespace

Command analyze_command() {
  Command command;
  command.name = "analyze";
  command.summary =
      "parameters, FLOPs and state sizes of each kind of attention, counted as in the paper and recurrently";
  command.example =
      "rehyat analyze --height 480 --width 832 --frames 81    # Wan2.1 1.3B\n"
      "  rehyat analyze --published wan2.1-t2v-14b\n  rehyat analyze -c configs/demo.yaml";
  command.config = Command::Config::optional;
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
    app.add_option("--published", options->published,
                   cat("a published model by name, the same as model.published; without a config ", kUsualModel))
        ->check(CLI::IsMember(models::known_models().published_names()));
    app.add_option("--frames", options->frames, "frames, 4k + 1")->check(positive);
    app.add_option("--height", options->height, "pixels")->check(positive);
    app.add_option("--width", options->width, "pixels")->check(positive);
  };
  command.run = [options](const Context& context) { analyze(context, *options); };
  return command;
}

}  // namespace rehyat::app
