#include "app/cli.h"

#include <iostream>
#include <optional>

#include "app/command_line.h"
#include "app/ending.h"
#include "comm/launch.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/standard_streams.h"
#include "core/strings.h"
#include "tensor/error_text.h"

namespace rehyat::app {
namespace {

void run_chosen(const CommandLine& line, comm::Communicator& world, const stages::Registry& registry) {
  const Command& command = line.command();
  if (command.config == Command::Config::optional && line.arguments().config.empty() &&
      !line.arguments().overrides.empty())
    throw UsageError(Mistake{command.name, "settings without a config", "-c FILE.yaml in front of them", ""});
  const models::ModelRegistry families = models::known_models();
  command.run(Context{line.arguments(), world, registry, families});
}

int run_session(int argc, char** argv) {
  const stages::Registry registry = stages::builtin_stages();
  CommandLine line(registry);
  const std::optional<CommandLine::Answer> answer = line.parse(argc, argv);
  if (answer && answer->code == ExitCode::done) {  // without MPI, which may not even start here
    const std::optional<comm::Launch> launch = comm::launch_of(comm::environment());
    if (!launch || launch->rank == 0) print_result(answer->text);
    return static_cast<int>(ExitCode::done);
  }
  comm::MpiSession session(argc, argv);
  comm::Communicator& world = session.world();
  if (answer) {
    if (world.rank() == 0) std::cerr << answer->text << std::flush;
    return static_cast<int>(answer->code);
  }
  log::setup(world.rank(), world.size(), line.log_level());
  if (line.command().polls) install_stop_signals(world.rank() == 0);
  log::debug("rank ", world.rank(), " of ", world.size(), ", ", world.local_rank(), " of ", world.local_size(),
             " on its machine, ", comm::mpi_version());
  const Ending ending = ending_of([&] { run_chosen(line, world, registry); }, world);
  return ending.code == 0 ? 0 : end_session(ending, session);
}

}  // namespace

int run_program(int argc, char** argv) {
  try {
    hold_standard_streams();
    ignore_file_size_signal();
    return run_session(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "rehyat: " << message_of(error) << std::endl;
    return static_cast<int>(ExitCode::failed);
  }
}

}  // namespace rehyat::app
