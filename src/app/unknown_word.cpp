#include "app/unknown_word.h"

#include <algorithm>
#include <vector>

#include "core/strings.h"

namespace rehyat::app {

std::string unknown_command(const CLI::App& program) {
  if (!program.get_subcommands().empty()) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  for (const std::string& word : program.remaining()) {
    if (word.starts_with("-")) continue;
    const std::string near = nearest(word, names);
    return cat("found the command '", word, "', expected one of ", join(names, ", "),
               near.empty() ? std::string() : cat("; did you mean '", near, "'?"));
  }
  return "";
}

std::string unknown_option(const CLI::App& program) {
  if (program.get_subcommands().empty()) return "";
  const CLI::App& parser = *program.get_subcommands().front();
  std::vector<std::string> names;
  for (const CLI::App* app : {&parser, &program}) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  for (const std::string& word : program.remaining(true)) {
    const std::string name = word.substr(0, word.find('='));
    if (!name.starts_with("-") || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string near = nearest(name, names);
    return cat(parser.get_name(), ": found the option '", excerpt(name), "', ",
               near.empty() ? cat("expected one of ", join(names, ", ")) : cat("did you mean '", near, "'?"),
               "; see `rehyat ", parser.get_name(), " --help`");
  }
  return "";
}

}  // namespace rehyat::app
