#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "app/command.h"

namespace rehyat::app {

/// What `verify` checks: a model of a run (-c), a model's folder, or one component against a fixture.
struct VerifyOptions {
  std::string trained_model, model, parity, weights, fixture, form, device;
  std::optional<double> tolerance;

  void declare(CLI::App& app);
  /// Throws UsageError: options that mean nothing beside others are refused, not ignored.
  void check(const Arguments& arguments) const;
};

}  // namespace rehyat::app
