#include "app/ending.h"

#include <iostream>
#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/strings.h"
#include "tensor/error_text.h"

namespace rehyat::app {
namespace {

Ending failed(const std::exception& error, ExitCode code, const comm::Communicator& world) {
  const std::string who = world.size() > 1 ? cat("rank ", world.rank(), ": ") : std::string();
  return {static_cast<int>(code), cat("rehyat: ", who, message_of(error), '\n'),
          dynamic_cast<const comm::ReportedByAnotherRank*>(&error) == nullptr};
}

}  // namespace

Ending ending_of(const std::function<void()>& work, const comm::Communicator& world) {
  try {
    work();
    return {};
  } catch (const Stopped& stop) {
    return failed(stop, ExitCode::stopped, world);
  } catch (const UsageError& error) {
    return failed(error, ExitCode::usage, world);
  } catch (const std::exception& error) {
    return failed(error, ExitCode::failed, world);
  }
}

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

}  // namespace rehyat::app
