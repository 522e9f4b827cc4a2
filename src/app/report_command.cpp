#include <memory>

#include "app/command.h"

namespace rehyat::app {

Command report_command(const stages::Stage& stage) {
  Command command = stage_command(stage);
  const auto commands = std::make_shared<std::string>();
  command.declare = [commands](CLI::App& app) {
    app.add_option("--commands", *commands, "the same as report.commands=FILE");
  };
  command.run = [commands, &stage](const Context& context) {
    Arguments arguments = context.arguments;
    if (!commands->empty()) arguments.overrides.push_back("report.commands=" + *commands);
    run_stage_command({arguments, context.world, context.registry, context.families}, stage);
  };
  return command;
}

}  // namespace rehyat::app
