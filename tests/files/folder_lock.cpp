#include "files/folder_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"

namespace rehyat {
namespace {

using testing::expect_error;

TEST(FolderLock, OneRunAtATimeAndTheOtherIsNamed) {
  const testing::TempFolder folder;
  const auto work = folder / "run/stage";
  {
    const FolderLock lock(work);
    expect_error<UserError>([&] { FolderLock second(work); },
                            {"run/stage", "another run", cat("process ", ::getpid(), " on "), "another run.dir"});
    const FolderLock elsewhere(folder / "other");
  }
  EXPECT_NO_THROW(FolderLock again(work));
}

TEST(FolderLock, AMovedOneIsHeldOnce) {
  const testing::TempFolder folder;
  std::optional<FolderLock> kept;
  {
    FolderLock lock(folder.path());
    kept.emplace(std::move(lock));
  }
  EXPECT_THROW(FolderLock second(folder.path()), UserError);
  kept.reset();
  EXPECT_NO_THROW(FolderLock second(folder.path()));
}

TEST(FolderLock, AKilledRunHoldsNothing) {
  const testing::TempFolder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const FolderLock lock(folder.path());
    [[maybe_unused]] const ssize_t written = ::write(ready[1], "x", 1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  expect_error<UserError>([&] { FolderLock second(folder.path()); }, {cat("process ", child, " on ")});
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_NO_THROW(FolderLock second(folder.path()));
}

}  // namespace
}  // namespace rehyat
