#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis/cost.h"

namespace rehyat::analysis {

/// What is counted.
struct CostSubject {
  models::Architecture model;
  VideoSize video;
  ops::FeatureMapConfig phi;
  std::vector<BlockChoice> blocks;  ///< of a hybrid model; empty where only the kinds are compared
};

/// One block's cost under each pattern of the paper and each other kind, and under those that the model itself has.
class CostTable {
 public:
  /// Throws UserError on sizes that do not fit.
  explicit CostTable(const CostSubject& subject);

  /// {"parameters", "phi_parameters_per_block", "rows": [of to_json(BlockCost), with "own"], "model"}.
  nlohmann::ordered_json json() const;
  /// Aligned, for people; in the unit that suits the model.
  std::string text() const;

 private:
  struct Row {
    std::string name;
    BlockCost cost;
    bool own = false;  ///< of the model itself
  };

  std::string rows_text() const;
  std::string model_text(const ModelCost& cost) const;

  CostSubject subject_;
  std::vector<Row> rows_;
};

}  // namespace rehyat::analysis
