#pragma once

#include <cstdint>
#include <limits>

#include "data/video/ffmpeg_input.h"

/// Decoded frames through FFmpeg; internal to data/video/ffmpeg*.cpp.
namespace rehyat::data::av {

constexpr double kMaxStill = 10;  // seconds that one frame may stay on the screen

/// Decoded frames in the order of their presentation, each with its time in seconds since the first.
///
/// A packet without bytes is how recorders write a dropped frame: the frame before it stays. A packet that the
/// container marks as corrupt is damage. In MPEG-TS the mark only says that the counter of packets jumped. Two
/// recordings may have been joined there, or a stretch was lost: a jump between two pictures counts as a join where the
/// decoder does not complain, a key frame comes next, and no time is missing.
class FrameReader {
 public:
  explicit FrameReader(Input& input) : input_(input), packet_(av_packet_alloc()) {}

  /// Puts the next frame there; false at the end. Throws UserError where the clip is damaged.
  bool next(AVFrame& frame);

  double time() const { return time_; }
  double duration() const { return duration_; }

 private:
  void feed();
  void check_join(const AVPacket& packet);
  void damaged(int code) const;
  [[noreturn]] void damaged_at(double seconds, int code) const;
  void take(const AVFrame& frame);
  double length_of(std::int64_t ticks) const;
  double now() const;

  static constexpr double kNever = std::numeric_limits<double>::quiet_NaN();  // compares false with every time

  Input& input_;
  Owner<AVPacket> packet_;
  std::int64_t count_ = 0;
  double first_ = 0, time_ = 0, duration_ = 0;
  double stamp_ = kNever;          ///< of the packet that was sent last, in seconds of the file's clock
  double start_ = kNever;          ///< stamp of the first key frame that the decoder took
  double last_stamp_ = kNever;     ///< of the frame that came out last
  double empty_until_ = kNever;    ///< end of the last packet without bytes
  double decoded_until_ = kNever;  ///< by the decoding time stamps, end of the packet that was sent last
  int doubt_ = 0;                  ///< how many of the next packets may be the first behind a join
  bool starts_anew_ = false;       ///< whether a key frame came among them
};

}  // namespace rehyat::data::av
