#include "stages/environment.h"

#include <ATen/Parallel.h>
#include <torch/version.h>
#include <unistd.h>

#include <ctime>
#include <thread>

#include "comm/session.h"
#include "core/strings.h"
#include "core/version.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "tensor/hdf5_file.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string now() {
  const std::time_t time = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&time));
  return text;
}

}  // namespace

json environment(const comm::Communicator& world, at::Device device) {
  return {{"rehyat", version()},
          {"libtorch", TORCH_VERSION},
          {"mpi", comm::mpi_version()},
          {"hdf5", hdf5_version()},
          {"video", data::video_library_version()},
          {"compiler", cat("gcc-compatible ", __VERSION__)},
          {"host", host_name()},
          {"cores", std::thread::hardware_concurrency()},
          {"ranks", world.size()},
          {"threads_per_rank", at::get_num_threads()},
          {"device", device.str()}};
}

void record_environment(const std::filesystem::path& folder, const json& environment) {
  const auto path = folder / "environment.json";
  json starts = json::array();
  if (std::filesystem::exists(path)) {
    const auto before = parse_json_if(read_file(path, 16 << 20));
    if (before && before->is_array()) starts = *before;  // for information only: a damaged one is started anew
  }
  if (!starts.empty() && starts.back().is_object() && starts.back().value("environment", json()) == environment) return;
  starts.push_back({{"date", now()}, {"environment", environment}});
  write_file_atomic(path, starts.dump(2) + "\n");
}

}  // namespace rehyat::stages
