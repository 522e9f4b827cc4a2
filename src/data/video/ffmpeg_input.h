#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "data/sources/clip_file.h"
#include "data/video/ffmpeg.h"
#include "files/file_bytes.h"

/// Files and their frames through FFmpeg; internal to data/video/ffmpeg*.cpp.
namespace rehyat::data::av {

/// FFmpeg's view of a member of an archive: a file that begins at the member and ends with it.
class MemberIo {
 public:
  explicit MemberIo(const ClipFile& clip);
  ~MemberIo();
  MemberIo(const MemberIo&) = delete;
  MemberIo& operator=(const MemberIo&) = delete;
  AVIOContext* context() const { return context_; }

 private:
  static int read(void* self, std::uint8_t* to, int bytes);
  static std::int64_t seek(void* self, std::int64_t offset, int whence);

  FileBytes file_;
  std::uint64_t first_, bytes_, place_ = 0;
  AVIOContext* context_ = nullptr;
};

/// An open file, its video stream and the stream's decoder.
class Input {
 public:
  explicit Input(const ClipFile& clip);
  ~Input() { avformat_close_input(&format_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  [[noreturn]] void broken(const std::string& why, const std::string& expected = "a readable video") const {
    fail(path_, why, expected);
  }

  /// As broken(), for an error code of FFmpeg; throws PassingFailure where the system is at fault.
  [[noreturn]] void failed(int code, const std::string& why) const;

  const AVFormatContext& format() const { return *format_; }
  const AVStream& stream() const { return *stream_; }
  AVCodecContext& decoder() const { return *decoder_; }
  double tick() const { return av_q2d(stream_->time_base); }
  /// Frames per second, on average.
  double rate() const;
  /// Width over height of a stored pixel.
  double pixel_aspect() const;

  /// The next packet of the video stream; false at the end.
  bool read(AVPacket& packet);
  /// Call at the end of the file: a download that stopped leaves less than the index lists.
  void check_complete() const;

 private:
  static void check_file(const ClipFile& clip);
  AVIOContext* open_bytes(const ClipFile& clip);
  void open_stream();

  std::string path_;
  Owner<AVIOContext> file_io_;           // where the clip is a whole file
  std::unique_ptr<MemberIo> member_io_;  // where it is a member of an archive
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  Owner<AVCodecContext> decoder_;
  std::int64_t packets_ = 0;
};

/// Decoded frames in the order of their presentation, each with its time in seconds since the first.
class FrameReader {
 public:
  explicit FrameReader(Input& input) : input_(input), packet_(av_packet_alloc()) {}

  /// Puts the next frame there; false at the end.
  bool next(AVFrame& frame);

  double time() const { return time_; }
  double duration() const { return duration_; }

 private:
  void feed();
  void damaged(int code) const;
  void take(const AVFrame& frame);

  Input& input_;
  Owner<AVPacket> packet_;
  std::int64_t count_ = 0;
  double first_ = 0, time_ = 0, duration_ = 0;
};

}  // namespace rehyat::data::av
