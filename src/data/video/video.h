#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/sources/clip_file.h"

namespace rehyat::data {

struct VideoInfo {
  double seconds = 0;
  std::int64_t frames = 0;    ///< as the container says; counted where it was measured
  double rate = 0;            ///< average frames per second; FFmpeg guesses it where the container says none
  bool measured = false;      ///< all packets were read: `seconds` holds at least what their time stamps span
  int width = 0, height = 0;  ///< as shown: after rotation, with square pixels
  std::string codec;
};

/// Version of the library that reads and writes videos; "none" in a build without one.
std::string video_library_version();

enum class Length {
  stated,   ///< as the container says; measured where it does not say it
  measured  ///< by the time stamps of all packets, which are read
};

/// What the video track of the clip is. Throws UserError with the clip and the reason.
VideoInfo probe_video(const ClipFile& clip, Length length = Length::stated);

/// What the user should hear of a clip that can be used.
struct ClipRemarks {
  bool hdr = false;   ///< its brightness follows PQ or HLG; pixels are taken as they are, without tone mapping
  std::string track;  ///< which of several video tracks is taken and why, where it is not the first choice of FFmpeg
};

/// The system and not the clip is at fault (memory, open files, a disk that does not answer): another try may succeed.
class PassingFailure : public UserError {
 public:
  using UserError::UserError;
};

/// Throws UserError in a build without FFmpeg.
void require_video_library();

struct PictureSize {
  std::int64_t height = 0, width = 0;
};

/// Plays a clip from its start at a fixed rate, one picture after the other, so that memory does not grow with the
/// clip. Picture i is the source frame that is on the screen at time i / fps, so that variable frame rates keep their
/// speed. A member of an archive is read where it lies. Throws UserError with the clip and the reason: not a video, no
/// video stream, damaged, cut short (see cut_short.h), a jump of over 10 s in the time stamps; PassingFailure where the
/// system is at fault.
class ClipReader {
 public:
  ClipReader(const ClipFile& clip, double fps, std::vector<PictureSize> sizes);
  ~ClipReader();
  ClipReader(const ClipReader&) = delete;
  ClipReader& operator=(const ClipReader&) = delete;

  /// Goes on to the next picture; false at the end. A clip has at least one.
  bool next();
  /// The picture at the i-th of the sizes, uint8 RGB [height, width, 3]: turned upright, scaled until it covers the
  /// size, cropped around its centre. Only pictures that are asked for are scaled, and each once; never write to it.
  at::Tensor picture(std::size_t size = 0);
  const ClipRemarks& remarks() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The pictures of a clip, uint8 RGB [F, height, width, 3], as ClipReader has them. `max_frames` 0 decodes the whole
/// clip, up to 64 GiB.
at::Tensor decode_clip(const ClipFile& clip, double fps, std::int64_t max_frames, std::int64_t height,
                       std::int64_t width);

/// Writes uint8 RGB [F, H, W, 3], H and W even, as an MP4 (H.264 where FFmpeg has libx264, else MPEG-4). Whole or
/// absent.
void write_video(const std::filesystem::path& path, const at::Tensor& frames, double fps);

/// One uint8 RGB picture [H, W, 3] as the bytes of a PNG file.
std::string encode_png(const at::Tensor& frame);

}  // namespace rehyat::data
