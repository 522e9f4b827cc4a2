#include "tensor/io_thread.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "tensor/hdf5_file.h"

namespace rehyat {
namespace {

using testing::expect_error;

/// What a job waits at until it is opened.
struct Gate {
  std::promise<void> promise;
  std::shared_future<void> passed = promise.get_future();
  std::function<void()> job() const {
    return [gate = passed] { gate.wait(); };
  }
  void open() { promise.set_value(); }
};

TEST(IoThread, RunsJobsInTheirOrderOnAThreadWithoutSignals) {
  std::vector<int> order, expected(50);
  std::iota(expected.begin(), expected.end(), 0);
  std::thread::id where;
  sigset_t blocked;
  IoThread thread(3);
  for (int i = 0; i < 50; ++i) thread.add([&order, i] { order.push_back(i); });
  thread.add([&] {
    where = std::this_thread::get_id();
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
  });
  thread.finish();
  EXPECT_EQ(order, expected);
  EXPECT_NE(where, std::this_thread::get_id());
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) EXPECT_EQ(sigismember(&blocked, signal), 1);
  EXPECT_EQ(thread.await(thread.ask([] { return 7; })), 7);
}

TEST(IoThread, HoldsNoMoreJobsThanItMay) {
  Gate gate;
  std::atomic<int> done = 0;
  int polls = 0;
  IoThread thread(2, [&] {
    if (++polls == 2) gate.open();
  });
  thread.add(gate.job());
  thread.add([&] { ++done; });
  EXPECT_EQ(polls, 0);
  thread.add([&] { ++done; });  // waits until one is done
  EXPECT_GE(polls, 2);
  EXPECT_GE(thread.seconds_of_waiting(), 0.02);
  thread.finish();
  EXPECT_EQ(done, 2);
}

TEST(IoThread, WhatPollThrowsEndsTheWaitingAndDropsWhatHasNotBegun) {
  Gate gate;
  std::atomic<int> done = 0;
  std::thread opener;
  {
    IoThread thread(2, [] { throw Stopped("asked to stop"); });
    thread.add(gate.job());
    thread.add([&] { ++done; });
    expect_error<Stopped>([&] { thread.add([&] { ++done; }); }, {"asked to stop"});
    expect_error<Stopped>([&] { thread.finish(); }, {"asked to stop"});
    opener = std::thread([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      gate.open();
    });
  }  // waits for the job that runs
  EXPECT_EQ(gate.passed.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  EXPECT_EQ(done, 0);
  opener.join();
}

TEST(IoThread, AnErrorComesWithTheNextCallOnceAndDropsWhatFollowed) {
  for (const int call : {0, 1, 2, 3}) {
    SCOPED_TRACE(call);
    Gate gate;
    int later = 0;
    IoThread thread(4);
    thread.add(gate.job());
    thread.add([] { throw UserError("/disk/a.h5: no space"); });
    thread.add([&] { ++later; });
    auto answer = thread.ask([&] { return ++later; });
    gate.open();
    const auto next = [&] {
      if (call == 0) thread.finish();
      if (call == 1) thread.await(std::move(answer));
      // Wait until the error is there, which these calls alone need not do.
      if (call >= 2) answer.wait();
      if (call == 2) thread.add([&] { ++later; });
      if (call == 3) thread.ask([&] { return ++later; });
    };
    expect_error<UserError>(next, {"/disk/a.h5: no space"});
    EXPECT_EQ(later, 0);
    thread.add([&] { later = 9; });
    thread.finish();
    EXPECT_EQ(later, 9);
  }
}

TEST(IoThread, AnErrorOfAJobWithAnAnswerIsOfThatAnswerAlone) {
  IoThread thread(4);
  auto bad = thread.ask([]() -> int { throw UserError("/disk/b.h5: damaged"); });
  auto good = thread.ask([] { return 5; });
  EXPECT_EQ(thread.await(std::move(good)), 5);
  thread.finish();
  expect_error<UserError>([&] { thread.await(std::move(bad)); }, {"/disk/b.h5: damaged"});
}

TEST(IoThread, AJobThatWasDroppedWithTheThreadFreesWhatItHeld) {
  Gate gate;
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = held;
  {
    IoThread thread(4);
    thread.add([passed = gate.passed] { passed.wait_for(std::chrono::milliseconds(30)); });
    thread.add([held] { ADD_FAILURE() << *held; });
    held.reset();
  }
  EXPECT_TRUE(watched.expired());
}

TEST(IoThread, FilesOfHdf5AreWrittenAndReadOnTwoThreadsAtOnce) {
  const testing::TempFolder folder;
  const auto values = [](int i) { return at::arange(5000, at::kFloat) + i; };
  constexpr int kFiles = 40;
  const auto write = [&](const std::string& prefix, int i) {
    Hdf5Writer writer(folder / (prefix + std::to_string(i)));
    writer.write("group/values", values(i));
    writer.attribute("about", "a text");
    writer.commit();
  };
  IoThread thread(4);
  for (int i = 0; i < kFiles; ++i) {
    thread.add([&write, i] { write("thread", i); });
    write("owner", i);
    if (i == 0) continue;
    auto read =
        thread.ask([&, i] { return Hdf5Reader(folder / ("owner" + std::to_string(i - 1))).read("group/values"); });
    EXPECT_TRUE(at::equal(Hdf5Reader(folder / ("owner" + std::to_string(i))).read("group/values"), values(i)));
    EXPECT_TRUE(at::equal(thread.await(std::move(read)), values(i - 1)));
  }
  thread.finish();
  for (int i = 0; i < kFiles; ++i)
    EXPECT_TRUE(at::equal(Hdf5Reader(folder / ("thread" + std::to_string(i))).read("group/values"), values(i)));
}

}  // namespace
}  // namespace rehyat
