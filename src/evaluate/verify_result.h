#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"

namespace rehyat::evaluate {

/// Largest relative errors of one pattern's forms; absent where the model has no such form.
struct FormErrors {
  std::optional<std::int64_t> tc, to;  ///< absent where the model's blocks differ in them or have none
  bool own = false;                    ///< the pattern of the checkpoint
  std::int64_t slices = 0;
  std::optional<double> chunked_vs_reference, recurrent_vs_parallel, chunk_by_chunk_vs_parallel;

  void fields(config::Fields& f);
};

/// Why a comparison was left out; absent where it was made.
struct NotApplicable {
  std::optional<std::string> recurrent_vs_parallel, chunk_by_chunk_vs_parallel, other_patterns;

  void fields(config::Fields& f);
};

/// What verify_model found. JSON has no infinity and no NaN: such an error is kLargest, and `finite` is false.
struct VerifyResult {
  static constexpr double kLargest = 1e308;

  double max_rel_error = 0;
  bool finite = true, reload_equal = false;
  std::vector<std::int64_t> latent;  ///< T, H, W
  std::vector<FormErrors> forms;
  NotApplicable not_applicable;
  std::string model;     ///< what was checked, for people
  double tolerance = 0;  ///< largest error that passes

  void fields(config::Fields& f);
  /// Takes an error into the maximum, and gives it as JSON can hold it.
  double take(double error);
  /// What is wrong with it; empty where it passes.
  std::string complaint() const;
  /// As a table for people.
  std::string text() const;
};

}  // namespace rehyat::evaluate
