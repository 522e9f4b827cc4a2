#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>

namespace rehyat {

/// Runs jobs on a thread of its own, one after the other in the order in which they were given, so that the owner's
/// thread need not wait for disks. One thread, the owner's, gives jobs and waits for them. Signals go to the other
/// threads of the program.
class IoThread {
 public:
  /// `most`: so many jobs may be open at once, the running one included; `add` and `ask` wait where there are more,
  /// which bounds what the jobs hold. `poll` is called on the owner's thread every 20 ms that it waits; what it throws
  /// ends the waiting.
  explicit IoThread(std::size_t most, std::function<void()> poll = {});
  /// Drops the jobs that have not begun and waits for the one that runs.
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  /// A job without an answer. What it throws drops all jobs that were given after it, and is thrown once, by the next
  /// call of the owner.
  void add(std::function<void()> job);
  /// A job with an answer. What it throws comes with the answer and concerns no other job.
  template <typename Work>
  auto ask(Work work) -> std::future<std::invoke_result_t<Work>> {
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Work>()>>(std::move(work));
    auto answer = task->get_future();
    add([task] { (*task)(); });
    return answer;
  }
  /// The answer of a job, once it is there; or what the job threw.
  template <typename T>
  T await(std::future<T> answer) {
    const Waiting waiting(*this);
    while (answer.wait_for(kPause) != std::future_status::ready) poll();
    throw_error();
    return answer.get();
  }
  /// Returns once no job is open.
  void finish();
  /// How long the owner has waited so far, for room or for answers.
  double seconds_of_waiting() const { return seconds_of_waiting_; }

 private:
  static constexpr std::chrono::milliseconds kPause{20};
  using Clock = std::chrono::steady_clock;

  /// Adds the time of its life to seconds_of_waiting_.
  class Waiting {
   public:
    explicit Waiting(IoThread& thread) : thread_(thread) {}
    ~Waiting() { thread_.seconds_of_waiting_ += std::chrono::duration<double>(Clock::now() - start_).count(); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;

   private:
    IoThread& thread_;
    Clock::time_point start_ = Clock::now();
  };

  void poll() const {
    if (poll_) poll_();
  }
  void run();
  void wait_until_fewer_than(std::size_t jobs, std::unique_lock<std::mutex>& lock);
  void throw_error();  ///< of a job without an answer, where there is one

  const std::size_t most_;
  const std::function<void()> poll_;
  std::mutex mutex_;  ///< of what follows
  std::condition_variable has_job_, has_room_;
  std::deque<std::function<void()>> jobs_;  ///< the first one runs, where `running_`
  bool running_ = false, end_ = false;
  std::exception_ptr error_;
  double seconds_of_waiting_ = 0;  ///< the owner's alone
  std::thread thread_;
};

}  // namespace rehyat
