#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace rehyat::app {

/// What `bench` times.
struct BenchOptions {
  std::string what = "forward", model, attention, precision = "auto", device = "auto", form;
  std::int64_t frames = 81, height = 480, width = 832, batch = 1, repeats = 5, warmup = 2;
  std::optional<std::int64_t> tc, to, layers;

  void declare(CLI::App& app);
  /// Throws UsageError: options that mean nothing beside others are refused, not ignored.
  void check() const;
};

}  // namespace rehyat::app
