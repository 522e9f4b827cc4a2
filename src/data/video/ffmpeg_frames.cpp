#include "data/video/ffmpeg_frames.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "core/strings.h"

namespace rehyat::data::av {
namespace {

/// The parser between demuxer and decoder may move the mark to the frame before: the join is before one of the next
/// two.
constexpr int kAfterMark = 2;
constexpr double kMissing = 0.5;  // of a frame's length

}  // namespace

bool FrameReader::next(AVFrame& frame) {
  for (;;) {
    av_frame_unref(&frame);
    const int code = avcodec_receive_frame(&input_.decoder(), &frame);
    if (code == AVERROR_EOF) {
      // Frames that were dropped at the end leave the last one on the screen.
      if (empty_until_ - first_ > time_ + duration_) duration_ = std::min(empty_until_ - first_ - time_, kMaxStill);
      return false;
    }
    if (code == 0) {
      take(frame);
      return true;
    }
    if (code != AVERROR(EAGAIN)) {
      damaged(code);
      continue;
    }
    feed();
  }
}

double FrameReader::length_of(std::int64_t ticks) const {
  return ticks > 0 ? static_cast<double>(ticks) * input_.tick() : 1 / input_.rate();
}

void FrameReader::feed() {
  if (!input_.read(*packet_)) {
    input_.check_complete();
    avcodec_send_packet(&input_.decoder(), nullptr);
    return;
  }
  const std::int64_t told = packet_->pts != AV_NOPTS_VALUE ? packet_->pts : packet_->dts;
  const double stamp = told != AV_NOPTS_VALUE ? static_cast<double>(told) * input_.tick() : kNever;
  if (packet_->size == 0) {
    empty_until_ = stamp + length_of(packet_->duration);
    return;
  }
  stamp_ = stamp;
  check_join(*packet_);
  const int code = avcodec_send_packet(&input_.decoder(), packet_.get());
  if (code < 0 && code != AVERROR(EAGAIN)) {
    damaged(code);
  } else if (std::isnan(start_) && packet_->flags & AV_PKT_FLAG_KEY) {
    start_ = stamp_;
  }
}

void FrameReader::check_join(const AVPacket& packet) {
  const double begin = packet.dts != AV_NOPTS_VALUE ? static_cast<double>(packet.dts) * input_.tick() : kNever;
  const double length = length_of(packet.duration);
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  if (packet.flags & AV_PKT_FLAG_CORRUPT) {
    if (!input_.may_be_joined()) damaged(AVERROR_INVALIDDATA);
    doubt_ = kAfterMark;
    starts_anew_ = false;
  } else if (doubt_ > 0) {
    starts_anew_ = starts_anew_ || key;
    const bool missing = begin - decoded_until_ > kMissing * length;
    if (missing || (--doubt_ == 0 && !starts_anew_)) damaged(AVERROR_INVALIDDATA);
  }
  decoded_until_ = begin + length;
}

/// Seconds from the first frame to the packet that was sent last.
double FrameReader::now() const {
  if (count_ == 0) return stamp_ - start_;
  const double ahead = stamp_ - last_stamp_;
  return time_ + (ahead > 0 ? ahead : duration_);  // a clock that runs backwards tells nothing
}

/// A stream that was cut out of a longer one may start with packets that need what came before: what the decoder says
/// before its first key frame, or of frames that are shown before that one, is no damage.
void FrameReader::damaged(int code) const {
  if (count_ > 0 || stamp_ > start_) damaged_at(now(), code);
}

void FrameReader::damaged_at(double seconds, int code) const {
  char time[32];
  std::snprintf(time, sizeof time, "%.3g", seconds);
  input_.failed(code, cat("damaged ", time, " s after its start (", reason(code), ")"));
}

void FrameReader::take(const AVFrame& frame) {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  const double step = length_of(frame.duration);
#else
  const double step = length_of(frame.pkt_duration);
#endif
  std::optional<double> stamp;  // the PTS, else the DTS
  if (frame.best_effort_timestamp != AV_NOPTS_VALUE)
    stamp = static_cast<double>(frame.best_effort_timestamp) * input_.tick();
  if (count_ == 0) {
    first_ = stamp.value_or(0);
    time_ = 0;
  } else {
    const double expected = time_ + duration_;
    const double told = stamp ? *stamp - first_ : expected;
    if (told - time_ > kMaxStill)
      input_.broken(cat("a jump of ", told - time_, " s in the time stamps after frame ", count_ - 1),
                    cat("frames that follow each other within ", kMaxStill, " s"));
    time_ = told > time_ ? told : expected;  // a clock that stands still or runs backwards is not believed
    if (frame.decode_error_flags != 0) damaged_at(time_, AVERROR_INVALIDDATA);
  }
  last_stamp_ = stamp.value_or(kNever);
  duration_ = std::min(step, kMaxStill);
  ++count_;
}

}  // namespace rehyat::data::av
