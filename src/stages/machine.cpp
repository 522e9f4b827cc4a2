#include "stages/machine.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <torch/cuda.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "stages/run.h"

namespace rehyat::stages {
namespace {

/// Of a GPU of this machine; nothing where there is none, as for a plan of another machine's run.
std::optional<std::int64_t> gpu_bytes(std::int64_t gpu) {
  if (!torch::cuda::is_available() || gpu >= static_cast<std::int64_t>(torch::cuda::device_count())) return {};
  try {
    at::globalContext().lazyInitDevice(at::kCUDA);  // its allocator may not be there before
    const auto index = static_cast<c10::DeviceIndex>(gpu);
    return static_cast<std::int64_t>(at::getDeviceAllocator(at::kCUDA)->getMemoryInfo(index).second);
  } catch (const std::exception& error) {
    log::debug("the memory of GPU ", gpu, " is not known: ", error.what());
    return {};
  }
}

/// What a file of one number holds; nothing where it is not there or says "max".
std::optional<std::int64_t> number_in(const std::filesystem::path& path) {
  std::string text;
  std::getline(std::ifstream(path), text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
}

}  // namespace

void Machine::fields(config::Fields& f) {
  f.add("device", device, "that a rank computes on");
  f.add("device_memory_bytes", device_memory, "of the device");
  f.add("host_memory_bytes", host_memory, "of this machine, or the part of it that may be used");
  f.add("ranks", ranks, "on this machine");
  if (disk_free) f.add("disk_free_bytes", *disk_free, "where the run's folder is");
}

std::int64_t host_memory() {
  std::int64_t bytes = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE);
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    if (!line.starts_with("0::/")) continue;
    // Each group around it limits it as well.
    for (std::filesystem::path group = line.substr(3);; group = group.parent_path()) {
      const std::filesystem::path folder = std::filesystem::path("/sys/fs/cgroup") / group.relative_path();
      bytes = std::min(bytes, number_in(folder / "memory.max").value_or(bytes));
      if (!group.has_relative_path()) break;
    }
  }
  return bytes;
}

std::int64_t device_memory(const RunConfig& run, std::int64_t gpu) {
  if (!wants_gpu(run.device)) return host_memory();
  return std::min(run.gpu_memory, gpu_bytes(gpu).value_or(run.gpu_memory));
}

Machine machine_of(Run& run) {
  const RunConfig& config = run.config().run;
  Machine out;
  out.gpu = wants_gpu(config.device);
  out.host_memory = host_memory();
  out.ranks = run.world().local_size();
  out.device = "this machine";
  out.device_memory = device_memory(config);
  if (out.gpu) {
    const bool own = out.device_memory < config.gpu_memory;
    out.device = own ? "GPU 0 of this machine" : "one GPU (run.gpu_memory)";
  }
  if (const auto free = free_space(config.dir)) out.disk_free = static_cast<std::int64_t>(*free);
  return out;
}

}  // namespace rehyat::stages
