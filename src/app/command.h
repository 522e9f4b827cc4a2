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

namespace rehyat::app {

/// What every command that reads a config has in common.
struct Arguments {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< dotted.key=value
  bool dry_run = false;
  bool json = false;
};

struct Context {
  const Arguments& arguments;
  comm::Communicator& world;
  const models::ModelRegistry& families;

  /// Prints the result on stdout, once, from rank 0: one JSON object with --json, otherwise `text`.
  void result(const nlohmann::ordered_json& json, const std::string& text) const;
};

/// One command of the program. `declare` adds options of its own; `run` is called on every rank.
struct Command {
  std::string name, summary, example;
  std::string settings;  ///< what --help says of the config's keys, or nothing
  bool takes_config = true;
  bool polls = false;  ///< stops by itself when asked to (core/signals.h); any other command a signal just ends
  std::function<void(CLI::App&)> declare = [](CLI::App&) {};
  std::function<void(Context&)> run;
};

Command run_command();
Command prepare_command();
Command pretrain_command();
Command cache_command();
Command distill_command();
Command finetune_command();
Command sample_command();
Command export_command();
Command inspect_command();
Command analyze_command();
Command bench_command();
Command verify_command();
Command report_command();

std::vector<Command> all_commands();

}  // namespace rehyat::app
