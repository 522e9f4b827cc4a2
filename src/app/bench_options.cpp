#include "app/bench_options.h"

#include "app/path_option.h"
#include "core/error.h"

namespace rehyat::app {

void BenchOptions::declare(CLI::App& app) {
  app.add_option("what", what, "forward")->check(CLI::IsMember({"forward"}))->capture_default_str();
  app.add_option("--model", model, "a model folder or single file; default: Wan2.1 1.3B's shape with arbitrary weights")
      ->transform(user_path_option());
  app.add_option("--layers", layers, "of the arbitrary model (default 30)")->check(CLI::PositiveNumber);
  app.add_option("--attention", attention, "rehyat: convert every block first; default: as the model is")
      ->check(CLI::IsMember({"rehyat"}));
  app.add_option("--tc", tc, "of rehyat: slices a chunk (default 3)")->check(CLI::PositiveNumber);
  app.add_option("--to", to, "of rehyat: slices of overlap (default 1)")->check(CLI::NonNegativeNumber);
  app.add_option("--form", form, "form of the hybrid attention: parallel (default) or recurrent")
      ->check(CLI::IsMember({"parallel", "recurrent"}));
  app.add_option("--frames", frames, "4k + 1")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--height", height, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--width", width, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--batch", batch, "videos at a time")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--precision", precision,
                 "of weights and products: auto (bf16 on a GPU, f32 on a CPU), f32, bf16 or f16")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str();
  app.add_option("--device", device, "auto, cpu or cuda")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--repeats", repeats, "timed passes, whose median is told")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warmup", warmup, "passes before them")->check(CLI::NonNegativeNumber)->capture_default_str();
}

void BenchOptions::check() const {
  const auto refuse = [](bool given, const char* option, const char* hint) {
    if (given) throw UsageError(Mistake{"bench", option, hint, ""});
  };
  refuse(layers && !model.empty(), "--layers beside --model", "one of them; a model has its own layers");
  refuse((tc || to) && attention != "rehyat", "--tc or --to alone", "--attention rehyat beside them");
  refuse(!form.empty() && attention != "rehyat" && model.empty(), "--form alone",
         "--attention rehyat or --model beside it; softmax attention has one form");
}

}  // namespace rehyat::app
