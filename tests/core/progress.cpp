#include "core/progress.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

TEST(Progress, EstimatesFromThisRunsSpeedOnly) {
  Progress progress("caching", 100, "clips", 50);
  EXPECT_EQ(progress.seconds_left(), 0);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  progress.advance(10);
  // 10 of the 50 that are left took the time so far: the other 40 take four times as long.
  EXPECT_NEAR(progress.seconds_left() / progress.seconds(), 4, 0.5);
  progress.advance(50);  // more than the total
  EXPECT_EQ(progress.seconds_left(), 0);
}

TEST(Progress, PrintsOneClosingLine) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("caching", 3, "clips");
    for (int i = 0; i < 3; ++i) progress.advance();
    progress.finish("all well");
    progress.finish("again");
    log::flush();
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("caching: 3/3 clips"), std::string::npos) << text;
  EXPECT_NE(text.find("all well"), std::string::npos);
  EXPECT_EQ(text.find("again"), std::string::npos);
}

TEST(Progress, AnEmptyTotalIsNoDivisionByZero) {
  Progress progress("nothing", 0, "clips");
  progress.advance(0);
  progress.finish();
  EXPECT_EQ(progress.seconds_left(), 0);
}

TEST(Log, AFileTakesEverythingWhileItIsOpenAndTheTerminalOnlyItsLevel) {
  const testing::TempFolder folder;
  log::setup(0, 1, log::Level::info);
  ::testing::internal::CaptureStderr();
  {
    const log::FileScope file(folder / "run.log");
    log::debug("detail ", 1);
    log::info("shown ", 2, " {} %s");  // braces are text
    log::error("bad ", 3);
    log::record("for the file alone");
  }
  log::debug("late detail");
  log::info("late");
  const std::string terminal = ::testing::internal::GetCapturedStderr();
  const std::string text = read_file(folder / "run.log");
  for (const char* part : {"detail 1", "shown 2 {} %s", "bad 3", "for the file alone"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(text.find("late"), std::string::npos);
  EXPECT_EQ(terminal.find("detail"), std::string::npos) << terminal;
  EXPECT_EQ(terminal.find("alone"), std::string::npos);
  EXPECT_NE(terminal.find("late"), std::string::npos);
}

TEST(Log, AFileThatCannotBeWrittenIsNamed) {
  const testing::TempFolder folder;
  testing::expect_error<UserError>([&] { const log::FileScope file(folder / "."); },
                                   {"a log file that can be written"});
}

TEST(Log, AFileIsContinuedNotReplaced) {
  const testing::TempFolder folder;
  for (const char* part : {"first", "second"}) {
    const log::FileScope file(folder / "run.log");
    log::record(part);
  }
  const std::string text = read_file(folder / "run.log");
  EXPECT_NE(text.find("first"), std::string::npos);
  EXPECT_NE(text.find("second"), std::string::npos);
}

TEST(Log, OtherRanksSayOnlyWhatIsWrongAndWho) {
  log::setup(3, 4, log::Level::info);
  ::testing::internal::CaptureStderr();
  log::info("quiet");
  log::warn("odd");
  log::flush();
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("quiet"), std::string::npos);
  EXPECT_NE(text.find("odd"), std::string::npos);
  EXPECT_NE(text.find('3'), std::string::npos);
  log::setup(0, 1, log::Level::info);
}

TEST(Signals, ASignalIsARequestToStop) {
  // In a process of its own: the flag stays set.
  const auto raised = [] {
    install_stop_signals();
    if (stop_requested()) std::_Exit(1);
    std::raise(SIGTERM);
    if (!stop_requested()) std::_Exit(2);
    std::raise(SIGUSR1);  // a second one of another kind changes nothing
    std::raise(SIGINT);
    std::_Exit(3);
  };
  EXPECT_EXIT(raised(), ::testing::ExitedWithCode(128 + SIGINT), "asked to stop");
  EXPECT_FALSE(stop_requested());
}

}  // namespace
}  // namespace rehyat
