#include "app/command_line.h"

#include <sstream>
#include <stdexcept>

#include "app/overview.h"
#include "app/path_option.h"
#include "app/unknown_word.h"
#include "core/strings.h"
#include "core/version.h"

namespace rehyat::app {
namespace {

constexpr const char* kOverrides =
    "settings that replace the file's: dotted.key=value. Texts and paths are taken as they stand behind the =, # and "
    "quotes too, since the shell has taken its own; nothing is the empty text. Other values are read as YAML: "
    "1e-4, true, [0, 3], {kind: unipc}. Where a setting may be null, nothing, null and ~ are null.";

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 a mistake on the command line or in a config, 75 stopped and can go on.";

}  // namespace

CommandLine::CommandLine(const stages::Registry& registry)
    : program_("ReHyAt toolkit: turns a softmax video diffusion transformer into a chunk-wise recurrent hybrid one.") {
  program_.require_subcommand(1);
  program_.set_version_flag("--version", "rehyat " + version());
  program_.add_option("--log-level", level_, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  program_.fallthrough();
  program_.footer(cat(first_steps(), kExitCodes));
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

std::optional<CommandLine::Answer> CommandLine::parse(int argc, char** argv) {
  try {
    program_.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {  // --help, --version
      std::ostringstream text;
      program_.exit(error, text, text);
      return Answer{ExitCode::done, text.str()};
    }
    if (argc <= 1) return Answer{ExitCode::usage, overview(program_)};
    std::string sentence = unknown_command(program_);
    if (sentence.empty()) sentence = unknown_option(program_);
    if (sentence.empty()) sentence = cat(error.what(), "; see `rehyat --help` or `rehyat COMMAND --help`");
    return Answer{ExitCode::usage, cat("rehyat: ", sentence, '\n')};
  }
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
