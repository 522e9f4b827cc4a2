#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/command.h"
#include "core/log.h"

namespace rehyat::app {

/// The program's command line: which command, with which arguments.
class CommandLine {
 public:
  explicit CommandLine(const stages::Registry& registry);

  /// What is said in place of running a command: what --help and --version ask for, on stdout, or a mistake, on stderr.
  struct Answer {
    ExitCode code = ExitCode::done;
    std::string text;
  };
  /// Reads the words; nothing is to be answered where they name a command that can run.
  std::optional<Answer> parse(int argc, char** argv);

  log::Level log_level() const;
  const Command& command() const { return chosen().command; }
  const Arguments& arguments() const { return chosen().arguments; }

 private:
  /// One command with the arguments that the parser fills in.
  struct Entry {
    Command command;
    Arguments arguments;
    CLI::App* parser = nullptr;
  };
  void declare(Entry& entry);
  const Entry& chosen() const;

  CLI::App program_;
  std::string level_ = "info";
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace rehyat::app
