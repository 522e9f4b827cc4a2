#include "core/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

void set_columns(int terminal, unsigned short columns) {
  winsize size{};
  size.ws_row = 50;
  size.ws_col = columns;
  EXPECT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);
}

/// Runs `work` in a process whose stderr is a terminal, and returns what it showed there. The terminal does not know
/// its columns where they are 0.
std::string on_terminal(const std::function<void()>& work, unsigned short columns = 0) {
  const int screen = ::posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT_GE(screen, 0);
  EXPECT_EQ(::grantpt(screen), 0);
  EXPECT_EQ(::unlockpt(screen), 0);
  set_columns(screen, columns);
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

/// The bars that were drawn, each without the line end behind it.
std::vector<std::string> bars_in(const std::string& shown) {
  const std::string clear = "\r\033[K";
  std::vector<std::string> out;
  for (std::size_t at = 0; (at = shown.find(clear, at)) != std::string::npos;) {
    at += clear.size();
    const std::string bar = shown.substr(at, std::min(shown.find_first_of("\r\n", at), shown.size()) - at);
    if (bar.starts_with("20") || bar.empty()) continue;  // a line of the log, which begins with its date
    out.push_back(bar);
  }
  return out;
}

TEST(Terminal, ABarIsNeverAsWideAsTheTerminal) {
  const std::string title = "sampling \xE7\x8C\xAB\xE7\x8C\xAB e\xCC\x81\nsecond line \x1b[2J";
  for (const unsigned short columns : {2, 20, 21, 40, 59, 60, 80, 99, 100, 132, 200}) {
    const std::string shown = on_terminal(
        [&] {
          Progress progress(title, 1000, "steps");
          std::this_thread::sleep_for(std::chrono::milliseconds(150));
          progress.advance(10, "loss 0.69315, norm 0.123, lr 0.001, 12 ms, 340 samples/s, 1.5 TFLOP/s a GPU");
          log::warn("a line between");
          progress.finish("done");
        },
        columns);
    const auto bars = bars_in(shown);
    ASSERT_EQ(bars.size(), 3U) << shown;
    for (const std::string& bar : bars) EXPECT_LT(columns_of(bar), columns) << bar;
    const auto holds = [&](const char* part) { return bars.front().find(part) != std::string::npos; };
    EXPECT_EQ(holds("10/1000"), columns >= 20) << bars.front();
    EXPECT_EQ(holds(" left, loss 0.69315"), columns >= 99) << bars.front();
    EXPECT_EQ(holds("TFLOP/s a GPU"), columns >= 200) << bars.front();
  }
}

TEST(Terminal, WithoutAKnownWidthABarFitsEightyColumns) {
  const std::string shown = on_terminal([] {
    Progress progress(std::string(200, 'x'), 1000, "steps");
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
    progress.advance(10, "loss 0.69315");
  });
  const auto bars = bars_in(shown);
  ASSERT_EQ(bars.size(), 1U) << shown;
  EXPECT_EQ(columns_of(bars.front()), 79U) << bars.front();
}

TEST(Terminal, ABarFollowsTheSizeOfTheWindow) {
  const std::string shown = on_terminal(
      [] {
        Progress progress("training a model of a long name", 1000, "steps");
        for (const unsigned short columns : {120, 40, 120}) {
          set_columns(STDERR_FILENO, columns);
          std::this_thread::sleep_for(std::chrono::milliseconds(150));
          progress.advance(10, "loss 0.69315, norm 0.123, lr 0.001, 12 ms");
        }
      },
      80);
  const auto bars = bars_in(shown);
  ASSERT_EQ(bars.size(), 3U) << shown;
  EXPECT_LT(columns_of(bars[1]), 40U) << bars[1];
  EXPECT_GT(columns_of(bars[0]), 40U) << bars[0];
  EXPECT_GT(columns_of(bars[2]), 40U) << bars[2];
}

TEST(Terminal, TheFileGetsLinesOfProgressNowAndThen) {
  const auto lines_with = [](std::chrono::milliseconds first_pause) {
    const testing::TempFolder folder;
    on_terminal([&] {
      const log::FileScope file(folder / "log.txt");
      Progress progress("caching", 100, "clips", 0, first_pause);
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
