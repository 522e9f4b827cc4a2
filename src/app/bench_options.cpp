#include "app/bench_options.h"

#include "app/path_option.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::app {

void BenchOptions::declare(CLI::App& app) {
  app.add_option("what", what, "forward: a forward pass; train: a step of finetuning")
      ->check(CLI::IsMember({"forward", "train"}))
      ->default_str("forward");
  app.add_option("--model", model, "a model folder or single file; default: a family's sizes with arbitrary weights")
      ->transform(user_path_option());
  app.add_option("--family", family, "of the model with arbitrary weights (default wan, as Wan2.1 1.3B)");
  app.add_option("--published", published,
                 "arbitrary weights of a published model's sizes: wan2.1-t2v-14b, for example");
  app.add_option("--architecture", architecture, "KEY=VALUE: a size of it, as in model.architecture of a config");
  app.add_option("--layers", layers, "blocks of it (default: the family's own, 30 of Wan)")->check(CLI::PositiveNumber);
  app.add_option("--attention", attention, "rehyat: convert blocks first; default: as the model is")
      ->check(CLI::IsMember({"rehyat"}));
  app.add_option("--tc", tc, "of rehyat: slices a chunk (default 3)")->check(CLI::PositiveNumber);
  app.add_option("--to", to, "of rehyat: slices of overlap (default 1)")->check(CLI::NonNegativeNumber);
  app.add_option("--converted", converted, "so many blocks, evenly spread (default all)")->check(CLI::PositiveNumber);
  app.add_option("--form", form, "forward: of the hybrid attention, parallel (default) or recurrent")
      ->check(CLI::IsMember({"parallel", "recurrent"}));
  app.add_option("--recompute", recompute,
                 "train: full (default) runs each block again in the backward pass, selective all of it but the "
                 "self-attention, none keeps all")
      ->check(CLI::IsMember({"none", "selective", "full"}));
  app.add_option("--frames", frames, "as many as codec and model take: 4k + 1 of Wan")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--height", height, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--width", width, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", batch, "videos at a time")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--precision", precision,
                 "of the products, and of a forward pass's weights: auto (bf16 on a GPU, f32 on a CPU), f32, bf16, f16")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--device", device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--repeats", repeats, "timed passes or steps, whose median is told")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warmup", warmup, "passes or steps before them")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
}

void BenchOptions::check() const {
  const auto refuse = [](bool given, const char* option, const char* hint) {
    if (given) throw UsageError(Mistake{"bench", option, hint, ""});
  };
  const bool train = what == "train", own_sizes = !model.empty();
  refuse(layers && own_sizes, "--layers beside --model", "one of them; a model has its own layers");
  refuse(!family.empty() && own_sizes, "--family beside --model", "one of them; a model's files say its family");
  refuse(!published.empty() && (own_sizes || !family.empty() || !architecture.empty()),
         "--published beside --model, --family or --architecture", "one of them");
  refuse(!architecture.empty() && own_sizes, "--architecture beside --model", "one of them; a model has its own sizes");
  refuse((tc || to || converted) && attention != "rehyat", "--tc, --to or --converted alone",
         "--attention rehyat beside them");
  refuse(!form.empty() && train, "--form with train", "no form: training runs the parallel one");
  refuse(!form.empty() && attention != "rehyat" && model.empty(), "--form alone",
         "--attention rehyat or --model beside it; softmax attention has one form");
  refuse(precision == "f16" && train, "--precision f16 with train", "f32 or bf16; training has no loss scaling");
  refuse(!recompute.empty() && !train, "--recompute with forward", "train: a forward pass keeps nothing");
}

}  // namespace rehyat::app
