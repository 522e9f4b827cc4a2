#include "data/video/clip_maker.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include <algorithm>
#include <stdexcept>

namespace rehyat::data {
namespace {

void check(int code) {
  if (code < 0) throw std::runtime_error("FFmpeg failed in a test");
}

void set_display_matrix(AVStream* stream, const std::vector<std::int32_t>& matrix) {
  if (matrix.empty()) return;
  const std::size_t size = 9 * sizeof(std::int32_t);
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  AVCodecParameters* codec = stream->codecpar;
  auto* side =
      av_packet_side_data_new(&codec->coded_side_data, &codec->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX, size, 0);
  auto* data = side ? side->data : nullptr;
#else
  auto* data = av_stream_new_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, size);
#endif
  check(data ? 0 : -1);
  std::copy_n(reinterpret_cast<const std::uint8_t*>(matrix.data()), size, data);
}

}  // namespace

void make_clip(const std::filesystem::path& path, const at::Tensor& frames, const ClipSpec& spec) {
  AVFormatContext* format = nullptr;
  check(avformat_alloc_output_context2(&format, nullptr, nullptr, path.c_str()));
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_FFV1);
  AVCodecContext* encoder = avcodec_alloc_context3(codec);
  encoder->height = static_cast<int>(frames.size(1));
  encoder->width = static_cast<int>(frames.size(2));
  encoder->pix_fmt = AV_PIX_FMT_BGR0;
  encoder->time_base = {1, 1000};
  encoder->sample_aspect_ratio = {spec.pixel_aspect, 1};
  if (spec.hdr) encoder->color_trc = AVCOL_TRC_SMPTE2084;
  if (format->oformat->flags & AVFMT_GLOBALHEADER) encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  check(avcodec_open2(encoder, codec, nullptr));
  AVStream* stream = avformat_new_stream(format, nullptr);
  stream->time_base = encoder->time_base;
  stream->sample_aspect_ratio = encoder->sample_aspect_ratio;
  check(avcodec_parameters_from_context(stream->codecpar, encoder));
  set_display_matrix(stream, spec.display_matrix);
  check(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE));
  check(avformat_write_header(format, nullptr));

  AVFrame* picture = av_frame_alloc();
  picture->format = encoder->pix_fmt;
  picture->height = encoder->height;
  picture->width = encoder->width;
  check(av_frame_get_buffer(picture, 0));
  AVPacket* packet = av_packet_alloc();
  const at::Tensor bgr = frames.flip(3).contiguous();
  const auto pump = [&](const AVFrame* frame) {
    check(avcodec_send_frame(encoder, frame));
    while (avcodec_receive_packet(encoder, packet) == 0) {
      const auto next = std::ranges::upper_bound(spec.pts, packet->pts);
      packet->duration = next == spec.pts.end() ? 100 : *next - packet->pts;
      av_packet_rescale_ts(packet, encoder->time_base, stream->time_base);
      check(av_interleaved_write_frame(format, packet));
    }
  };
  for (std::int64_t i = 0; i < frames.size(0); ++i) {
    check(av_frame_make_writable(picture));
    const auto* pixels = bgr[i].const_data_ptr<std::uint8_t>();
    for (int y = 0; y < picture->height; ++y)
      for (int x = 0; x < picture->width; ++x)
        std::copy_n(pixels + 3 * (y * picture->width + x), 3, picture->data[0] + y * picture->linesize[0] + 4 * x);
    picture->pts = spec.pts.at(static_cast<std::size_t>(i));
    pump(picture);
  }
  pump(nullptr);
  check(av_write_trailer(format));
  av_packet_free(&packet);
  av_frame_free(&picture);
  avcodec_free_context(&encoder);
  avio_closep(&format->pb);
  avformat_free_context(format);
}

std::string silence() {
  const auto number = [](std::uint32_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  };
  const std::string format =
      number(1, 2) + number(1, 2) + number(8000, 4) + number(16000, 4) + number(2, 2) + number(16, 2);
  return "RIFF" + number(36 + 8000, 4) + "WAVEfmt " + number(16, 4) + format + "data" + number(8000, 4) +
         std::string(8000, '\0');
}

}  // namespace rehyat::data
