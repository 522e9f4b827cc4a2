#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "evaluate/bench/mode.h"

namespace rehyat::app {

/// What `bench` measures.
struct BenchOptions {
  std::string what, model, family, published, attention, normalizer, form, recompute, memory, row, folder = ".";
  std::string precision = "auto", device = "auto";
  std::vector<std::string> architecture;  ///< KEY=VALUE
  std::vector<std::int64_t> lengths;
  std::int64_t frames = 81, height = 480, width = 832, batch = 1, accumulate = 1, steps = 2, points = 1;
  std::optional<std::int64_t> tc, to, rate, layers, converted, repeats, warmup;
  bool grid = false, offload = false;
  double guidance = 6, peak_tflops = 0;

  void declare(CLI::App& app);
  evaluate::BenchMode mode() const;
  /// Throws UsageError: options that mean nothing beside others are refused, not ignored.
  void check() const;
  evaluate::BenchRequest request(const models::ModelRegistry& families) const;
  /// The model and the video. Throws UsageError and UserError on what a family does not know.
  evaluate::BenchSubject subject(const models::ModelRegistry& families) const;

 private:
  void declare_model(CLI::App& app);
  void declare_modes(CLI::App& app);
  /// Declares an option that only some modes read.
  template <typename T>
  CLI::Option* of_modes(CLI::App& app, const std::string& name, T& value, const std::string& doc);

  std::map<std::string, const CLI::Option*> of_some_modes_;  ///< by name
};

}  // namespace rehyat::app
