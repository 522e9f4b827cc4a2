#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "analysis/cost.h"

namespace rehyat::analysis {

/// The model and the video whose costs a table shows.
struct CostSubject {
  models::Architecture model;
  VideoSize video;
  ops::FeatureMapConfig phi;
  std::vector<BlockChoice> blocks;  ///< of a hybrid model; empty where only the kinds are compared
};

/// The cost of one block with each pattern of the paper, with each other kind of attention, and with each attention
/// that the model itself has.
class CostTable {
 public:
  /// Throws UserError on sizes that do not fit.
  explicit CostTable(const CostSubject& subject);

  /// {"parameters", "phi_parameters_per_block", "rows": [of to_json(BlockCost), with "own"], "model"}.
  nlohmann::ordered_json json() const;
  /// For people, in the unit that suits the model.
  std::string text() const;

 private:
  struct Row {
    std::string name;
    BlockCost cost;
    bool own = false;  ///< whether the model itself has this attention
  };

  std::string rows_text() const;
  std::string model_text(const ModelCost& cost) const;

  CostSubject subject_;
  std::vector<Row> rows_;
};

}  // namespace rehyat::analysis
