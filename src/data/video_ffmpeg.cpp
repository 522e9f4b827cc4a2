#include "data/video_ffmpeg.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/strings.h"
#include "data/video.h"

namespace rehyat::data {
namespace {

using av::Owner;

constexpr const char* kExpected = "a readable video";
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 26;  // of one scaled frame
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 36;   // of one decoded clip

/// How the stored picture becomes the upright one: transposed first, then mirrored.
struct Orientation {
  bool transpose = false, mirror_x = false, mirror_y = false;
};

Orientation orientation_of(const AVStream& stream) {
  const std::uint8_t* data = nullptr;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 102)
  const AVPacketSideData* side = av_packet_side_data_get(
      stream.codecpar->coded_side_data, stream.codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  if (side && side->size >= 9 * sizeof(std::int32_t)) data = side->data;
#else
  std::size_t size = 0;
  data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (size < 9 * sizeof(std::int32_t)) data = nullptr;
#endif
  if (!data) return {};
  std::array<std::int32_t, 9> m{};
  std::copy_n(data, sizeof(m), reinterpret_cast<std::uint8_t*>(m.data()));
  // x' = m0 x + m3 y and y' = m1 x + m4 y; angles between are taken to the nearest quarter turn.
  const auto size_of = [](std::int32_t v) { return std::abs(static_cast<double>(v)); };
  if (size_of(m[0]) + size_of(m[4]) >= size_of(m[1]) + size_of(m[3])) return {false, m[0] < 0, m[4] < 0};
  return {true, m[3] < 0, m[1] < 0};
}

/// An open file, its video stream and the stream's decoder.
class Input {
 public:
  explicit Input(const std::filesystem::path& path) : path_(path.string()) {
    av::quiet();
    check_file(path);
    format_ = avformat_alloc_context();
    // Containers only: playlists would make FFmpeg open other files.
    format_->format_whitelist =
        av_strdup("mov,matroska,avi,mpeg,mpegvideo,mpegts,ogg,asf,flv,gif,m4v,h264,hevc,ivf,dv");
    int code = avformat_open_input(&format_, path.c_str(), nullptr, nullptr);  // frees the context when it fails
    if (code < 0) broken(av::reason(code));
    try {
      open_stream();
    } catch (...) {
      avformat_close_input(&format_);
      throw;
    }
  }
  ~Input() { avformat_close_input(&format_); }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  [[noreturn]] void broken(const std::string& why) const { av::fail(path_, why, kExpected); }

  const AVFormatContext& format() const { return *format_; }
  const AVStream& stream() const { return *stream_; }
  AVCodecContext& decoder() const { return *decoder_; }
  double tick() const { return av_q2d(stream_->time_base); }

  double rate() const {
    for (const AVRational& rate : {stream_->avg_frame_rate, stream_->r_frame_rate})
      if (rate.num > 0 && rate.den > 0) return av_q2d(rate);
    return 25;
  }

  /// Width over height of a stored pixel.
  double pixel_aspect() const {
    const AVRational aspect = av_guess_sample_aspect_ratio(format_, stream_, nullptr);
    return aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1.0;
  }

  /// The next packet of the video stream; false at the end.
  bool read(AVPacket& packet) {
    for (;;) {
      av_packet_unref(&packet);
      const int code = av_read_frame(format_, &packet);
      if (code == AVERROR_EOF) return false;
      if (code < 0) broken(cat("damaged after ", packets_, " video packets (", av::reason(code), ")"));
      if (packet.stream_index != stream_->index) continue;
      ++packets_;
      return true;
    }
  }

  /// Call at the end of the file: a download that stopped leaves fewer packets than the index lists.
  void check_complete() const {
    // Only MP4 lists each frame; AVI also counts the gaps between them.
    if (!std::string_view(format_->iformat->name).starts_with("mov")) return;
    if (static_cast<double>(packets_) < 0.9 * static_cast<double>(stream_->nb_frames) - 1)
      broken(cat("a file cut short, with ", packets_, " of ", stream_->nb_frames, " frames"));
  }

 private:
  void check_file(const std::filesystem::path& path) const {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) av::fail(path_, "no such file", kExpected);
    if (!std::filesystem::is_regular_file(path, error)) av::fail(path_, "not a regular file", kExpected);
    if (std::filesystem::file_size(path, error) == 0) av::fail(path_, "an empty file", kExpected);
  }

  void open_stream() {
    int code = avformat_find_stream_info(format_, nullptr);
    if (code < 0) broken(av::reason(code));
    const int index = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    if (index < 0) broken("no video stream");
    stream_ = format_->streams[index];
    if (stream_->disposition & AV_DISPOSITION_ATTACHED_PIC) broken("no video stream but a cover picture");
    const AVCodec* codec = avcodec_find_decoder(stream_->codecpar->codec_id);
    if (!codec)
      broken(cat("codec ", avcodec_get_name(stream_->codecpar->codec_id), ", which this FFmpeg cannot decode"));
    decoder_.reset(avcodec_alloc_context3(codec));
    code = avcodec_parameters_to_context(decoder_.get(), stream_->codecpar);
    if (code < 0) broken(av::reason(code));
    decoder_->pkt_timebase = stream_->time_base;
    decoder_->thread_count = 1;  // clips are shared out over the ranks
    code = avcodec_open2(decoder_.get(), codec, nullptr);
    if (code < 0) broken(cat("codec ", codec->name, ", which does not open (", av::reason(code), ")"));
    for (unsigned i = 0; i < format_->nb_streams; ++i)
      if (static_cast<int>(i) != index) format_->streams[i]->discard = AVDISCARD_ALL;
  }

  std::string path_;
  AVFormatContext* format_ = nullptr;
  AVStream* stream_ = nullptr;
  Owner<AVCodecContext> decoder_;
  std::int64_t packets_ = 0;
};

/// Decoded frames in the order of their presentation, each with its time in seconds since the first.
class FrameReader {
 public:
  explicit FrameReader(Input& input) : input_(input), packet_(av_packet_alloc()), frame_(av_frame_alloc()) {}

  /// nullptr at the end.
  const AVFrame* next() {
    for (;;) {
      av_frame_unref(frame_.get());
      const int code = avcodec_receive_frame(&input_.decoder(), frame_.get());
      if (code == 0) return take();
      if (code == AVERROR_EOF) return nullptr;
      if (code != AVERROR(EAGAIN)) {
        damaged(code);
        continue;
      }
      feed();
    }
  }

  double time() const { return time_; }
  double duration() const { return duration_; }

 private:
  void feed() {
    if (input_.read(*packet_)) {
      if (packet_->flags & AV_PKT_FLAG_CORRUPT) damaged(AVERROR_INVALIDDATA);
      const int code = avcodec_send_packet(&input_.decoder(), packet_.get());
      if (code < 0 && code != AVERROR(EAGAIN)) damaged(code);
      return;
    }
    input_.check_complete();
    avcodec_send_packet(&input_.decoder(), nullptr);
  }

  /// A stream that was cut out of a longer one may start with packets that need what came before.
  void damaged(int code) const {
    if (count_ > 0) input_.broken(cat("damaged after frame ", count_ - 1, " (", av::reason(code), ")"));
  }

  const AVFrame* take() {
    if (frame_->decode_error_flags != 0) damaged(AVERROR_INVALIDDATA);
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    const std::int64_t ticks = frame_->duration;
#else
    const std::int64_t ticks = frame_->pkt_duration;
#endif
    const double step = ticks > 0 ? static_cast<double>(ticks) * input_.tick() : 1 / input_.rate();
    std::optional<double> stamp;  // the PTS, else the DTS
    if (frame_->best_effort_timestamp != AV_NOPTS_VALUE)
      stamp = static_cast<double>(frame_->best_effort_timestamp) * input_.tick();
    if (count_ == 0) {
      first_ = stamp.value_or(0);
      time_ = 0;
    } else {
      const double expected = time_ + duration_;
      const double told = stamp ? *stamp - first_ : expected;
      time_ = told > time_ ? told : expected;  // a clock that stands still or runs backwards is not believed
    }
    duration_ = step;
    ++count_;
    return frame_.get();
  }

  Input& input_;
  Owner<AVPacket> packet_;
  Owner<AVFrame> frame_;
  std::int64_t count_ = 0;
  double first_ = 0, time_ = 0, duration_ = 0;
};

/// Any decoded frame to upright RGB [height, width, 3].
class Scaler {
 public:
  Scaler(const Input& input, std::int64_t height, std::int64_t width)
      : input_(input), upright_(orientation_of(input.stream())), height_(height), width_(width) {}

  at::Tensor operator()(const AVFrame& frame) {
    const bool turned = upright_.transpose;
    // The stored picture must cover the target as it lies before it is turned.
    const std::int64_t need_w = turned ? height_ : width_, need_h = turned ? width_ : height_;
    const double shown_w = frame.width * input_.pixel_aspect(), shown_h = frame.height;
    const double scale = std::max(static_cast<double>(need_w) / shown_w, static_cast<double>(need_h) / shown_h);
    const auto w = std::max(need_w, static_cast<std::int64_t>(std::llround(shown_w * scale)));
    const auto h = std::max(need_h, static_cast<std::int64_t>(std::llround(shown_h * scale)));
    if (w > kMaxPixels || h > kMaxPixels || w * h > kMaxPixels)
      input_.broken(
          cat("pictures of ", frame.width, "x", frame.height, ", too narrow to cover ", width_, "x", height_));
    at::Tensor rgb = scaled(frame, h, w);
    rgb = rgb.narrow(0, (h - need_h) / 2, need_h).narrow(1, (w - need_w) / 2, need_w);
    if (turned) rgb = rgb.transpose(0, 1);
    std::vector<std::int64_t> mirrored;
    if (upright_.mirror_y) mirrored.push_back(0);
    if (upright_.mirror_x) mirrored.push_back(1);
    return mirrored.empty() ? rgb.contiguous() : rgb.flip(mirrored).contiguous();
  }

 private:
  at::Tensor scaled(const AVFrame& frame, std::int64_t h, std::int64_t w) {
    const auto format = static_cast<AVPixelFormat>(frame.format);
    const bool shrinks = w < frame.width || h < frame.height;
    const int flags = (shrinks ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
    context_.reset(sws_getCachedContext(context_.release(), frame.width, frame.height, format, static_cast<int>(w),
                                        static_cast<int>(h), AV_PIX_FMT_RGB24, flags, nullptr, nullptr, nullptr));
    if (!context_) input_.broken("a pixel format that cannot be converted to RGB");
    int space = frame.colorspace;
    if (space == AVCOL_SPC_UNSPECIFIED || space == AVCOL_SPC_RGB)
      space = frame.height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    const bool jpeg = format == AV_PIX_FMT_YUVJ420P || format == AV_PIX_FMT_YUVJ422P || format == AV_PIX_FMT_YUVJ444P;
    sws_setColorspaceDetails(context_.get(), sws_getCoefficients(space), jpeg || frame.color_range == AVCOL_RANGE_JPEG,
                             sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    // swscale writes whole vectors: rows are padded.
    const std::int64_t stride = (w * 3 + 63) / 64 * 64 + 64;
    at::Tensor buffer = at::empty({h, stride}, at::kByte);
    std::array<std::uint8_t*, 4> planes{buffer.data_ptr<std::uint8_t>()};
    std::array<int, 4> strides{static_cast<int>(stride)};
    const int rows =
        sws_scale(context_.get(), frame.data, frame.linesize, 0, frame.height, planes.data(), strides.data());
    if (rows != h) input_.broken("a picture that cannot be converted to RGB");
    return buffer.narrow(1, 0, w * 3).view({h, w, 3});
  }

  const Input& input_;
  Orientation upright_;
  std::int64_t height_, width_;
  Owner<SwsContext> context_;
};

}  // namespace

std::string video_library_version() {
  return cat("FFmpeg ", av_version_info());
}

VideoInfo probe_video(const std::filesystem::path& path) {
  Input input(path);
  const AVStream& stream = input.stream();
  VideoInfo info;
  info.codec = avcodec_get_name(stream.codecpar->codec_id);
  info.rate = input.rate();
  info.height = stream.codecpar->height;
  info.width = static_cast<int>(std::lround(stream.codecpar->width * input.pixel_aspect()));
  if (orientation_of(stream).transpose) std::swap(info.width, info.height);
  info.frames = stream.nb_frames;
  if (stream.duration != AV_NOPTS_VALUE && stream.duration > 0) {
    info.seconds = static_cast<double>(stream.duration) * input.tick();
  } else if (input.format().duration != AV_NOPTS_VALUE && input.format().duration > 0) {
    info.seconds = static_cast<double>(input.format().duration) / AV_TIME_BASE;
  }
  if (info.frames <= 0) {
    Owner<AVPacket> packet(av_packet_alloc());
    while (input.read(*packet)) ++info.frames;
  }
  if (info.frames == 0) input.broken("a video stream without a frame");
  if (info.seconds <= 0) info.seconds = static_cast<double>(info.frames) / info.rate;
  return info;
}

at::Tensor decode_clip(const std::filesystem::path& path, double fps, std::int64_t max_frames, std::int64_t height,
                       std::int64_t width) {
  require(std::isfinite(fps) && fps > 0, [&] { return cat("fps: found ", fps, ", expected a positive number"); });
  require(max_frames >= 0, [&] { return cat("frames: found ", max_frames, ", expected 0 (all) or more"); });
  require(height > 0 && width > 0 && height <= kMaxPixels / width,
          [&] { return cat("size: found ", height, "x", width, ", expected a positive height and width"); });
  Input input(path);
  FrameReader reader(input);
  Scaler scale(input, height, width);
  // Half a tick, because stamps are rounded to ticks; less where ticks are as coarse as frames.
  const double slack = std::min(0.5 * input.tick(), 6e-4) + 1e-9;
  std::vector<at::Tensor> out;
  const auto full = [&] { return max_frames > 0 && static_cast<std::int64_t>(out.size()) >= max_frames; };
  const auto show_until = [&](const at::Tensor& picture, double end) {
    while (!full() && static_cast<double>(out.size()) / fps < end - slack) {
      if (static_cast<std::int64_t>(out.size() + 1) > kMaxBytes / (height * width * 3))
        input.broken(cat("over ", human_bytes(kMaxBytes), " of pictures at ", fps, " frames per second"));
      out.push_back(picture);
    }
  };
  at::Tensor current;
  double end = 0;
  while (!full()) {
    const AVFrame* frame = reader.next();
    if (!frame) break;
    if (current.defined()) show_until(current, reader.time());
    end = reader.time() + reader.duration();
    // A frame that is over before the next output time need not be converted, but the first is always shown.
    current = scale(*frame);
  }
  if (!current.defined()) input.broken("no frame that can be decoded");
  show_until(current, end);
  if (out.empty()) out.push_back(current);
  return at::stack(out);
}

}  // namespace rehyat::data
