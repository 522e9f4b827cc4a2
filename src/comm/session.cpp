#include "comm/session.h"

#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"

namespace rehyat::comm {
namespace {

/// The world size that a launcher announced in the environment; 0 when none did.
int announced_size() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    if (const char* value = std::getenv(name)) return std::atoi(value);
  }
  return 0;
}

}  // namespace

std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  MPI_Get_library_version(text, &length);
  const std::string all(text, static_cast<std::size_t>(length));
  return all.substr(0, all.find_first_of(",\n"));
}

MpiSession::MpiSession(int& argc, char**& argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
  world_ = std::make_unique<Communicator>(MPI_Comm_c2f(MPI_COMM_WORLD));
  if (const int announced = announced_size(); announced > 1 && world_->size() == 1) {
    world_.reset();
    MPI_Finalize();
    throw UserError({"MPI", "a world of 1 rank", cat(announced, " as the launcher announced"),
                     "start the program with the mpirun of the MPI that it was built with"});
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
