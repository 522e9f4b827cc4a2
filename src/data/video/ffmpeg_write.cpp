#include <cmath>

#include "core/strings.h"
#include "data/video/ffmpeg.h"
#include "data/video/video.h"
#include "files/atomic_file.h"

namespace rehyat::data {
namespace {

using av::Owner;

void check(int code, const std::string& where, const char* what) {
  if (code < 0) av::fail(where, cat(what, " failed (", av::reason(code), ")"), "a file written");
}

at::Tensor checked_picture(const at::Tensor& frames, std::int64_t dims, const std::string& where, bool even) {
  const bool fits = frames.defined() && frames.dim() == dims && frames.scalar_type() == at::kByte &&
                    frames.size(-1) == 3 && frames.numel() > 0;
  if (!fits)
    av::fail(where, frames.defined() ? cat(frames.scalar_type(), " ", shape_string(frames.sizes().vec())) : "nothing",
             dims == 4 ? "uint8 RGB [frames, height, width, 3]" : "uint8 RGB [height, width, 3]");
  if (even && (frames.size(1) % 2 != 0 || frames.size(2) % 2 != 0))
    av::fail(where, cat("pictures of ", frames.size(2), "x", frames.size(1)), "an even width and height");
  return frames.to(at::kCPU).contiguous();
}

/// The path as FFmpeg takes it for a file, whatever is in it: without the protocol, what stands before a colon is one.
std::string file_url(const std::filesystem::path& path) {
  return "file:" + path.string();
}

/// An MP4 file while it is written.
class Mp4 {
 public:
  Mp4(const std::filesystem::path& temporary, std::string where, std::int64_t height, std::int64_t width, double fps)
      : where_(std::move(where)), packet_(av_packet_alloc()), frame_(av_frame_alloc()) {
    check(avformat_alloc_output_context2(&format_, nullptr, "mp4", file_url(temporary).c_str()), where_,
          "making the container");
    try {
      open(temporary, height, width, fps);
    } catch (...) {
      close();
      throw;
    }
  }
  ~Mp4() { close(); }
  Mp4(const Mp4&) = delete;
  Mp4& operator=(const Mp4&) = delete;

  void add(const std::uint8_t* rgb) {
    check(av_frame_make_writable(frame_.get()), where_, "a new picture");
    const std::array<const std::uint8_t*, 4> planes{rgb};
    const std::array<int, 4> strides{encoder_->width * 3};
    sws_scale(scaler_.get(), planes.data(), strides.data(), 0, encoder_->height, frame_->data, frame_->linesize);
    frame_->pts = count_++;
    encode(frame_.get());
  }

  void finish() {
    encode(nullptr);
    check(av_write_trailer(format_), where_, "writing");
    check(avio_closep(&format_->pb), where_, "writing");
  }

 private:
  void open(const std::filesystem::path& temporary, std::int64_t height, std::int64_t width, double fps) {
    const AVCodec* codec = avcodec_find_encoder_by_name("libx264");
    const bool x264 = codec != nullptr;
    if (!codec) codec = avcodec_find_encoder(AV_CODEC_ID_MPEG4);
    if (!codec) av::fail(where_, "an FFmpeg without libx264 and MPEG-4 encoders", "one of them");
    encoder_.reset(avcodec_alloc_context3(codec));
    const AVRational rate = av_d2q(fps, 65535);  // MPEG-4 counts in 16 bits
    encoder_->width = static_cast<int>(width);
    encoder_->height = static_cast<int>(height);
    encoder_->time_base = av_inv_q(rate);
    encoder_->framerate = rate;
    encoder_->pix_fmt = AV_PIX_FMT_YUV420P;
    encoder_->colorspace = AVCOL_SPC_BT709;
    encoder_->color_primaries = AVCOL_PRI_BT709;
    encoder_->color_trc = AVCOL_TRC_BT709;
    encoder_->color_range = AVCOL_RANGE_MPEG;
    if (x264) {
      av_opt_set(encoder_->priv_data, "crf", "16", 0);
    } else {
      encoder_->flags |= AV_CODEC_FLAG_QSCALE;
      encoder_->global_quality = 2 * FF_QP2LAMBDA;
    }
    // No version strings: the same pictures give the same bytes.
    encoder_->flags |= AV_CODEC_FLAG_BITEXACT;
    format_->flags |= AVFMT_FLAG_BITEXACT;
    if (format_->oformat->flags & AVFMT_GLOBALHEADER) encoder_->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    check(avcodec_open2(encoder_.get(), codec, nullptr), where_, "opening the encoder");

    stream_ = avformat_new_stream(format_, nullptr);
    stream_->time_base = encoder_->time_base;
    stream_->avg_frame_rate = rate;
    check(avcodec_parameters_from_context(stream_->codecpar, encoder_.get()), where_, "making the stream");
    check(avio_open(&format_->pb, file_url(temporary).c_str(), AVIO_FLAG_WRITE), where_, "opening");
    check(avformat_write_header(format_, nullptr), where_, "writing the header");

    frame_->format = encoder_->pix_fmt;
    frame_->width = encoder_->width;
    frame_->height = encoder_->height;
    check(av_frame_get_buffer(frame_.get(), 0), where_, "a new picture");
    scaler_.reset(sws_getContext(
        encoder_->width, encoder_->height, AV_PIX_FMT_RGB24, encoder_->width, encoder_->height, encoder_->pix_fmt,
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP, nullptr, nullptr, nullptr));
    if (!scaler_) check(AVERROR(EINVAL), where_, "conversion from RGB");
    sws_setColorspaceDetails(scaler_.get(), sws_getCoefficients(SWS_CS_DEFAULT), 1, sws_getCoefficients(SWS_CS_ITU709),
                             0, 0, 1 << 16, 1 << 16);
  }

  void encode(const AVFrame* frame) {
    check(avcodec_send_frame(encoder_.get(), frame), where_, "encoding");
    for (;;) {
      const int code = avcodec_receive_packet(encoder_.get(), packet_.get());
      if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return;
      check(code, where_, "encoding");
      if (packet_->duration == 0) packet_->duration = 1;
      av_packet_rescale_ts(packet_.get(), encoder_->time_base, stream_->time_base);
      packet_->stream_index = stream_->index;
      check(av_interleaved_write_frame(format_, packet_.get()), where_, "writing");
    }
  }

  void close() {
    if (format_ && format_->pb) avio_closep(&format_->pb);
    avformat_free_context(format_);
    format_ = nullptr;
  }

  std::string where_;
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  Owner<AVCodecContext> encoder_;
  Owner<AVPacket> packet_;
  Owner<AVFrame> frame_;
  Owner<SwsContext> scaler_;
  std::int64_t count_ = 0;
};

}  // namespace

void write_video(const std::filesystem::path& path, const at::Tensor& frames, double fps) {
  av::quiet();
  const std::string where = path.string();
  const at::Tensor video = checked_picture(frames, 4, where, true);
  if (!std::isfinite(fps) || fps < 1e-3 || fps > 1e4) av::fail(where, cat(fps, " frames per second"), "0.001 to 10000");
  AtomicFile file(path);
  Mp4 mp4(file.temporary(), where, video.size(1), video.size(2), fps);
  for (std::int64_t i = 0; i < video.size(0); ++i) mp4.add(video[i].const_data_ptr<std::uint8_t>());
  mp4.finish();
  file.commit();
}

std::string encode_png(const at::Tensor& frame) {
  av::quiet();
  const std::string where = "PNG picture";
  const at::Tensor picture = checked_picture(frame, 3, where, false);
  const AVCodec* codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
  if (!codec) av::fail(where, "an FFmpeg without a PNG encoder", "one with it");
  Owner<AVCodecContext> encoder(avcodec_alloc_context3(codec));
  encoder->height = static_cast<int>(picture.size(0));
  encoder->width = static_cast<int>(picture.size(1));
  encoder->pix_fmt = AV_PIX_FMT_RGB24;
  encoder->time_base = {1, 1};
  encoder->flags |= AV_CODEC_FLAG_BITEXACT;
  check(avcodec_open2(encoder.get(), codec, nullptr), where, "opening the encoder");
  Owner<AVFrame> image(av_frame_alloc());
  image->format = encoder->pix_fmt;
  image->width = encoder->width;
  image->height = encoder->height;
  check(av_frame_get_buffer(image.get(), 0), where, "a new picture");
  const std::int64_t row = picture.size(1) * 3;
  const auto* pixels = picture.const_data_ptr<std::uint8_t>();
  for (std::int64_t y = 0; y < picture.size(0); ++y)
    std::copy_n(pixels + y * row, row, image->data[0] + y * image->linesize[0]);
  Owner<AVPacket> packet(av_packet_alloc());
  check(avcodec_send_frame(encoder.get(), image.get()), where, "encoding");
  check(avcodec_send_frame(encoder.get(), nullptr), where, "encoding");
  check(avcodec_receive_packet(encoder.get(), packet.get()), where, "encoding");
  return {reinterpret_cast<const char*>(packet->data), static_cast<std::size_t>(packet->size)};
}

}  // namespace rehyat::data
