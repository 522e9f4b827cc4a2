#pragma once

#include <ATen/ATen.h>

#include <string>

namespace rehyat::app {

/// The device that --device names, for commands without a config: cpu, cuda, or auto, which is cuda where a GPU can be
/// used. Throws UsageError for cuda where none can.
at::Device device_option(const std::string& wanted);

}  // namespace rehyat::app
