#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/dataset/clip_fault.h"
#include "data/dataset/windows.h"
#include "data/sources/clip_list.h"

namespace rehyat::data {

/// How the decoding of a clip ended.
struct ClipEnd {
  std::optional<ClipFault> fault;                 ///< it cannot be used; windows may have come before
  std::optional<nlohmann::ordered_json> dropped;  ///< it fits no bucket: file, why and reason
  ClipRemarks remarks;
  std::string state;          ///< of the clip's file before it was opened
  double decode_seconds = 0;  ///< that its thread was busy
};

/// Decodes clips in threads of its own, beside the encoder. Clips are begun in the order in which they were added and
/// are handed out in that order, so that what is made of them does not depend on the threads; no more are begun at a
/// time than there are threads, and each is at most one window ahead of the one that is being decoded. The rest of the
/// program sees it from one thread. The referenced objects outlive it.
class DecodedClips {
 public:
  /// `of_bucket` are the settings for the clips of each bucket.
  DecodedClips(const DataConfig& config, const std::vector<DataConfig>& of_bucket, const ClipList& clips, int threads);
  /// Waits for what is being decoded and drops it.
  ~DecodedClips();
  DecodedClips(const DecodedClips&) = delete;
  DecodedClips& operator=(const DecodedClips&) = delete;

  void add(const std::vector<std::size_t>& clips);
  /// Whether no added clip waits for a thread.
  bool all_begun() const;

  /// The next window of the first clip that has not been ended; nothing after its last one. Calls `while_waiting` now
  /// and then until it is there; what that throws, it throws.
  std::optional<PixelWindow> next(const std::function<void()>& while_waiting);
  /// Ends the clip whose windows `next` gave: with all of them given, or before, where the rest is not wanted. Throws
  /// what decoding threw that is no fault of the clip.
  ClipEnd end();

 private:
  struct Clip;
  void run();
  void decode(Clip& clip);
  std::optional<ClipFault> in_a_bucket(Clip& clip, ClipEnd& end);
  std::optional<ClipFault> windows(Clip& clip, std::size_t bucket, ClipEnd& end);
  bool hand_out(Clip& clip, PixelWindow window);

  const DataConfig& config_;
  const std::vector<DataConfig>& of_bucket_;
  const ClipList& clips_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Clip>> waiting_;  ///< for a thread
  std::deque<std::shared_ptr<Clip>> order_;    ///< not ended
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace rehyat::data
