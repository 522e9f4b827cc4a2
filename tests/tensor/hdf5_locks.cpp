#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "core/temp_folder.h"
#include "tensor/hdf5_file.h"

namespace {

int lock_error = 0;  ///< what every lock of this program fails with; 0: none fails

}  // namespace

/// In place of the C library's, for HDF5 too: a file system without locks.
extern "C" int flock(int file, int operation) {
  if (lock_error == 0) return static_cast<int>(::syscall(SYS_flock, file, operation));
  errno = lock_error;
  return -1;
}

namespace rehyat {
namespace {

TEST(Hdf5Locks, AFileSystemWithoutLocksIsAsGoodAsAnother) {
  const testing::TempFolder folder;
  for (const int error : {37, 38, 95, 524, 9999}) {
    lock_error = error;
    const auto path = folder / (std::to_string(error) + ".h5");
    Hdf5Writer writer(path);
    writer.write("x", at::arange(6, at::kFloat));
    writer.commit();
    EXPECT_TRUE(at::equal(Hdf5Reader(path).read("x"), at::arange(6, at::kFloat))) << error;
    lock_error = 0;
  }
}

}  // namespace
}  // namespace rehyat
