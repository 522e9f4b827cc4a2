#include "stages/registry.h"

#include <stdexcept>
#include <utility>

#include "core/strings.h"
#include "stages/builtin.h"

namespace rehyat::stages {

void Registry::add(std::shared_ptr<const Stage> stage) {
  for (const auto& known : stages_) {
    if (known->name() == stage->name()) throw std::logic_error(cat("two stages are called ", stage->name()));
  }
  stages_.push_back(std::move(stage));
}

const Stage& Registry::at(std::string_view name) const {
  for (const auto& stage : stages_) {
    if (stage->name() == name) return *stage;
  }
  throw std::logic_error(cat("there is no stage ", name));
}

Registry builtin_stages() {
  Registry registry;
  registry.add(prepare_stage());
  registry.add(pretrain_stage());
  registry.add(cache_stage());
  registry.add(distill_stage());
  registry.add(finetune_stage());
  registry.add(sample_stage());
  registry.add(export_stage());
  registry.add(verify_stage());
  registry.add(report_stage());
  return registry;
}

}  // namespace rehyat::stages
