#include <iostream>

#include "app/command.h"

namespace rehyat::app {

std::vector<Command> all_commands() {
  return {run_command(),      prepare_command(), pretrain_command(), cache_command(),   distill_command(),
          finetune_command(), sample_command(),  export_command(),   inspect_command(), analyze_command(),
          bench_command(),    verify_command(),  report_command()};
}

void Context::result(const nlohmann::ordered_json& json, const std::string& text) const {
  if (world.rank() != 0) return;
  if (arguments.json) {
    std::cout << json.dump(2) << std::endl;
  } else {
    std::cout << text << std::endl;
  }
}

}  // namespace rehyat::app
