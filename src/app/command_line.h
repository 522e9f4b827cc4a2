#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/command.h"
#include "core/log.h"

namespace rehyat::app {

/// The program's command line: which command, with which arguments.
class CommandLine {
 public:
  explicit CommandLine(const stages::Registry& registry);

  /// Fills in what the words say. Throws CLI::ParseError on bad usage, and for --help and --version.
  void parse(int argc, char** argv);
  /// Answers such an error on rank 0, in one line where it is a mistake, and returns the exit code.
  int answer(const CLI::ParseError& error, int rank) const;

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
  /// Of a first word that is no command; empty otherwise.
  std::string unknown_command() const;

  CLI::App program_;
  std::string level_ = "info";
  std::vector<std::unique_ptr<Entry>> entries_;
};

}  // namespace rehyat::app
