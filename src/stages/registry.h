#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "stages/stage.h"

namespace rehyat::stages {

/// The stages that a program knows, in the order in which people meet them.
class Registry {
 public:
  void add(std::shared_ptr<const Stage> stage);
  /// Throws std::logic_error where there is none.
  const Stage& at(std::string_view name) const;
  const std::vector<std::shared_ptr<const Stage>>& all() const { return stages_; }

 private:
  std::vector<std::shared_ptr<const Stage>> stages_;
};

/// Those of this program.
Registry builtin_stages();

}  // namespace rehyat::stages
