#include "files/folder_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <optional>
#include <vector>

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

int no_locks(int /*file*/) {
  return ENOLCK;
}

TEST(FolderLock, OneKindOfLocksIsEnough) {
  for (const FolderLock::TryLock kind : FolderLock::kinds()) {
    const testing::TempFolder folder;
    const std::vector<FolderLock::TryLock> kinds = {no_locks, kind};
    {
      const FolderLock lock(folder.path(), kinds);
      expect_error<UserError>([&] { FolderLock second(folder.path(), kinds); }, {"another run", "process"});
    }
    EXPECT_NO_THROW(FolderLock(folder.path(), kinds));
  }
}

TEST(FolderLock, WithoutLocksTheNameInTheFileCounts) {
  const testing::TempFolder folder;
  const std::vector<FolderLock::TryLock> none = {no_locks};
  const auto file = folder / ".rehyat-lock";
  {
    const FolderLock lock(folder.path(), none);
    expect_error<UserError>([&] { FolderLock second(folder.path(), none); },
                            {"another run", cat("process ", ::getpid(), " on ")});
  }
  EXPECT_TRUE(std::filesystem::is_empty(file));  // it said that it ended
  // One that was killed, one of another program, one of another machine, and what is no name at all.
  for (const std::string& name :
       {std::string("process 999999999 on "), cat("process ", ::getpid(), " on another-machine"),
        cat("process ", ::getppid(), " on "), std::string("what?")}) {
    char host[256] = {};
    ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
    std::ofstream(file) << name << (name.ends_with(" on ") ? host : "") << "\n";
    EXPECT_NO_THROW(FolderLock(folder.path(), none)) << name;
  }
}

}  // namespace
}  // namespace rehyat
