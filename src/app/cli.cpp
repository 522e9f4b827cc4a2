#include "app/cli.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <iostream>
#include <memory>

#include "app/command.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/version.h"
#include "dist/session.h"

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
  entry.parser->footer("Example:\n  " + command.example);
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

int report(const char* what, ExitCode code, int rank, int size) {
  log::flush();
  std::cerr << "rehyat: " << (size > 1 ? cat("rank ", rank, ": ") : std::string()) << what << std::endl;
  return static_cast<int>(code);
}

int run_command(Entry& entry, dist::Communicator& world) {
  Context context{entry.arguments, world};
  try {
    entry.command.run(context);
    return static_cast<int>(ExitCode::done);
  } catch (const Stopped& stop) {
    return report(stop.what(), ExitCode::stopped, world.rank(), world.size());
  } catch (const UsageError& error) {
    return report(error.what(), ExitCode::usage, world.rank(), world.size());
  } catch (const c10::Error& error) {  // of libtorch: its first line, without the stack
    return report(error.what_without_backtrace(), ExitCode::failed, world.rank(), world.size());
  } catch (const std::exception& error) {
    return report(error.what(), ExitCode::failed, world.rank(), world.size());
  }
}

int run_session(int argc, char** argv) {
  dist::MpiSession session(argc, argv);
  dist::Communicator& world = session.world();
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
  install_stop_signals();
  for (const auto& entry : entries) {
    if (!entry->parser->parsed()) continue;
    const int code = run_command(*entry, world);
    // A rank that failed alone would leave the others waiting for it.
    if (code != 0 && world.size() > 1) session.end_all(code);
    return code;
  }
  return static_cast<int>(ExitCode::usage);
}

}  // namespace

int run_program(int argc, char** argv) {
  try {
    return run_session(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "rehyat: " << error.what() << std::endl;
    return static_cast<int>(ExitCode::failed);
  }
}

}  // namespace rehyat::app
