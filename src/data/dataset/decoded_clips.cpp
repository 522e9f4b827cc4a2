#include "data/dataset/decoded_clips.h"

#include <chrono>
#include <utility>

#include "core/log.h"
#include "data/sources/buckets.h"
#include "files/checksum_memory.h"

namespace rehyat::data {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBetweenLooks{50};

}  // namespace

struct DecodedClips::Clip {
  explicit Clip(std::size_t of) : number(of) {}
  std::size_t number;
  // The lock guards what follows.
  std::optional<PixelWindow> ready;
  bool ended = false, unwanted = false;
  ClipEnd end;
  std::exception_ptr error;
};

DecodedClips::DecodedClips(const DataConfig& config, const std::vector<DataConfig>& of_bucket, const ClipList& clips,
                           int threads)
    : config_(config), of_bucket_(of_bucket), clips_(clips) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

DecodedClips::~DecodedClips() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void DecodedClips::add(const std::vector<std::size_t>& clips) {
  {
    const std::lock_guard lock(mutex_);
    for (const std::size_t clip : clips) {
      waiting_.push_back(std::make_shared<Clip>(clip));
      order_.push_back(waiting_.back());
    }
  }
  changed_.notify_all();
}

bool DecodedClips::all_begun() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty();
}

std::optional<PixelWindow> DecodedClips::next(const std::function<void()>& while_waiting) {
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Clip> clip = order_.front();
  while (!clip->ready && !clip->ended) {
    changed_.wait_for(lock, kBetweenLooks);
    lock.unlock();
    while_waiting();
    lock.lock();
  }
  std::optional<PixelWindow> out = std::exchange(clip->ready, std::nullopt);
  lock.unlock();
  changed_.notify_all();
  return out;
}

ClipEnd DecodedClips::end() {
  std::unique_lock lock(mutex_);
  const std::shared_ptr<Clip> clip = std::move(order_.front());
  order_.pop_front();
  clip->unwanted = true;
  clip->ready.reset();
  ClipEnd out = clip->end;
  const std::exception_ptr error = clip->error;
  lock.unlock();
  changed_.notify_all();
  if (error) std::rethrow_exception(error);
  return out;
}

void DecodedClips::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !waiting_.empty(); });
    if (closed_) return;
    const std::shared_ptr<Clip> clip = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    decode(*clip);
  }
}

void DecodedClips::decode(Clip& clip) {
  ClipEnd end;
  std::exception_ptr error;
  try {
    end.state = file_state(clips_.files[clip.number].path);
    {
      // A clip that is ended early, after some windows, has been in this state.
      const std::lock_guard lock(mutex_);
      clip.end.state = end.state;
    }
    end.fault = config_.buckets.empty() ? windows(clip, 0, end) : in_a_bucket(clip, end);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    clip.end = std::move(end);
    clip.error = error;
    clip.ended = true;
  }
  changed_.notify_all();
}

/// Looks for the clip's bucket. Where the clip turns out to be shorter than its container says, it looks again; and
/// before it drops a clip as too short, it measures it.
std::optional<ClipFault> DecodedClips::in_a_bucket(Clip& clip, ClipEnd& end) {
  const ClipFile& file = clips_.files[clip.number];
  VideoInfo info;
  ClipShape shape;
  const auto probe = [&](Length length) {
    return attempt(file, [&] {
      info = probe_video(file, length);
      shape = shape_of(info, config_.fps);
    });
  };
  std::optional<ClipFault> fault = probe(Length::stated);
  bool read = false;  // the number of pictures is known from reading them
  while (!fault) {
    const BucketChoice choice = choose_bucket(config_, shape);
    if (choice.too_short && !info.measured && !read) {
      fault = probe(Length::measured);
      continue;
    }
    if (!choice.bucket) {
      const std::string& name = clips_.videos[clip.number];
      end.dropped = {{"file", name}, {"why", choice.kind}, {"reason", choice.reason}};
      log::debug("clip dropped: ", name, ": ", choice.reason);
      return {};
    }
    fault = windows(clip, *choice.bucket, end);
    // Each turn the clip gets shorter. One that is too short has given no window.
    if (!fault || !fault->pictures || *fault->pictures >= shape.pictures) return fault;
    shape.pictures = *fault->pictures;
    read = true;
    fault.reset();
  }
  return fault;
}

/// Decodes the windows of a clip. Returns why the clip cannot be used; damage may show after some windows.
std::optional<ClipFault> DecodedClips::windows(Clip& clip, std::size_t bucket, ClipEnd& end) {
  const ClipFile& file = clips_.files[clip.number];
  std::optional<ClipWindows> source;
  for (;;) {
    std::optional<PixelWindow> window;
    const Clock::time_point start = Clock::now();
    const std::optional<ClipFault> fault = attempt(file, [&] {
      if (!source) source.emplace(of_bucket_[bucket], file);
      window = source->next();
    });
    end.decode_seconds += std::chrono::duration<double>(Clock::now() - start).count();
    if (fault) return fault;
    end.remarks = source->remarks();
    if (!window) return {};
    window->bucket = bucket;
    if (!hand_out(clip, std::move(*window))) return {};
  }
}

/// Waits until the window before has been taken. Returns false where nobody wants this one.
bool DecodedClips::hand_out(Clip& clip, PixelWindow window) {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || clip.unwanted || !clip.ready; });
    if (closed_ || clip.unwanted) return false;
    clip.ready = std::move(window);
  }
  changed_.notify_all();
  return true;
}

}  // namespace rehyat::data
