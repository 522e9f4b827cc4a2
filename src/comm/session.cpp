#include "comm/session.h"

#include <mpi.h>
#include <pwd.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "comm/launch.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"

namespace rehyat::comm {
namespace {

/// A home for MPI while it starts: PMIx ends in a segmentation fault for a user who has neither HOME nor an entry in
/// passwd, as in a container with a number for a user.
class HomeForMpi {
 public:
  HomeForMpi() {
    if (std::getenv("HOME") != nullptr || ::getpwuid(::getuid()) != nullptr) return;
    std::error_code error;
    const std::string folder = std::filesystem::temp_directory_path(error).string();
    is_set_ = ::setenv("HOME", error ? "/" : folder.c_str(), 1) == 0;
  }
  ~HomeForMpi() {
    if (is_set_) ::unsetenv("HOME");
  }
  HomeForMpi(const HomeForMpi&) = delete;
  HomeForMpi& operator=(const HomeForMpi&) = delete;

 private:
  bool is_set_ = false;
};

}  // namespace

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

MpiSession::MpiSession(int& argc, char**& argv) {
  const Environment variables = environment();
  const std::optional<Launch> launch = launch_of(variables);
  const bool several = launch && launch->tasks > 1;
  if (several && !can_meet(variables)) throw UserError(lone_rank_sentence(*launch, mpi_version()));
  {
    const HomeForMpi home;
    int provided = 0;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  }
  world_ = std::make_unique<Communicator>(MPI_Comm_c2f(MPI_COMM_WORLD));
  if (several && world_->size() == 1) {
    world_.reset();
    MPI_Finalize();
    throw UserError(lone_rank_sentence(*launch, mpi_version()));
  }
}

MpiSession::~MpiSession() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized != 0) return;
  try {
    world_->free_windows();
  } catch (const std::exception& error) {
    log::warn("MPI did not close in order: ", error.what());
  }
  world_.reset();
  MPI_Finalize();
}

std::optional<int> MpiSession::agree_on_reporter(bool has_message) {
  constexpr auto kPatience = std::chrono::seconds(3);
  mine_ = has_message ? world_->rank() : world_->size();
  MPI_Request agreed = MPI_REQUEST_NULL;
  if (MPI_Iallreduce(&mine_, &lowest_, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &agreed) != MPI_SUCCESS)
    return std::nullopt;
  const auto start = std::chrono::steady_clock::now();
  while (true) {
    int done = 0;
    if (MPI_Test(&agreed, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return std::nullopt;
    if (done != 0) return lowest_;
    if (std::chrono::steady_clock::now() - start > kPatience) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void MpiSession::end_all(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace rehyat::comm
