#include "tensor/peak_memory.h"

#include <ATen/DeviceAccelerator.h>

#include <fstream>
#include <string>

namespace rehyat {

void reset_peak_memory(at::Device device) {
  if (device.is_cuda()) at::getDeviceAllocator(at::kCUDA)->resetPeakStats(device.index());
}

std::int64_t peak_memory(at::Device device) {
  if (device.is_cuda()) {
    const auto stats = at::getDeviceAllocator(at::kCUDA)->getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }
  constexpr std::int64_t kibibyte = 1024;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(std::string("VmHWM:").size())) * kibibyte;
  }
  return 0;
}

}  // namespace rehyat
