#include "files/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <optional>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::TempFolder;

std::size_t entries(const TempFolder& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) count += entry.exists() ? 1 : 0;
  return count;
}

/// Points the descriptor that holds `path` open at /dev/full, where every write fails for want of space.
void fill_disk_under(const std::filesystem::path& path) {
  std::optional<int> descriptor;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) == std::filesystem::absolute(path))
      descriptor = std::stoi(entry.path().filename().string());
  }
  ASSERT_TRUE(descriptor.has_value());
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  ::dup2(full, *descriptor);
  ::close(full);
}

TEST(AtomicFile, AppearsWholeAtCommitAndReplacesWhatWasThere) {
  const TempFolder folder;
  write_file_atomic(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new ");
    file.write("content");
    EXPECT_EQ(read_file(folder / "a"), "old");
    EXPECT_EQ(file.temporary().parent_path(), folder.path());
    file.commit();
    EXPECT_EQ(read_file(folder / "a"), "new content");
  }
  EXPECT_EQ(read_file(folder / "a"), "new content");
  EXPECT_EQ(entries(folder), 1U);
}

TEST(AtomicFile, LeavesNothingWithoutACommit) {
  const TempFolder folder;
  {
    AtomicFile file(folder / "a");
    file.write("half");
    AtomicFile moved(std::move(file));
    moved.write("more");
  }
  EXPECT_EQ(entries(folder), 0U);
}

TEST(AtomicFile, AFullDiskEndsInOneSentenceAndKeepsTheOldFile) {
  const TempFolder folder;
  write_file_atomic(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    fill_disk_under(file.temporary());
    expect_error<UserError>([&] { file.write("new"); }, {(folder / "a").string(), "No space left", "free some space"});
  }
  EXPECT_EQ(read_file(folder / "a"), "old");
  EXPECT_EQ(entries(folder), 1U);
}

TEST(AtomicFile, AFileThatALibraryWroteByNameIsCommitted) {
  const TempFolder folder;
  AtomicFile file(folder / "a");
  std::filesystem::remove(file.temporary());  // as libraries do that create the file anew
  std::ofstream(file.temporary()) << "by name";
  file.commit();
  EXPECT_EQ(read_file(folder / "a"), "by name");
}

TEST(AtomicFile, ImpossiblePathsAreNamed) {
  const TempFolder folder;
  write_file_atomic(folder / "file", "x");
  std::filesystem::create_directory(folder / "taken");
  expect_error<UserError>([&] { AtomicFile(folder / "none" / "a"); }, {"none/a", "No such file", "check the path"});
  expect_error<UserError>([&] { AtomicFile(folder / "file" / "a"); }, {"file/a", "Not a directory"});
  expect_error<UserError>([&] { write_file_atomic(folder / "taken", "x"); }, {"taken", "put in place"});
  EXPECT_EQ(entries(folder), 2U);
}

TEST(AtomicFile, AKilledProcessLeavesTheOldFileOrTheNewOneWhole) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "state";
  const auto content = [](int i) { return std::string(300'000, static_cast<char>('a' + i % 26)); };
  write_file_atomic(path, content(0));
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0;; ++i) write_file_atomic(path, content(i));
    }
    ::usleep(static_cast<useconds_t>(500 + 700 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    const std::string found = read_file(path);
    ASSERT_EQ(found.size(), 300'000U);
    ASSERT_EQ(found.find_first_not_of(found.front()), std::string::npos);
  }
  remove_leftovers(folder.path());
  EXPECT_EQ(entries(folder), 1U);
}

TEST(AtomicFile, ATemporaryNameThatIsTakenIsPassedOver) {
  const TempFolder folder;
  std::string mine;
  {
    const AtomicFile file(folder / "a");
    mine = file.temporary().filename().string();
  }
  // The names that come next, left behind by a killed process of the same number.
  const std::size_t dash = mine.rfind('-');
  const int next = std::stoi(mine.substr(dash + 1)) + 1;
  for (int i = next; i < next + 3; ++i) std::ofstream(folder / cat(mine.substr(0, dash + 1), i)) << "half";
  write_file_atomic(folder / "a", "whole");
  EXPECT_EQ(read_file(folder / "a"), "whole");
  remove_leftovers(folder.path());
  EXPECT_EQ(entries(folder), 1U);
}

TEST(Leftovers, AreRemovedInFoldersBelowToo) {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "phi-00000/checkpoints/.rehyat-part-7");
  std::ofstream(folder / "phi-00000/checkpoints/.rehyat-part-7/weights") << "half";
  std::ofstream(folder / "phi-00000/.before.json.rehyat-part-1-0") << "half";
  write_file_atomic(folder / "phi-00000/before.json", "x");
  std::filesystem::create_directory_symlink(folder / "phi-00000", folder / "link");
  remove_leftovers(folder.path());
  EXPECT_TRUE(std::filesystem::exists(folder / "phi-00000/before.json"));
  EXPECT_TRUE(std::filesystem::is_empty(folder / "phi-00000/checkpoints"));
  EXPECT_FALSE(std::filesystem::exists(folder / "phi-00000/.before.json.rehyat-part-1-0"));
}

TEST(Leftovers, OnlyTheyAreRemoved) {
  const TempFolder folder;
  write_file_atomic(folder / "keep", "x");
  std::ofstream(folder / ".keep.rehyat-part-1-0") << "half";
  std::filesystem::create_directories(folder / ".rehyat-part-7" / "inner");
  std::ofstream(folder / ".hidden") << "x";
  remove_leftovers(folder.path());
  EXPECT_EQ(entries(folder), 2U);
  remove_leftovers(folder / "none");  // nothing to do
}

TEST(KeepFile, AFileThatSaysTheSameIsNotTouched) {
  const TempFolder folder;
  keep_file(folder / "note", "same");
  const auto inode = [&] {
    struct stat info = {};
    EXPECT_EQ(::stat((folder / "note").c_str(), &info), 0);
    return info.st_ino;
  };
  // A hard link keeps the number of the old file from being given to a new one.
  std::filesystem::create_hard_link(folder / "note", folder / "link");
  const auto first = inode();
  keep_file(folder / "note", "same");
  EXPECT_EQ(inode(), first);
  keep_file(folder / "note", "more");  // as many bytes
  EXPECT_NE(inode(), first);
  EXPECT_EQ(read_file(folder / "note"), "more");
}

TEST(RemoveFile, SaysWhyItCannot) {
  const TempFolder folder;
  remove_file(folder / "none");  // nothing to do
  make_folder(folder / "kept");
  expect_error<UserError>([&] { remove_file(folder / "kept"); }, {"kept", "cannot be removed", "Is a directory"});
  expect_error<UserError>([&] { remove_files(folder / "none", "a"); }, {"none", "cannot be listed", "No such file"});
}

TEST(ReadFile, RefusesWhatIsMissingAFolderOrTooLarge) {
  const TempFolder folder;
  write_file_atomic(folder / "a", std::string(100'000, 'x'));
  EXPECT_EQ(read_file(folder / "a").size(), 100'000U);
  EXPECT_EQ(read_file(folder / "a", 100'000).size(), 100'000U);
  expect_error<UserError>([&] { read_file(folder / "a", 99'999); }, {"/a", "smaller file"});
  expect_error<UserError>([&] { read_file(folder / "b"); }, {"/b", "cannot be read", "check the path"});
  expect_error<UserError>([&] { read_file(folder.path()); }, {"found a folder, expected a file"});
}

TEST(MakeFolder, MakesParentsAndRefusesAFileInTheWay) {
  const TempFolder folder;
  make_folder(folder / "a/b/c");
  make_folder(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
  write_file_atomic(folder / "file", "x");
  expect_error<UserError>([&] { make_folder(folder / "file"); }, {"/file", "choose another path"});
  expect_error<UserError>([&] { make_folder(folder / "file/x"); }, {"/file/x", "choose another path"});
}

TEST(RequireSpace, SaysWhatIsFreeAndWhatIsNeeded) {
  const TempFolder folder;
  require_space(folder / "not/yet/made", 1, "a byte");
  expect_error<UserError>([&] { require_space(folder / "x", std::uint64_t{1} << 60, "the cache"); },
                          {"free", "for the cache", "expected"});
}

}  // namespace
}  // namespace rehyat
