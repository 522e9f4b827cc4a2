#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "data/sources/clip_file.h"
#include "data/video/ffmpeg.h"
#include "data/video/video.h"
#include "files/file_bytes.h"

/// Files and their packets through FFmpeg; internal to data/video/ffmpeg*.cpp.
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

/// An open file, its video track and the track's decoder. Of several tracks FFmpeg's choice counts, unless that is one
/// picture beside a track of more.
class Input {
 public:
  /// Throws UserError, also where the container says that the file was cut short.
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

  const ClipRemarks& remarks() const { return remarks_; }
  /// Whether the mark of a corrupt packet may come from joined recordings: in MPEG-TS it says that the counter of
  /// packets jumped, which is a join where it is between two pictures.
  bool may_be_joined();

  /// The next packet of the video stream; false at the end.
  bool read(AVPacket& packet);
  /// Call at the end of the file: throws UserError where the index of an MP4 lists frames behind it.
  void check_complete() const;

 private:
  struct Track {
    int index = 0;
    bool read_ahead = false;  ///< packets were read to find it
  };
  static void check_file(const ClipFile& clip);
  AVIOContext* open_bytes(const ClipFile& clip);
  void check_whole(AVIOContext* io) const;
  void open_container(AVIOContext* io, const std::string& name);
  /// Throws where the first bytes tell what is there in place of a video, such as a Git LFS pointer.
  void explain_start(AVIOContext* io) const;
  Track choose_track();
  void open_decoder(int index);

  ClipFile clip_;
  std::string path_;
  Owner<AVIOContext> file_io_;           // where the clip is a whole file
  std::unique_ptr<MemberIo> member_io_;  // where it is a member of an archive
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  Owner<AVCodecContext> decoder_;
  std::optional<bool> may_be_joined_;  // nothing: not asked yet
  std::int64_t packets_ = 0;
  ClipRemarks remarks_;
};

}  // namespace rehyat::data::av
