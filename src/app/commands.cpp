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
  std::string out = arguments.json ? json.dump(2) : text;
  while (out.ends_with('\n')) out.pop_back();
  print_result(out + "\n");
}

}  // namespace rehyat::app
