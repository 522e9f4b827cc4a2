#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/error.h"
#include "models/model_registry.h"
#include "stages/registry.h"

namespace rehyat::app {

/// What every command that reads a config has in common.
struct Arguments {
  std::filesystem::path config;        ///< empty where an optional one is not given
  std::vector<std::string> overrides;  ///< dotted.key=value
  bool dry_run = false;
  bool json = false;
};

struct Context {
  const Arguments& arguments;
  comm::Communicator& world;
  const stages::Registry& registry;
  const models::ModelRegistry& families;

  /// Prints the result on stdout, once, from rank 0: one JSON object with --json, otherwise `text`.
  void result(const nlohmann::ordered_json& json, const std::string& text) const;
};

/// One command of the program. `declare` adds options of its own; `run` is called on every rank.
struct Command {
  enum class Config { none, optional, needed };

  std::string name, summary, example;
  std::string settings;  ///< what --help says of the config's keys, or nothing
  Config config = Config::none;
  bool dry_run = false;  ///< whether there is a --dry-run
  bool polls = false;    ///< stops by itself when asked to (core/signals.h); any other command a signal just ends
  std::function<void(CLI::App&)> declare = [](CLI::App&) {};
  std::function<void(const Context&)> run;
};

/// The command of a stage; report and verify add options to theirs.
Command stage_command(const stages::Stage& stage);
/// Runs the stage of a context's config, or says what it would need, and prints the result.
void run_stage_command(const Context& context, const stages::Stage& stage);

Command run_command();
Command verify_command(const stages::Stage& stage);
Command report_command(const stages::Stage& stage);
Command inspect_command();
Command analyze_command();
Command bench_command();

/// Every command, those of the stages among them.
std::vector<Command> all_commands(const stages::Registry& registry);

}  // namespace rehyat::app
