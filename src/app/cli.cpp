#include "app/cli.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>

#include "app/command.h"
#include "comm/session.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/version.h"
#include "tensor/error_text.h"

namespace rehyat::app {
namespace {

/// One command as CLI11 sees it, with the arguments that it fills in.
struct Entry {
  Command command;
  Arguments arguments;
  CLI::App* parser = nullptr;
};

void declare(CLI::App& program, Entry& entry) {
  const Command& command = entry.command;
  entry.parser = program.add_subcommand(command.name, command.summary);
  entry.parser->footer((command.settings.empty() ? "" : "Settings:\n" + command.settings + "\n") + "Example:\n  " +
                       command.example);
  if (command.takes_config) {
    entry.parser->add_option("-c,--config", entry.arguments.config, "YAML file that describes the run")->required();
    entry.parser->add_option("overrides", entry.arguments.overrides,
                             "settings that replace the file's: dotted.key=value");
    entry.parser->add_flag("--dry-run", entry.arguments.dry_run, "say what the run would need and touch nothing");
  }
  entry.parser->add_flag("--json", entry.arguments.json, "print the result as one JSON object on stdout");
  command.declare(*entry.parser);
}

/// The parser's own errors, in one line and with the exit code for bad usage.
int usage_error(const CLI::App& program, const CLI::ParseError& error, int rank) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {  // --help, --version
    if (rank == 0) return program.exit(error, std::cout, std::cerr);
    return static_cast<int>(ExitCode::done);
  }
  if (rank == 0) std::cerr << "rehyat: " << error.what() << "; see `rehyat --help` or `rehyat COMMAND --help`\n";
  return static_cast<int>(ExitCode::usage);
}

/// The first word that is no option, where a command is expected; empty without one.
std::string first_word(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--log-level") {
      ++i;
    } else if (word.empty() || word.front() != '-') {
      return word;
    }
  }
  return "";
}

/// Empty where the command exists or none is named.
std::string unknown_command(const std::string& word, const std::vector<std::unique_ptr<Entry>>& entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) names.push_back(entry->command.name);
  if (word.empty() || std::find(names.begin(), names.end(), word) != names.end()) return "";
  const std::string near = nearest(word, names);
  return cat("found the command '", word, "', expected one of ", join(names, ", "),
             near.empty() ? std::string() : cat("; did you mean '", near, "'?"));
}

/// How a command ended.
struct Ending {
  int code = 0;
  std::string message;
  bool has_message = true;  ///< false where another rank reports it
};

Ending ending_of(const std::exception& error, ExitCode code, const comm::Communicator& world) {
  const std::string who = world.size() > 1 ? cat("rank ", world.rank(), ": ") : std::string();
  return {static_cast<int>(code), cat("rehyat: ", who, message_of(error), '\n'),
          dynamic_cast<const comm::ReportedByAnotherRank*>(&error) == nullptr};
}

Ending run_command(Entry& entry, comm::Communicator& world) {
  const models::ModelRegistry families = models::known_models();
  Context context{entry.arguments, world, families};
  try {
    entry.command.run(context);
    return {};
  } catch (const Stopped& stop) {
    return ending_of(stop, ExitCode::stopped, world);
  } catch (const UsageError& error) {
    return ending_of(error, ExitCode::usage, world);
  } catch (const std::exception& error) {
    return ending_of(error, ExitCode::failed, world);
  }
}

/// Reports the error once, on the lowest rank that knows it, and leaves no rank waiting for one that failed.
int end_session(const Ending& ending, comm::MpiSession& session) {
  silence_stop_signals();
  log::flush();
  const comm::Communicator& world = session.world();
  const bool alone = world.size() == 1;
  const std::optional<int> reporter = alone ? world.rank() : session.agree_on_reporter(ending.has_message);
  if (!reporter || *reporter == world.rank()) std::cerr << ending.message << std::flush;
  if (!reporter) session.end_all(ending.code);
  return ending.code;
}

int run_session(int argc, char** argv) {
  comm::MpiSession session(argc, argv);
  comm::Communicator& world = session.world();
  CLI::App program{
      "ReHyAt toolkit: turns a softmax video diffusion transformer into a chunk-wise recurrent hybrid one."};
  program.require_subcommand(1);
  program.set_version_flag("--version", "rehyat " + version());
  std::string level = "info";
  program.add_option("--log-level", level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  program.fallthrough();

  std::vector<std::unique_ptr<Entry>> entries;
  for (Command& command : all_commands()) {
    entries.push_back(std::make_unique<Entry>(Entry{std::move(command), {}, nullptr}));
    declare(program, *entries.back());
  }
  if (const std::string mistake = unknown_command(first_word(argc, argv), entries); !mistake.empty()) {
    if (world.rank() == 0) std::cerr << "rehyat: " << mistake << std::endl;
    return static_cast<int>(ExitCode::usage);
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return usage_error(program, error, world.rank());
  }
  const log::Level chosen = level == "debug"   ? log::Level::debug
                            : level == "warn"  ? log::Level::warn
                            : level == "error" ? log::Level::error
                                               : log::Level::info;
  log::setup(world.rank(), world.size(), chosen);
  for (const auto& entry : entries) {
    if (!entry->parser->parsed()) continue;
    if (entry->command.polls) install_stop_signals(world.rank() == 0);
    log::debug("rank ", world.rank(), " of ", world.size(), ", ", world.local_rank(), " of ", world.local_size(),
               " on its machine, ", comm::mpi_version());
    const Ending ending = run_command(*entry, world);
    return ending.code == 0 ? 0 : end_session(ending, session);
  }
  return static_cast<int>(ExitCode::usage);
}

}  // namespace

int run_program(int argc, char** argv) {
  try {
    ignore_file_size_signal();
    return run_session(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "rehyat: " << message_of(error) << std::endl;
    return static_cast<int>(ExitCode::failed);
  }
}

}  // namespace rehyat::app
