#include "core/standard_streams.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <iostream>

#include "core/error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

/// The exit code of `work` in a process of its own, whose standard streams it may replace.
int in_child(const std::function<int()>& work) {
  std::cout.flush();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void replace_stdout(const char* path) {
  const int fd = ::open(path, O_WRONLY | O_CREAT, 0666);
  ::dup2(fd, STDOUT_FILENO);
  ::close(fd);
}

TEST(PrintResult, AResultThatDoesNotArriveIsAnError) {
  const int code = in_child([] {
    replace_stdout("/dev/full");
    try {
      print_result("{}\n");
      return 0;
    } catch (const UserError& error) {
      const std::string text = error.what();
      return text.starts_with("stdout: ") && text.find("No space left on device") != std::string::npos ? 7 : 1;
    }
  });
  EXPECT_EQ(code, 7);
}

TEST(PrintResult, ComesWholeBehindWhatWasPrintedBefore) {
  const testing::TempFolder folder;
  const std::string path = (folder / "out").string(), result(100'000, 'x');
  EXPECT_EQ(in_child([&] {
              replace_stdout(path.c_str());
              std::cout << "before ";
              print_result(result);
              return 0;
            }),
            0);
  EXPECT_EQ(read_file(path), "before " + result);
}

TEST(StandardStreams, NoFileTakesThePlaceOfAClosedOne) {
  const testing::TempFolder folder;
  const std::string path = (folder / "results").string();
  for (const int closed : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    EXPECT_EQ(in_child([&] {
                ::close(closed);
                hold_standard_streams();
                const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0666);
                return fd > STDERR_FILENO && ::fcntl(closed, F_GETFD) >= 0 ? 7 : 1;
              }),
              7)
        << closed;
  }
  EXPECT_EQ(in_child([] {
              for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(stream);
              hold_standard_streams();
              print_result("nobody reads this");
              return ::open("/dev/null", O_RDONLY) > STDERR_FILENO ? 7 : 1;
            }),
            7);
}

}  // namespace
}  // namespace rehyat
