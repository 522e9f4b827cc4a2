#include "app/command.h"
#include "core/standard_streams.h"

namespace rehyat::app {

std::vector<Command> all_commands(const stages::Registry& registry) {
  std::vector<Command> out = {run_command()};
  for (const auto& stage : registry.all()) {
    const std::string name = stage->name();
    out.push_back(name == "verify"   ? verify_command(*stage)
                  : name == "report" ? report_command(*stage)
                                     : stage_command(*stage));
  }
  for (Command (*command)() : {inspect_command, analyze_command, bench_command}) out.push_back(command());
  return out;
}

void Context::result(const nlohmann::ordered_json& json, const std::string& text) const {
  if (world.rank() != 0) return;
  print_result((arguments.json ? json.dump(2) : text) + "\n");
}

}  // namespace rehyat::app
