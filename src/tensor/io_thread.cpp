#include "tensor/io_thread.h"

#include <csignal>

namespace rehyat {

IoThread::IoThread(std::size_t most, std::function<void()> poll) : most_(most), poll_(std::move(poll)) {
  // A new thread begins with its maker's mask.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

IoThread::~IoThread() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
    if (running_) {
      dropped.assign(std::make_move_iterator(jobs_.begin() + 1), std::make_move_iterator(jobs_.end()));
      jobs_.resize(1);
    } else {
      dropped.swap(jobs_);
    }
  }
  has_job_.notify_one();
  thread_.join();
}

void IoThread::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    has_job_.wait(lock, [this] { return end_ || !jobs_.empty(); });
    if (end_) return;
    running_ = true;
    std::exception_ptr error;
    {
      const std::function<void()> job = std::move(jobs_.front());
      lock.unlock();
      try {
        job();
      } catch (...) {
        error = std::current_exception();
      }
    }  // what the job held is freed before its place is
    std::deque<std::function<void()>> dropped;
    lock.lock();
    running_ = false;
    jobs_.pop_front();
    if (error) {
      error_ = error;
      dropped.swap(jobs_);
    }
    has_room_.notify_one();
    if (dropped.empty()) continue;
    lock.unlock();
    dropped.clear();
    lock.lock();
  }
}

void IoThread::wait_until_fewer_than(std::size_t jobs, std::unique_lock<std::mutex>& lock) {
  if (jobs_.size() < jobs) return;
  const Waiting waiting(*this);
  while (!has_room_.wait_for(lock, kPause, [&] { return jobs_.size() < jobs; })) {
    lock.unlock();
    poll();
    lock.lock();
  }
}

void IoThread::throw_error() {
  std::exception_ptr error;
  {
    const std::lock_guard lock(mutex_);
    error = std::exchange(error_, nullptr);
  }
  if (error) std::rethrow_exception(error);
}

void IoThread::add(std::function<void()> job) {
  throw_error();
  {
    std::unique_lock lock(mutex_);
    wait_until_fewer_than(most_, lock);
    if (!error_) jobs_.push_back(std::move(job));
  }
  throw_error();
  has_job_.notify_one();
}

void IoThread::finish() {
  {
    std::unique_lock lock(mutex_);
    wait_until_fewer_than(1, lock);
  }
  throw_error();
}

}  // namespace rehyat
