#include "app/bench_options.h"

#include <algorithm>

#include "app/path_option.h"
#include "core/error.h"
#include "core/strings.h"
#include "core/units.h"

namespace rehyat::app {
namespace {

constexpr const char* kOldStep = "train";

std::vector<std::string> kind_names() {
  std::vector<std::string> out;
  for (const ops::AttentionKind* kind : ops::built_in_kinds()) out.push_back(kind->name());
  return out;
}

/// The modes that read an option, for --help and messages: "forward, step".
std::string readers_of(const std::string& option) {
  std::vector<std::string> out;
  for (const evaluate::BenchMode& mode : evaluate::bench_modes()) {
    if (std::find(mode.options.begin(), mode.options.end(), option) != mode.options.end()) out.push_back(mode.name);
  }
  return join(out, ", ");
}

/// An option that refines another one is read by the same modes.
std::string master_of(const std::string& option) {
  for (const char* refining : {"--tc", "--to", "--rate", "--normalizer"}) {
    if (option == refining) return "--attention";
  }
  return option;
}

void refuse(bool given, const char* option, const char* hint) {
  if (given) throw UsageError(Mistake{"bench", option, hint, ""});
}

}  // namespace

template <typename T>
CLI::Option* BenchOptions::of_modes(CLI::App& app, const std::string& name, T& value, const std::string& doc) {
  CLI::Option* option;
  if constexpr (std::is_same_v<T, bool>) {
    option = app.add_flag(name, value, cat(readers_of(master_of(name)), ": ", doc));
  } else {
    option = app.add_option(name, value, cat(readers_of(master_of(name)), ": ", doc));
  }
  of_some_modes_[name] = option;
  return option;
}

void BenchOptions::declare_model(CLI::App& app) {
  app.add_option("--model", model, "a model folder or single file; default: a family's sizes with arbitrary weights")
      ->transform(user_path_option());
  app.add_option("--family", family, "of the model with arbitrary weights (default wan, as Wan2.1 1.3B)");
  app.add_option("--published", published,
                 "arbitrary weights of a published model's sizes: wan2.1-t2v-14b, for example");
  app.add_option("--architecture", architecture, "KEY=VALUE: a size of it, as in model.architecture of a config");
  app.add_option("--frames", frames, "as many as codec and model take: 4k + 1 of Wan")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--height", height, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--width", width, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--precision", precision,
                 "of the products, and of a forward pass's weights: auto (bf16 on a GPU, f32 on a CPU), f32, bf16, f16")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--device", device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--repeats", repeats, "measured ones, whose median is told (default: the mode's)")
      ->check(CLI::PositiveNumber);
  app.add_option("--warmup", warmup, "ones before them (default: the mode's)")->check(CLI::NonNegativeNumber);
  app.add_option("--peak-tflops", peak_tflops,
                 "of the device as published, for the MFU (default: what a large product reaches here)")
      ->check(CLI::PositiveNumber);
}

void BenchOptions::declare_modes(CLI::App& app) {
  of_modes(app, "--layers", layers, "blocks (default: the family's own, 30 of Wan)")->check(CLI::PositiveNumber);
  of_modes(app, "--attention", attention,
           "of the converted blocks (default: as the model is; of attention, distill and recurrent: rehyat)")
      ->check(CLI::IsMember(kind_names()));
  of_modes(app, "--tc", tc, "of rehyat, slices a chunk (default 3)")->check(CLI::PositiveNumber);
  of_modes(app, "--to", to, "of rehyat, slices of overlap (default 1)")->check(CLI::NonNegativeNumber);
  of_modes(app, "--rate", rate, "of uniform_hybrid, every how many keys (default 2)")->check(CLI::Range(2, 1 << 20));
  of_modes(app, "--normalizer", normalizer, "joint (default), row_max or lse")
      ->check(CLI::IsMember({"joint", "row_max", "lse"}));
  of_modes(app, "--converted", converted, "so many blocks, evenly spread (default all)")->check(CLI::PositiveNumber);
  of_modes(app, "--form", form, "parallel or recurrent (default: parallel; of recurrent: recurrent)")
      ->check(CLI::IsMember({"parallel", "recurrent"}));
  of_modes(app, "--recompute", recompute,
           "full (default) runs each block again in the backward pass, selective all of it but the self-attention, "
           "none keeps all; --memory instead lets blocks differ")
      ->check(CLI::IsMember({"none", "selective", "full"}));
  of_modes(app, "--memory", memory, "of the GPU, as 45GB: runs as little again as fits by the estimate");
  of_modes(app, "--offload", offload, "float32 weights and AdamW's moments in host memory, as the setting of finetune");
  of_modes(app, "--accumulate", accumulate, "passes before an update (default 1)")->check(CLI::PositiveNumber);
  of_modes(app, "--batch", batch, "videos at a time (default 1)")->check(CLI::PositiveNumber);
  of_modes(app, "--grid", grid, "rehyat with chunks of 1, 2, 3, 5, 7 slices by overlaps of 0 to 3");
  of_modes(app, "--row", row, "only rows whose names hold this text");
  of_modes(app, "--lengths", lengths, "frames of each video, as 81,161 (default: --frames)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  of_modes(app, "--steps", steps, "denoising steps (default 2)")->check(CLI::PositiveNumber);
  of_modes(app, "--guidance", guidance, "1 runs one branch a step, others two (default 6)")->check(CLI::PositiveNumber);
  of_modes(app, "--points", points, "of the teacher (default 1)")->check(CLI::PositiveNumber);
  of_modes(app, "--folder", folder, "where it writes and removes again (default: here)")->transform(user_path_option());
}

void BenchOptions::declare(CLI::App& app) {
  std::vector<std::string> names = {kOldStep}, told;
  for (const evaluate::BenchMode& each : evaluate::bench_modes()) {
    names.push_back(each.name);
    told.push_back(cat(each.name, ": ", each.summary));
  }
  app.add_option("what", what, join(told, "; "))->check(CLI::IsMember(names))->default_str("forward");
  declare_model(app);
  declare_modes(app);
}

evaluate::BenchMode BenchOptions::mode() const {
  const std::string name = what.empty() ? "forward" : what == kOldStep ? "step" : what;
  for (evaluate::BenchMode& each : evaluate::bench_modes()) {
    if (each.name == name) return each;
  }
  throw UsageError(Mistake{"bench", name, "one of the modes that --help names", ""});
}

void BenchOptions::check() const {
  const evaluate::BenchMode chosen = mode();
  for (const auto& [name, option] : of_some_modes_) {
    const auto& read = chosen.options;
    if (option->count() > 0 && std::find(read.begin(), read.end(), master_of(name)) == read.end())
      throw UsageError(Mistake{"bench", cat(name, " with ", chosen.name), cat("it with ", readers_of(master_of(name))),
                               "leave it out"});
  }
  const bool own_sizes = !model.empty(),
             rehyat_alone = chosen.name == "attention" || chosen.name == "distill" || chosen.name == "recurrent";
  refuse(layers && own_sizes && chosen.name != "cache", "--layers beside --model",
         "one of them; a model has its own layers");
  refuse(!family.empty() && own_sizes, "--family beside --model", "one of them; a model's files say its family");
  refuse(!published.empty() && (own_sizes || !family.empty() || !architecture.empty()),
         "--published beside --model, --family or --architecture", "one of them");
  refuse(!architecture.empty() && own_sizes, "--architecture beside --model", "one of them; a model has its own sizes");
  const bool rehyat = attention == "rehyat" || (attention.empty() && rehyat_alone);
  refuse((tc || to) && !rehyat, "--tc or --to alone", "--attention rehyat beside them");
  refuse(grid && (!rehyat || tc || to), "--grid beside another attention", "it alone; it has its own chunks");
  refuse(rate && attention != "uniform_hybrid", "--rate alone", "--attention uniform_hybrid beside it");
  refuse((converted || (!normalizer.empty() && !rehyat_alone)) && attention.empty(),
         "--converted or --normalizer alone", "--attention beside them");
  refuse(!form.empty() && chosen.name == "forward" && attention.empty() && model.empty(), "--form alone",
         "--attention rehyat or --model beside it; softmax attention has one form");
  refuse(!memory.empty() && !recompute.empty(), "--memory beside --recompute", "one of them");
  refuse(precision == "f16" && chosen.name != "forward" && chosen.name != "recurrent",
         "--precision f16 with a mode that trains or stores", "f32 or bf16; there is no loss scaling");
}

evaluate::BenchRequest BenchOptions::request(const models::ModelRegistry& families) const {
  const evaluate::BenchMode chosen = mode();
  evaluate::BenchRequest out{.subject = subject(families)};
  out.warmup = warmup.value_or(chosen.warmup), out.repeats = repeats.value_or(chosen.repeats);
  if (form == "recurrent" || (form.empty() && chosen.name == "recurrent")) out.form = models::AttentionForm::recurrent;
  if (recompute == "none") out.recompute = models::Recompute::none;
  if (recompute == "selective") out.recompute = models::Recompute::selective;
  if (!memory.empty()) out.memory = parse_bytes(memory, "--memory");
  out.offload = offload;
  out.accumulate = accumulate, out.grid = grid, out.lengths = lengths, out.steps = steps, out.guidance = guidance;
  out.row = row, out.points = points, out.folder = folder, out.peak_tflop_per_s = peak_tflops;
  return out;
}

}  // namespace rehyat::app
