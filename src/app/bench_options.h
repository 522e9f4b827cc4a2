#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "evaluate/bench_subject.h"

namespace rehyat::app {

/// What `bench` measures.
struct BenchOptions {
  std::string what, model, family, published, attention, form, recompute;
  std::string precision = "auto", device = "auto";
  std::vector<std::string> architecture;  ///< KEY=VALUE
  std::int64_t frames = 81, height = 480, width = 832, batch = 1, repeats = 5, warmup = 2;
  std::optional<std::int64_t> tc, to, layers, converted;

  void declare(CLI::App& app);
  /// Throws UsageError: options that mean nothing beside others are refused, not ignored.
  void check() const;
  /// The model and the video. Throws UsageError and UserError on what a family does not know.
  evaluate::BenchSubject subject(const models::ModelRegistry& families) const;
};

}  // namespace rehyat::app
