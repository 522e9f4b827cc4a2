#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "evaluate/bench/measure.h"
#include "evaluate/bench_subject.h"

/// `rehyat bench`: one file of this folder is one mode.
namespace rehyat::evaluate {

/// All that a mode can be asked for. What a mode does not name in BenchMode::options means nothing to it.
struct BenchRequest {
  BenchSubject subject;
  std::int64_t warmup = 0, repeats = 1;
  models::AttentionForm form = models::AttentionForm::parallel;
  models::RecomputePlan recompute = models::Recompute::full;
  std::optional<std::int64_t> memory;  ///< step: bytes within which the least is run again, instead of `recompute`
  bool offload = false;                ///< step: float32 weights and moments in host memory
  std::int64_t accumulate = 1;         ///< step: passes before an update
  std::string row;                     ///< attention, phi: only rows whose names hold this
  bool grid = false;                   ///< attention: chunk sizes 1, 2, 3, 5, 7 by overlaps 0 to 3
  std::vector<std::int64_t> lengths;   ///< recurrent: frames of each video
  std::int64_t steps = 2;              ///< recurrent: denoising steps
  double guidance = 6;                 ///< recurrent
  std::int64_t points = 1;             ///< distill, cache: points of the teacher
  std::filesystem::path folder;        ///< cache: where it writes
  double peak_tflop_per_s = 0;         ///< of the device, as published; 0: the ceiling of the products

  /// Whether a row of this name is asked for.
  bool wants(const std::string& name) const { return name.find(row) != std::string::npos; }
};

/// What a mode found.
struct BenchResult {
  std::string attention = {};  ///< of the blocks, for people; empty where there is none
  nlohmann::ordered_json own = nlohmann::ordered_json::object();  ///< what the mode says beside its rows
  std::vector<std::pair<std::string, std::string>> notes = {};    ///< the same for people
  std::vector<Measure> rows = {};
};

/// One mode.
struct BenchMode {
  std::string name;
  std::string summary;
  std::vector<std::string> options;      ///< that it reads beside those of every mode, "--layers" for example
  std::int64_t warmup = 2, repeats = 5;  ///< unless the request says otherwise
  BenchResult (*run)(const BenchRequest& request, const models::ModelRegistry& families,
                     const Ceilings& ceilings) = nullptr;
};

BenchMode attention_bench();
BenchMode phi_bench();
BenchMode distill_bench();
BenchMode forward_bench();
BenchMode step_bench();
BenchMode recurrent_bench();
BenchMode cache_bench();

/// Every mode; one line each.
std::vector<BenchMode> bench_modes();

/// Throws UserError where no row of the result holds BenchRequest::row.
void require_rows(const BenchRequest& request, const BenchResult& result);

/// What was asked for and what was found, as docs/benchmarks.md describes it.
nlohmann::ordered_json to_json(const BenchMode& mode, const BenchRequest& request, const Ceilings& ceilings,
                               const BenchResult& result);
std::string to_text(const BenchMode& mode, const BenchRequest& request, const Ceilings& ceilings,
                    const BenchResult& result);

}  // namespace rehyat::evaluate
