#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/error.h"

/// A small experiment with every kind of field.
namespace rehyat::testing {

enum class Loss { l1, mse, huber };

struct Phi {
  std::int64_t degree = 2;
  std::string kind = "poly_mlp";
  void fields(config::Fields& f) {
    f.add("degree", degree, "power").between(1, 8);
    f.add("kind", kind, "which map").one_of({"poly_mlp", "hedgehog", "elu"});
  }
};

struct Blocks {
  std::string pattern = "interleaved";
  std::vector<std::int64_t> list;
  void fields(config::Fields& f) {
    f.add("pattern", pattern, "which blocks").not_empty();
    f.add("list", list, "their numbers");
    f.shorthand("list");
  }
};

struct Ema {
  double decay = 0.99;
  std::string start = "now";
  void fields(config::Fields& f) {
    f.add("decay", decay, "of the average").between(0, 1);
    f.add("start", start, "when it starts");
  }
};

struct Stage {
  std::string name;
  int steps = 10;
  void fields(config::Fields& f) {
    f.add("name", name, "of the stage").required().not_empty();
    f.add("steps", steps, "how many").at_least(1);
  }
};

struct Distill {
  double lr = 1e-3;
  std::int64_t iterations = 10000;
  Loss loss = Loss::l1;
  bool shuffle = true;
  double delta = 1;
  Phi phi;
  void fields(config::Fields& f) {
    f.add("lr", lr, "peak learning rate").above(0).at_most(1);
    f.add("iterations", iterations, "optimizer steps").at_least(0);
    f.choice("loss", loss, {{"l1", Loss::l1}, {"mse", Loss::mse}, {"huber", Loss::huber}}, "what is minimised");
    f.add("shuffle", shuffle, "order of the samples");
    f.add("delta", delta, "huber: where it turns linear").above(0).only("with the loss huber", [this] {
      return loss == Loss::huber;
    });
    f.section("phi", phi, "feature map");
  }
  void validate() const {
    if (loss == Loss::huber && lr > 0.5) throw UserError("found huber with lr > 0.5, expected a smaller lr");
  }
};

struct Experiment {
  std::string title;
  std::uint64_t seed = 1;
  std::filesystem::path folder = "runs/x";
  std::int64_t quota = 1000;
  std::vector<double> scales = {1, 0.5};
  std::vector<std::string> prompts;
  std::optional<double> clip;
  std::optional<std::int64_t> limit;
  std::optional<std::string> note;
  Blocks blocks;
  Distill distill;
  std::optional<Ema> ema;
  std::vector<Stage> stages;

  void fields(config::Fields& f) {
    f.add("title", title, "of the run").required();
    f.add("seed", seed, "of all random numbers");
    f.add("folder", folder, "of the results");
    f.bytes("quota", quota, "disk space");
    f.add("scales", scales, "factors");
    f.add("prompts", prompts, "texts");
    f.add("clip", clip, "largest norm").at_least(0);
    f.add("limit", limit, "most samples").above(0);
    f.add("note", note, "free text").not_empty();
    f.section("blocks", blocks, "which are converted");
    f.section("distill", distill, "stage 1");
    f.section("ema", ema, "averaged weights");
    f.list("stages", stages, "in this order");
  }
};

inline Experiment parse(const std::string& text, const std::vector<std::string>& overrides = {},
                        const config::Limits& limits = {}) {
  return config::load<Experiment>(config::Document::from_text(text, "run.yaml", overrides, limits));
}

}  // namespace rehyat::testing
