#include "app/overview.h"

#include <algorithm>

#include "core/strings.h"

namespace rehyat::app {

std::string first_steps() {
  return "New here? `scripts/demo.sh`, in a clone of the repository, builds all and makes a small model with its "
         "report.\n"
         "With a config, `rehyat run -c FILE.yaml --dry-run` says what a run would need; `rehyat COMMAND --help` has "
         "its "
         "settings.\n";
}

std::string overview(const CLI::App& program) {
  const auto commands = program.get_subcommands([](const CLI::App*) { return true; });
  std::string text = cat(program.get_description(), "\n\nCommands:\n");
  std::size_t width = 0;
  for (const CLI::App* command : commands) width = std::max(width, command->get_name().size());
  for (const CLI::App* command : commands) {
    const std::string gap(width - command->get_name().size() + 2, ' ');
    text += cat("  ", command->get_name(), gap, command->get_description(), '\n');
  }
  return cat(text, '\n', first_steps(),
             "\nrehyat: found no command, expected one of those above; see `rehyat --help`\n");
}

}  // namespace rehyat::app
