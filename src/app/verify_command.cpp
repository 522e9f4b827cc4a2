#include <memory>

#include "app/command.h"
#include "app/load_experiment.h"
#include "app/parity.h"
#include "app/parity_text.h"
#include "core/strings.h"
#include "models/wan/weights.h"
#include "tensor/random.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

struct Options {
  std::string config, parity, weights, fixture, form = "chunked";
  std::vector<std::string> overrides;
  double tolerance = 1e-6;
};

double relative(const at::Tensor& found, const at::Tensor& expected) {
  const double largest = expected.abs().max().item<double>(),
               difference = (found - expected).abs().max().item<double>();
  return largest > 0 ? difference / largest : difference;
}

/// The parallel and the recurrent form of the whole model, in float64, for several patterns of the same feature maps.
json check_forms(pipeline::Experiment& experiment, models::WanTransformer& model) {
  const at::NoGradGuard no_grad;
  model->to(at::kDouble);
  const auto size = experiment.latent();
  // A slice count that leaves a remainder for every chunk size above 1, whatever the video's.
  const std::int64_t slices = 7 * 3 + 2;
  Rng rng(experiment.config().run.seed, "verify");
  const at::Tensor x =
      randn(rng, {1, model->config().in_channels, slices, size[1], size[2]}).to(experiment.device(), at::kDouble);
  const at::Tensor text = experiment.encode_prompt("verify").unsqueeze(0).to(at::kDouble),
                   time = at::full({1}, 500.0, x.options().dtype(at::kFloat));
  json rows = json::array();
  for (const auto& [tc, to] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 0}, {2, 1}, {3, 1}, {5, 3}, {3, 4}}) {
    bool any = false;
    for (std::int64_t i = 0; i < model->block_count(); ++i) {
      ops::AttentionSpec spec = model->attention(i)->attention().spec;
      if (!spec.recurrent()) continue;
      spec.tc = tc;
      spec.to = to;
      model->attention(i)->set_spec(spec);
      any = true;
    }
    require(any, [] {
      return "[verify] found no block with a recurrent form, expected at least one; convert blocks to causal rehyat "
             "attention";
    });
    models::ForwardOptions parallel, recurrent;
    recurrent.form = models::AttentionForm::recurrent;
    const at::Tensor expected = model->forward(x, time, text, parallel);
    json row = {{"tc", tc},
                {"to", to},
                {"slices", slices},
                {"recurrent_vs_parallel", relative(model->forward(x, time, text, recurrent), expected)}};
    if (model->fully_recurrent()) {
      auto states = model->make_states(size[1], size[2]);
      std::vector<at::Tensor> chunks;
      for (const ops::Chunk& chunk : ops::chunks_of(slices, tc, to)) {
        models::ForwardOptions options;
        options.states = &states;
        options.first_slice = chunk.queries.begin;
        chunks.push_back(model->forward(x.narrow(2, chunk.queries.begin, chunk.queries.size()), time, text, options));
      }
      row["chunk_by_chunk_vs_parallel"] = relative(at::cat(chunks, 2), expected);
    }
    rows.push_back(row);
  }
  return rows;
}

void verify_run(Context& context, const Options& options) {
  Arguments arguments;
  arguments.config = options.config;
  arguments.overrides = options.overrides;
  const Context own{arguments, context.world};
  pipeline::Experiment experiment = load_experiment(own);
  models::WanTransformer model = experiment.load(pipeline::WhichModel::finetuned);
  // Reading a checkpoint back gives the same bits.
  const std::filesystem::path copy = experiment.config().run.dir / "verify";
  double reload = 0;
  if (context.world.rank() == 0) {
    models::save_model(copy, model);
    const models::WanTransformer again = models::load_model(copy);
    const auto a = model->tensors(models::WanTransformerImpl::Which::all),
               b = again->tensors(models::WanTransformerImpl::Which::all);
    for (std::size_t i = 0; i < a.size(); ++i)
      reload = std::max(reload, at::equal(a[i].second.to(at::kCPU), b[i].second) ? 0.0 : 1.0);
    std::filesystem::remove_all(copy);
  }
  const json rows = check_forms(experiment, model);
  double worst = reload;
  for (const json& row : rows)
    worst = std::max({worst, row["recurrent_vs_parallel"].get<double>(), row.value("chunk_by_chunk_vs_parallel", 0.0)});
  const json result = {
      {"max_rel_error", worst}, {"tolerance", options.tolerance}, {"reload_equal", reload == 0}, {"forms", rows}};
  context.result(result, cat("verify: ", result.dump(2)));
  require(worst <= options.tolerance, [&] {
    return cat("[verify] found a largest relative error of ", worst, ", expected at most ", options.tolerance);
  });
}

void verify(Context& context, const Options& options) {
  if (!options.parity.empty()) {
    require(options.parity == "attention" || options.parity == "text",
            [&] { return cat("--parity: found \"", options.parity, "\", expected attention or text"); });
    if (options.fixture.empty())
      throw UsageError(Mistake{"verify --parity " + options.parity, "no fixture", "--fixture FILE.safetensors", ""});
    if (options.parity != "attention" && options.weights.empty())
      throw UsageError(Mistake{"verify --parity " + options.parity, "no weights", "--weights FOLDER", ""});
    const json result = options.parity == "text" ? text_parity(options.weights, options.fixture)
                                                 : attention_parity(options.fixture, options.form);
    const double worst = result.at("max_rel_error");
    context.result(result, cat("parity: ", result.dump(2)));
    require(worst <= options.tolerance, [&] {
      return cat(options.fixture, ": found a largest relative error of ", worst, ", expected at most ",
                 options.tolerance);
    });
    return;
  }
  if (options.config.empty())
    throw UsageError(Mistake{"verify", "neither a config nor a fixture",
                             "-c FILE.yaml or --parity attention --fixture FILE.safetensors", ""});
  verify_run(context, options);
}

}  // namespace

Command verify_command() {
  Command command;
  command.name = "verify";
  command.summary =
      "check on your own checkpoint that the forms agree and that reloading changes nothing; or compare with a fixture";
  command.example =
      "rehyat verify -c configs/demo.yaml\n  rehyat verify --parity attention --fixture FILE.safetensors --form "
      "recurrent --json";
  command.takes_config = false;
  const auto options = std::make_shared<Options>();
  command.declare = [options](CLI::App& app) {
    app.add_option("-c,--config", options->config, "the run whose finetuned model is checked");
    app.add_option("overrides", options->overrides, "settings that replace the file's: dotted.key=value");
    app.add_option("--parity", options->parity, "component to compare with a fixture: attention, text");
    app.add_option("--weights", options->weights,
                   "folder of the component's weights, as the original library saves it");
    app.add_option("--fixture", options->fixture, "safetensors file with inputs, expected outputs and settings");
    app.add_option("--form", options->form, "reference, chunked or recurrent")
        ->check(CLI::IsMember({"reference", "chunked", "recurrent"}));
    app.add_option("--tolerance", options->tolerance, "largest relative error that passes")->capture_default_str();
  };
  command.run = [options](Context& context) { verify(context, *options); };
  return command;
}

}  // namespace rehyat::app
