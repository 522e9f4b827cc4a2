#include "app/command_line.h"

#include <iostream>
#include <sstream>
#include <stdexcept>

#include "app/path_option.h"
#include "core/standard_streams.h"
#include "core/strings.h"
#include "core/version.h"

namespace rehyat::app {
namespace {

constexpr const char* kOverrides =
    "settings that replace the file's: dotted.key=value. Texts and paths are taken as they stand behind the =, # and "
    "quotes too, since the shell has taken its own; nothing is the empty text. Other values are read as YAML: "
    "1e-4, true, [0, 3], {kind: unipc}. Where a setting may be null, nothing, null and ~ are null.";

}  // namespace

CommandLine::CommandLine(const stages::Registry& registry)
    : program_("ReHyAt toolkit: turns a softmax video diffusion transformer into a chunk-wise recurrent hybrid one.") {
  program_.require_subcommand(1);
  program_.set_version_flag("--version", "rehyat " + version());
  program_.add_option("--log-level", level_, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  program_.fallthrough();
  for (Command& command : all_commands(registry)) {
    entries_.push_back(std::make_unique<Entry>(Entry{std::move(command), {}, nullptr}));
    declare(*entries_.back());
  }
}

void CommandLine::declare(Entry& entry) {
  const Command& command = entry.command;
  Arguments& arguments = entry.arguments;
  CLI::App& parser = *program_.add_subcommand(command.name, command.summary);
  entry.parser = &parser;
  parser.footer((command.settings.empty() ? "" : "Settings:\n" + command.settings + "\n") + "Example:\n  " +
                command.example);
  if (command.config != Command::Config::none) {
    parser.add_option("-c,--config", arguments.config, "YAML file that describes the run")
        ->required(command.config == Command::Config::needed)
        ->transform(user_path_option());
    parser.add_option("overrides", arguments.overrides, kOverrides);
  }
  if (command.dry_run) parser.add_flag("--dry-run", arguments.dry_run, "say what the run would need and touch nothing");
  parser.add_flag("--json", arguments.json, "print the result as one JSON object on stdout");
  command.declare(parser);
}

void CommandLine::parse(int argc, char** argv) {
  program_.parse(argc, argv);
}

std::string CommandLine::unknown_command() const {
  if (!program_.get_subcommands().empty()) return "";
  for (const std::string& word : program_.remaining()) {
    if (word.starts_with("-")) continue;
    std::vector<std::string> names;
    for (const auto& entry : entries_) names.push_back(entry->command.name);
    const std::string near = nearest(word, names);
    return cat("found the command '", word, "', expected one of ", join(names, ", "),
               near.empty() ? std::string() : cat("; did you mean '", near, "'?"));
  }
  return "";
}

int CommandLine::answer(const CLI::ParseError& error, int rank) const {
  const bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);  // --help, --version
  if (asked) {
    std::ostringstream text;
    program_.exit(error, text, text);
    if (rank == 0) print_result(text.str());
    return static_cast<int>(ExitCode::done);
  }
  const std::string unknown = unknown_command();
  if (rank == 0)
    std::cerr << "rehyat: "
              << (unknown.empty() ? cat(error.what(), "; see `rehyat --help` or `rehyat COMMAND --help`") : unknown)
              << std::endl;
  return static_cast<int>(ExitCode::usage);
}

log::Level CommandLine::log_level() const {
  if (level_ == "debug") return log::Level::debug;
  if (level_ == "warn") return log::Level::warn;
  return level_ == "error" ? log::Level::error : log::Level::info;
}

const CommandLine::Entry& CommandLine::chosen() const {
  for (const auto& entry : entries_) {
    if (entry->parser->parsed()) return *entry;
  }
  throw std::logic_error("no command was parsed");
}

}  // namespace rehyat::app
