#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace rehyat::data {

struct VideoInfo {
  double seconds = 0;
  std::int64_t frames = 0;    ///< as the container says, else counted
  double rate = 0;            ///< average frames per second
  int width = 0, height = 0;  ///< as shown: after rotation, with square pixels
  std::string codec;
};

/// Version of the library that reads and writes videos; "none" in a build without one.
std::string video_library_version();

/// What the first video stream of the file is. Throws UserError with the path and the reason.
VideoInfo probe_video(const std::filesystem::path& path);

/// Decodes a clip from its start to uint8 RGB [F, height, width, 3]. Output frame i is the source frame that is on the
/// screen at time i / fps, so that variable frame rates keep their speed. The picture is turned upright, scaled until
/// it covers height x width, and cropped around its centre. `max_frames` 0 decodes the whole clip. Throws UserError
/// with the path and the reason: not a video, no video stream, damaged, cut short.
at::Tensor decode_clip(const std::filesystem::path& path, double fps, std::int64_t max_frames, std::int64_t height,
                       std::int64_t width);

/// Writes uint8 RGB [F, H, W, 3], H and W even, as an MP4 (H.264 where FFmpeg has libx264, else MPEG-4). Whole or
/// absent.
void write_video(const std::filesystem::path& path, const at::Tensor& frames, double fps);

/// One uint8 RGB picture [H, W, 3] as the bytes of a PNG file.
std::string encode_png(const at::Tensor& frame);

}  // namespace rehyat::data
