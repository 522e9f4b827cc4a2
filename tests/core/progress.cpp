#include "core/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/temp_folder.h"
#include "core/terminal.h"
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

TEST(Progress, PausesGrowUpToTenMinutes) {
  GrowingPauses pauses(1);
  EXPECT_FALSE(pauses.over(0.9));
  EXPECT_TRUE(pauses.over(1));
  EXPECT_FALSE(pauses.over(2.2));  // the next pause is 4/3 s
  EXPECT_TRUE(pauses.over(2.4));
  std::vector<double> lines;
  GrowingPauses of_a_week(1);
  for (int second = 1; second <= 7 * 86'400; ++second) {
    if (of_a_week.over(second)) lines.push_back(second);
  }
  EXPECT_LE(std::count_if(lines.begin(), lines.end(), [](double at) { return at <= 60; }), 11);
  EXPECT_LE(std::count_if(lines.begin(), lines.end(), [](double at) { return at <= 3600; }), 25);
  for (std::size_t i = 1; i < lines.size(); ++i) EXPECT_LE(lines[i] - lines[i - 1], 600);
  EXPECT_EQ(lines.back() - lines[lines.size() - 2], 600);
  GrowingPauses none(0);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(none.over(0));
}

TEST(ProgressBar, WhatMattersMostStaysWhereColumnsAreFew) {
  const ProgressBar bar{"distill", "steps", 12, 60, "3.2 steps/s", "4 s", "15 s left", {"loss 0.5", "norm 2"}};
  EXPECT_EQ(bar.in_columns(120),
            "[####....................] distill: 12/60 steps, 3.2 steps/s, 4 s, 15 s left, loss 0.5, norm 2");
  EXPECT_EQ(bar.in_columns(79), "[####..................] distill: 12/60 steps, 4 s, 15 s left, loss 0.5, norm 2");
  EXPECT_EQ(bar.in_columns(45), "distill: 12/60 steps, 15 s left, loss 0.5");
  EXPECT_EQ(bar.in_columns(32), "distill: 12/60 steps, 15 s left");
  EXPECT_EQ(bar.in_columns(19), "distill: 12/60");
  EXPECT_EQ(bar.in_columns(12), "disti: 12/60");
  EXPECT_EQ(bar.in_columns(5), "12/60");
  EXPECT_EQ(bar.in_columns(3), "12/");
  EXPECT_EQ(bar.in_columns(0), "");
  const ProgressBar empty{"x", "clips", 0, 0, "", "0 s", "", {}};
  EXPECT_EQ(empty.in_columns(30), "x: 0/0 clips, 0 s");
}

TEST(Terminal, ColumnsAreThoseThatTheScreenShows) {
  EXPECT_EQ(columns_of(""), 0U);
  EXPECT_EQ(columns_of("abc"), 3U);
  EXPECT_EQ(columns_of("\xE7\x8C\xAB"), 2U);      // a wide character
  EXPECT_EQ(columns_of("e\xCC\x81x"), 2U);        // a combining accent
  EXPECT_EQ(columns_of("\xF0\x9F\x98\x80"), 2U);  // an emoji
  EXPECT_EQ(columns_of("\xFF\xFE"), 2U);          // not UTF-8
  EXPECT_EQ(first_columns("\xE7\x8C\xAB\xE7\x8C\xAB", 3), "\xE7\x8C\xAB");
  EXPECT_EQ(first_columns("e\xCC\x81x", 1), "e\xCC\x81");
  EXPECT_EQ(first_columns("abc", 0), "");
  EXPECT_EQ(terminal_columns(-1), std::nullopt);
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

TEST(Log, AFileThatTakesNoMoreIsToldOnceAndTheWorkGoesOn) {
  log::setup(0, 1, log::Level::info);
  ::testing::internal::CaptureStderr();
  {
    const log::FileScope file("/dev/full");
    log::info("a line");
    log::record("another");
    log::debug("and one that is flushed in the end");
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  const std::size_t told = text.find("the log file is not whole: ");
  ASSERT_NE(told, std::string::npos) << text;
  EXPECT_NE(text.find("/dev/full", told), std::string::npos) << text;
  EXPECT_NE(text.find("No space left", told), std::string::npos) << text;
  EXPECT_EQ(text.find("the log file", told + 1), std::string::npos) << text;
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
