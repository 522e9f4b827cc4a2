#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "comm/idle_ranks.h"
#include "comm/mpi_test_main.h"
#include "comm/tally.h"
#include "comm/work_queue.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "tensor/error_text.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::world;

std::string text_of(int rank) {
  return std::string(static_cast<std::size_t>(rank) * 1000, static_cast<char>('a' + rank)) + '\0' + "end";
}

TEST(World, RanksAreNumberedAndLocalRanksLieWithin) {
  EXPECT_GE(world().rank(), 0);
  EXPECT_LT(world().rank(), world().size());
  EXPECT_LE(world().local_size(), world().size());
  EXPECT_LT(world().local_rank(), world().local_size());
}

TEST(AGroupOfOne, NeedsNoMpiRankBesideIt) {
  const comm::Communicator alone;
  EXPECT_EQ(alone.size(), 1);
  at::Tensor value = at::full({2}, 3.0);
  alone.all_reduce_sum(value);
  alone.broadcast(value, 0);
  alone.barrier();
  EXPECT_EQ(value[1].item<double>(), 3.0);
  EXPECT_EQ(alone.all_gather(std::string("x")), std::vector<std::string>{"x"});
  EXPECT_EQ(alone.all_gather(2.5), std::vector<double>{2.5});
  EXPECT_FALSE(alone.any(false));
}

TEST(Text, GatherKeepsTheOrderOfTheRanksAndEveryByte) {
  const auto all = world().all_gather(text_of(world().rank()));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(world().size()));
  for (int r = 0; r < world().size(); ++r) EXPECT_EQ(all[static_cast<std::size_t>(r)], text_of(r));
  const auto mostly_empty = world().all_gather(std::string(world().rank() == 0 ? "only" : ""));
  EXPECT_EQ(mostly_empty.front(), "only");
  EXPECT_EQ(mostly_empty.back(), world().size() > 1 ? "" : "only");
}

TEST(Text, GatherTakesMoreThanOneCallCanCarry) {
  const auto size_of = [](int rank) { return std::size_t{9'000'000} + static_cast<std::size_t>(rank); };
  std::string mine(size_of(world().rank()), static_cast<char>('a' + world().rank()));
  mine.back() = '!';
  const auto all = world().all_gather(mine);
  for (int r = 0; r < world().size(); ++r) {
    const std::string& text = all[static_cast<std::size_t>(r)];
    ASSERT_EQ(text.size(), size_of(r));
    EXPECT_EQ(text.find_first_not_of(static_cast<char>('a' + r)), text.size() - 1);
    EXPECT_EQ(text.back(), '!');
  }
}

TEST(Text, BroadcastGivesTheRootsText) {
  for (int root = 0; root < world().size(); ++root) {
    EXPECT_EQ(world().broadcast(text_of(world().rank()), root), text_of(root));
    EXPECT_EQ(world().broadcast(world().rank() == root ? std::string() : std::string("mine"), root), "");
  }
}

TEST(Numbers, GatherAndAny) {
  const auto all = world().all_gather(world().rank() + 0.5);
  for (std::size_t r = 0; r < all.size(); ++r) EXPECT_EQ(all[r], static_cast<double>(r) + 0.5);
  EXPECT_FALSE(world().any(false));
  EXPECT_TRUE(world().any(true));
  for (int r = 0; r < world().size(); ++r) EXPECT_TRUE(world().any(world().rank() == r));
}

TEST(Together, RunsOnEveryRank) {
  int calls = 0;
  world().all_or_none([&] { ++calls; });
  EXPECT_EQ(calls, 1);
}

TEST(Together, AFailureOnOneRankEndsAllAndNamesIt) {
  for (int failing = 0; failing < world().size(); ++failing) {
    const auto work = [&] {
      if (world().rank() == failing) throw UsageError("the disk of this rank is full");
    };
    if (world().rank() == failing) {
      expect_error<UsageError>([&] { world().all_or_none(work); }, {"the disk of this rank is full"});
    } else {
      expect_error<UserError>([&] { world().all_or_none(work); },
                              {cat("rank ", failing, " failed"), "the disk of this rank is full"});
    }
  }
  EXPECT_TRUE(world().any(true));  // nobody is left waiting in another call
}

TEST(Together, ErrorsOfAnyKindAreShared) {
  const auto nameless = [] {
    if (world().rank() == 0) throw std::runtime_error("");
  };
  const auto no_exception = [] {
    if (world().rank() == 0) throw 7;
  };
  if (world().rank() == 0) {
    EXPECT_THROW(world().all_or_none(nameless), std::runtime_error);
    EXPECT_THROW(world().all_or_none(no_exception), int);
  } else {
    expect_error<UserError>([&] { world().all_or_none(nameless); }, {"rank 0 failed"});
    expect_error<UserError>([&] { world().all_or_none(no_exception); }, {"rank 0 failed"});
  }
  EXPECT_TRUE(world().any(true));
}

TEST(Together, OnlyTheFirstFailingRankHasSomethingToTell) {
  // All fail, as with a mistake in the config; and all but rank 0.
  for (const int from : {0, 1}) {
    if (from >= world().size()) continue;
    const auto work = [&] {
      if (world().rank() >= from) throw UsageError(cat("unknown key on rank ", world().rank()));
    };
    try {
      world().all_or_none(work);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const UsageError& error) {
      const bool silent = dynamic_cast<const comm::ReportedByAnotherRank*>(&error) != nullptr;
      EXPECT_EQ(silent, world().rank() != from);
      EXPECT_NE(std::string(error.what()).find(cat("unknown key on rank ", from)), std::string::npos) << error.what();
    }
  }
}

TEST(Together, WithinAnotherOneTheRankThatFailedReportsItself) {
  const int failing = world().size() - 1;
  const auto inner = [&] {
    if (world().rank() == failing) throw UserError("the disk is full");
  };
  try {
    world().all_or_none([&] { world().all_or_none(inner); });
    ADD_FAILURE() << "nothing was thrown";
  } catch (const UserError& error) {
    const bool mine = world().rank() == failing;
    EXPECT_EQ(dynamic_cast<const comm::ReportedByAnotherRank*>(&error) == nullptr, mine);
    EXPECT_EQ(std::string(error.what()),
              mine ? "the disk is full" : cat("rank ", failing, " failed: the disk is full"));
  }
}

TEST(Together, AFailureCountsMoreThanAStop) {
  const auto work = [] {
    if (world().rank() == 0) throw Stopped("asked to stop");
    throw UserError("the disk is full");
  };
  if (world().size() == 1) {
    EXPECT_THROW(world().all_or_none(work), Stopped);
  } else {
    expect_error<UserError>([&] { world().all_or_none(work); }, {"the disk is full"});
  }
}

TEST(LengthyWork, EndsSoonOnAllRanksWhereOneFailed) {
  using Length = comm::Communicator::Length;
  for (int failing = 0; failing < world().size(); ++failing) {
    constexpr int kSteps = 6000;  // a minute
    int step = 0;
    const auto work = [&] {
      if (world().rank() == failing) throw UserError("no space left");
      for (; step < kSteps; ++step) {
        world().poll();
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    };
    expect_error<UserError>([&] { world().all_or_none(work, Length::lengthy); }, {"no space left"});
    EXPECT_LT(step, kSteps);
    EXPECT_NO_THROW(world().poll()) << "the alarm is over";
    world().barrier();  // or the next round's alarm could be seen
  }
  // A rank that is done already, and one that never polls.
  const auto uneven = [&] {
    if (world().rank() == world().size() - 1) throw Stopped("asked to stop");
  };
  EXPECT_THROW(world().all_or_none(uneven, Length::lengthy), Stopped);
  EXPECT_NO_THROW(world().poll());
  world().barrier();
  EXPECT_NO_THROW(world().all_or_none([] { world().poll(); }, Length::lengthy));
  EXPECT_TRUE(world().any(true));
}

TEST(LengthyWork, TheFailureIsInTheLogAtOnce) {
  if (world().size() == 1) return;
  ::testing::internal::CaptureStderr();
  const auto work = [] {
    if (world().rank() == 1) throw UserError("no space left");
  };
  EXPECT_THROW(world().all_or_none(work, comm::Communicator::Length::lengthy), UserError);
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("no space left") != std::string::npos, world().rank() == 1) << text;
}

TEST(Together, MessagesOfLibtorchComeWithoutTheirTrace) {
  const auto work = [] {
    if (world().rank() == 0) at::zeros({2, 3}).matmul(at::zeros({4}));
  };
  try {
    world().all_or_none(work);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const std::exception& error) {
    const std::string text = message_of(error);
    EXPECT_EQ(text.find("frame #"), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    EXPECT_NE(text.find("size"), std::string::npos) << text;
  }
}

TEST(IdleRanks, AreSaidWithTheShareOfTimeThatIsLost) {
  const comm::SharedWork samples{"[finetune]", 16, "samples a step", "finetune.global_batch"};
  for (const int ranks : {1, 2, 4, 16}) EXPECT_EQ(comm::idle_ranks(samples, ranks), "");
  EXPECT_EQ(comm::idle_ranks(samples, 64),
            "[finetune]: found 16 samples a step on 64 ranks: 48 ranks have nothing to do, 75 % of all ranks' time is "
            "lost; set finetune.global_batch to a multiple of 64, or start 16 ranks, which are as fast");
  EXPECT_EQ(comm::idle_ranks(samples, 12),
            "[finetune]: found 16 samples a step on 12 ranks: the shares are uneven, 33 % of all ranks' time is lost; "
            "set finetune.global_batch to a multiple of 12, or start 8 ranks, which are as fast");
  EXPECT_EQ(comm::idle_ranks(samples, 3),
            "[finetune]: found 16 samples a step on 3 ranks: the shares are uneven, 11 % of all ranks' time is lost; "
            "set finetune.global_batch to a multiple of 3");
  EXPECT_EQ(comm::idle_ranks({"[distill]", 1, "blocks", ""}, 2),
            "[distill]: found 1 blocks on 2 ranks: 1 rank has nothing to do, 50 % of all ranks' time is lost; "
            "start 1 rank, which is as fast");
  EXPECT_EQ(comm::idle_ranks({"[distill]", 15, "blocks", ""}, 4), "");  // no other number of ranks is better
  EXPECT_EQ(comm::idle_ranks({"[distill]", 0, "blocks", ""}, 4), "");
}

std::string jobs_of(comm::WorkQueue& queue) {
  std::string taken;
  while (const auto job = queue.next()) {
    taken += cat(*job, ' ');
    // Uneven work: rank 0 is the slowest.
    std::this_thread::sleep_for(std::chrono::microseconds(world().rank() == 0 ? 300 : 50));
  }
  return taken;
}

TEST(WorkQueue, HandsOutEachJobOnce) {
  for (const std::int64_t count : {0, 1, 3, 200}) {
    comm::WorkQueue queue(world(), count);
    std::vector<std::int64_t> taken;
    const auto all = world().all_gather(jobs_of(queue));
    for (const std::string& text : all) {
      std::istringstream in(text);
      std::int64_t last = -1;
      for (std::int64_t job = 0; in >> job; last = job) {
        EXPECT_GT(job, last) << "in order on each rank";
        taken.push_back(job);
      }
    }
    std::sort(taken.begin(), taken.end());
    std::vector<std::int64_t> expected(static_cast<std::size_t>(count));
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(taken, expected);
    EXPECT_FALSE(queue.next().has_value());
  }
}

TEST(OneSidedMemory, ARankThatFailsWhileItHoldsOneStopsTheOthers) {
  for (int failing = 0; failing < world().size(); ++failing) {
    const auto work = [&] {
      comm::WorkQueue queue(world(), 1'000'000);
      comm::Tally tally(world(), 3);
      if (world().rank() == failing) throw UserError("no memory left");
      while (queue.next()) {
        tally.add({1, 1, 1});
        world().poll();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    };
    expect_error<UserError>([&] { world().all_or_none(work, comm::Communicator::Length::lengthy); },
                            {world().rank() == failing ? "no memory left" : cat("rank ", failing, " failed")});
    world().barrier();
  }
  // What comes after is not disturbed.
  comm::WorkQueue queue(world(), 3);
  while (queue.next()) {
  }
  EXPECT_TRUE(world().any(true));
}

TEST(Tally, SumsOverAllRanks) {
  comm::Tally tally(world(), 2);
  EXPECT_EQ(tally.read().size(), 2U);
  for (int i = 0; i < 100; ++i) tally.add({1, 0.5 * world().rank()});
  EXPECT_GE(tally.read()[0], 100);
  world().barrier();
  const double ranks = world().size();
  EXPECT_EQ(tally.read(), (std::vector<double>{100 * ranks, 25 * ranks * (ranks - 1)}));
  expect_error<UserError>([&] { tally.add({1}); }, {"1 numbers", "2"});
  world().barrier();
}

}  // namespace
}  // namespace rehyat
