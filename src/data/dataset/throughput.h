#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "comm/communicator.h"
#include "comm/tally.h"
#include "core/progress.h"
#include "data/dataset/prepare_result.h"

namespace rehyat::data {

/// Measures how fast all ranks get on and what they spend their time on. Rank 0 shows the progress of all ranks and
/// logs, every minute or so and at the end, a line such as
///
///     prepare: 3.1 clips/s over 4 ranks, of their time 35 % waiting for decoding, 52 % VAE, 2 % text
///     encoder; decoding threads busy 90 % of it
class Throughput {
 public:
  /// `total` clips, of which an earlier start has done `done`, with so many threads a rank that decode. Collective; the
  /// destructor too.
  Throughput(const comm::Communicator& world, std::int64_t total, std::int64_t done, int threads);

  /// Adds seconds of this rank: waiting for pictures, of its threads decoding, encoding.
  void spent(double waiting, double decode, double codec);
  void hdr_clip() { hdr_ += 1; }  ///< counts the clip at work as HDR
  void clip_done(const std::string& name);
  /// Ends the progress bar, before the text encoder starts. Not collective.
  void clips_finished();
  void text_encoded(double seconds);

  /// What all ranks have done and spent in this start.
  PrepareSpeed speed() const;
  /// How many clips of this start are HDR, on all ranks.
  std::int64_t hdr_clips() const;
  std::string line() const;

 private:
  using Clock = std::chrono::steady_clock;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  int ranks_, threads_;
  std::int64_t left_;  ///< clips to do in this start
  comm::Tally tally_;
  Progress progress_;
  Clock::time_point start_ = Clock::now(), said_ = start_;
  std::int64_t shown_ = 0;
  double waiting_ = 0, decode_ = 0, codec_ = 0, hdr_ = 0;  ///< of this rank, not yet in the tally
};

}  // namespace rehyat::data
