#include "app/device_option.h"

#include "core/error.h"

namespace rehyat::app {

at::Device device_option(const std::string& wanted) {
  const bool available = at::globalContext().hasCUDA();
  if (wanted == "cuda" && !available)
    throw UsageError(Mistake{"--device", "cuda, but no GPU can be used", "one", "use --device cpu"});
  return wanted != "cpu" && available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
}

}  // namespace rehyat::app
