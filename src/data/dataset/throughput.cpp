#include "data/dataset/throughput.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/log.h"
#include "core/strings.h"

namespace rehyat::data {
namespace {

enum Sum : std::size_t { kClips, kWaiting, kDecode, kCodec, kText, kHdr, kSums };
constexpr std::chrono::seconds kBetweenLines{60};

std::string percent(double share) {
  return cat(std::lround(100 * share), " %");
}

}  // namespace

Throughput::Throughput(const comm::Communicator& world, std::int64_t total, std::int64_t done, int threads)
    : ranks_(world.size()),
      threads_(threads),
      left_(total - done),
      tally_(world, kSums),
      progress_("prepare", total, "clips", done) {}

void Throughput::spent(double waiting, double decode, double codec) {
  waiting_ += waiting;
  decode_ += decode;
  codec_ += codec;
}

void Throughput::clip_done(const std::string& name) {
  tally_.add({1, waiting_, decode_, codec_, 0, hdr_});
  waiting_ = decode_ = codec_ = hdr_ = 0;
  const auto done = static_cast<std::int64_t>(tally_.read()[kClips]);
  progress_.advance(done - shown_, name);
  shown_ = done;
  if (Clock::now() - said_ < kBetweenLines) return;
  said_ = Clock::now();
  log::info(line());
}

void Throughput::clips_finished() {
  progress_.advance(left_ - shown_);
  shown_ = left_;
  progress_.finish();
}

void Throughput::text_encoded(double seconds) {
  tally_.add({0, 0, 0, 0, seconds, 0});
}

PrepareSpeed Throughput::speed() const {
  const std::vector<double> sums = tally_.read();
  const double wall = std::max(seconds(), 1e-9), all = wall * ranks_;
  PrepareSpeed out;
  out.clips = static_cast<std::int64_t>(sums[kClips]);
  out.ranks = ranks_;
  out.clips_per_second = sums[kClips] / wall;
  out.wait_share = sums[kWaiting] / all;
  out.decode_share = sums[kDecode] / (all * threads_);
  out.vae_share = sums[kCodec] / all;
  out.text_share = sums[kText] / all;
  return out;
}

std::int64_t Throughput::hdr_clips() const {
  return static_cast<std::int64_t>(tally_.read()[kHdr]);
}

std::string Throughput::line() const {
  const PrepareSpeed s = speed();
  char rate[32];
  std::snprintf(rate, sizeof rate, "%.3g", s.clips_per_second);
  return cat("prepare: ", rate, " clips/s over ", ranks_, ranks_ == 1 ? " rank" : " ranks", ", of their time ",
             percent(s.wait_share), " waiting for decoding, ", percent(s.vae_share), " VAE, ", percent(s.text_share),
             " text encoder; decoding threads busy ", percent(s.decode_share), " of it");
}

}  // namespace rehyat::data
