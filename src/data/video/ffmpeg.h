#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "core/error.h"

/// Owners and errors for FFmpeg's C interface; internal to data/video/ffmpeg*.cpp.
namespace rehyat::data::av {

struct Delete {
  void operator()(AVIOContext* p) const { avio_close(p); }
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(SwsContext* p) const { sws_freeContext(p); }
};

template <typename T>
using Owner = std::unique_ptr<T, Delete>;

inline std::string reason(int code) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(code, text.data(), text.size());
  return text.data();
}

[[noreturn]] inline void fail(const std::string& where, const std::string& found, const std::string& expected,
                              const std::string& hint = "") {
  throw UserError(Mistake{where, found, expected, hint});
}

/// FFmpeg's own messages have no place in our log: what matters reaches the user as a UserError.
inline void quiet() {
  av_log_set_level(AV_LOG_QUIET);
}

}  // namespace rehyat::data::av
