#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>

#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

/// Runs `work` in a process whose stderr is a terminal, and returns what it showed there.
std::string on_terminal(const std::function<void()>& work) {
  const int screen = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_GE(screen, 0);
  EXPECT_EQ(::grantpt(screen), 0);
  EXPECT_EQ(::unlockpt(screen), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int terminal = ::open(::ptsname(screen), O_RDWR | O_NOCTTY);
    ::dup2(terminal, STDERR_FILENO);
    ::close(terminal);
    ::close(screen);
    work();
    std::fflush(stderr);
    ::_exit(0);
  }
  std::string text(1 << 16, '\0'), all;
  for (ssize_t count = 0; (count = ::read(screen, text.data(), text.size())) > 0;)
    all.append(text, 0, static_cast<std::size_t>(count));  // ends with an error when the child is gone
  ::close(screen);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return all;
}

TEST(Terminal, LinesOfTheLogDoNotStickToTheBar) {
  const std::string text = on_terminal([] {
    Progress progress("caching", 100, "clips");
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    progress.advance(10);
    log::warn("clip set aside");
    log::debug("below the level");
    progress.finish();
    log::info("after the bar");
  });
  const std::string clear = "\r\033[K";
  const std::size_t bar = text.find("10/100 clips"), warning = text.find("clip set aside");
  ASSERT_NE(bar, std::string::npos) << text;
  ASSERT_NE(warning, std::string::npos) << text;
  const std::size_t cleared = text.rfind(clear, warning);
  ASSERT_NE(cleared, std::string::npos) << text;
  EXPECT_GT(cleared, bar) << text;
  EXPECT_EQ(text.substr(cleared + clear.size(), 2), "20") << text;  // the line begins with its date
  EXPECT_NE(text.find("10/100 clips", warning), std::string::npos) << "the bar is drawn again: " << text;
  const std::size_t after = text.find("after the bar");
  ASSERT_NE(after, std::string::npos) << text;
  EXPECT_EQ(text.substr(text.rfind('\n', after) + 1, 2), "20") << text;
  EXPECT_NE(text.find("clips/s", warning), std::string::npos);
  EXPECT_EQ(text.find("below the level"), std::string::npos);
}

TEST(Terminal, TheFileGetsLinesOfProgressNowAndThen) {
  const auto lines_with = [](std::chrono::milliseconds between_lines) {
    const testing::TempFolder folder;
    on_terminal([&] {
      const log::FileScope file(folder / "log.txt");
      Progress progress("caching", 100, "clips", 0, between_lines);
      progress.advance(10);
      progress.advance(20);
      progress.finish("all well");
    });
    return read_file(folder / "log.txt");
  };
  const std::string often = lines_with(std::chrono::milliseconds(0)), seldom = lines_with(std::chrono::hours(1));
  for (const char* line : {"caching: 10/100 clips", "caching: 30/100 clips", "all well"})
    EXPECT_NE(often.find(line), std::string::npos) << often;
  EXPECT_EQ(seldom.find("caching: 10/100 clips"), std::string::npos) << seldom;
  EXPECT_NE(seldom.find("all well"), std::string::npos) << seldom;
  EXPECT_EQ(often.find('#'), std::string::npos) << "bars belong to terminals: " << often;
}

TEST(Terminal, WhereTheCallerWritesItsOwnLinesTheFileGetsNone) {
  const testing::TempFolder folder;
  on_terminal([&] {
    const log::FileScope file(folder / "log.txt");
    Progress progress("training", 100, "steps", 0, std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    progress.show(10);
  });
  EXPECT_EQ(read_file(folder / "log.txt"), "");
}

TEST(Terminal, ASignalIsAnsweredAtOnce) {
  const std::string text = on_terminal([] {
    install_stop_signals();
    std::raise(SIGTERM);
    std::raise(SIGTERM);
  });
  const std::size_t line = text.find("asked to stop");
  ASSERT_NE(line, std::string::npos) << text;
  EXPECT_EQ(text.find("asked to stop", line + 1), std::string::npos) << "once: " << text;
  EXPECT_EQ(on_terminal([] {
              install_stop_signals(false);
              std::raise(SIGTERM);
            }),
            "");
}

}  // namespace
}  // namespace rehyat
