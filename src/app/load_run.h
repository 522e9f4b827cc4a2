#pragma once

#include <memory>
#include <set>
#include <string>

#include "app/command.h"
#include "stages/run.h"

namespace rehyat::app {

/// Reads the config on every rank; throws UsageError with file:line:column. Warns where the teacher was not made by
/// this program and the encoders are the embedded ones, which it has never seen. For a plan, what the config names need
/// not be there yet. Collective.
std::unique_ptr<stages::Run> load_run(const Context& context, stages::Purpose purpose);

/// The sections that the file or an override names: `run` does what is described.
std::set<std::string> sections_of(const Arguments& arguments);

}  // namespace rehyat::app
