#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/strings.h"
#include "core/units.h"
#include "data/video/ffmpeg_frames.h"
#include "data/video/ffmpeg_input.h"
#include "data/video/video.h"

namespace rehyat::data {
namespace {

using av::FrameReader;
using av::Input;
using av::Owner;

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

/// Any decoded frame to upright RGB [height, width, 3].
class Scaler {
 public:
  Scaler(const Input& input, PictureSize size)
      : input_(input), upright_(orientation_of(input.stream())), height_(size.height), width_(size.width) {}

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

/// Counts the packets and adds up what their decoding time stamps span. A jump of the clock, as where recordings were
/// joined, counts as one frame; so does a packet without a stamp.
void measure(Input& input, VideoInfo& info) {
  const Owner<AVPacket> packet(av_packet_alloc());
  double seconds = 0, length = 0;
  std::optional<double> last;
  info.frames = 0;
  while (input.read(*packet)) {
    double step = length;
    length = packet->duration > 0 ? static_cast<double>(packet->duration) * input.tick() : 1 / info.rate;
    if (packet->dts != AV_NOPTS_VALUE) {
      const double stamp = static_cast<double>(packet->dts) * input.tick();
      if (last && stamp > *last && stamp - *last <= av::kMaxStill) step = stamp - *last;
      last = stamp;
    }
    seconds += step;
    ++info.frames;
  }
  info.seconds = std::max(info.seconds, seconds + length);
  info.measured = true;
}

}  // namespace

std::string video_library_version() {
  return cat("FFmpeg ", av_version_info());
}

void require_video_library() {}

VideoInfo probe_video(const ClipFile& clip, Length length) {
  Input input(clip);
  const AVStream& stream = input.stream();
  VideoInfo info;
  info.codec = avcodec_get_name(stream.codecpar->codec_id);
  info.rate = input.rate();
  info.height = stream.codecpar->height;
  info.width = static_cast<int>(std::lround(stream.codecpar->width * input.pixel_aspect()));
  if (orientation_of(stream).transpose) std::swap(info.width, info.height);
  info.frames = stream.nb_frames;
  const bool guessed = input.format().duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;
  if (stream.duration != AV_NOPTS_VALUE && stream.duration > 0 && !guessed) {
    info.seconds = static_cast<double>(stream.duration) * input.tick();
  } else if (input.format().duration != AV_NOPTS_VALUE && input.format().duration > 0 && !guessed) {
    info.seconds = static_cast<double>(input.format().duration) / AV_TIME_BASE;
  }
  if (length == Length::measured || info.frames <= 0 || info.seconds <= 0) measure(input, info);
  if (info.frames == 0) input.broken("a video stream without a frame");
  return info;
}

struct ClipReader::State {
  State(const ClipFile& clip, double rate, const std::vector<PictureSize>& sizes)
      : fps(rate), input(clip), reader(input), current(av_frame_alloc()), following(av_frame_alloc()) {
    // Half a tick, because stamps are rounded to ticks; less where ticks are as coarse as frames.
    slack = std::min(0.5 * input.tick(), 6e-4) + 1e-9;
    for (const PictureSize& size : sizes) scalers.emplace_back(input, size);
    if (!reader.next(*following)) input.broken("no frame that can be decoded");
    advance();
  }

  /// A frame stays until the next one comes, so that one is read ahead.
  void advance() {
    std::swap(current, following);
    pictures.assign(scalers.size(), at::Tensor());
    more = reader.next(*following);
    end = more ? reader.time() : reader.time() + reader.duration();
  }

  double fps, slack = 0, end = 0;
  Input input;
  FrameReader reader;
  std::vector<Scaler> scalers;
  Owner<AVFrame> current, following;
  bool more = false;  ///< whether there is a following frame
  std::int64_t place = -1;
  std::vector<at::Tensor> pictures;  ///< of the current frame, undefined until they are asked for
};

ClipReader::ClipReader(const ClipFile& clip, double fps, std::vector<PictureSize> sizes) {
  require(std::isfinite(fps) && fps > 0, [&] { return cat("fps: found ", fps, ", expected a positive number"); });
  for (const auto& [height, width] : sizes) {
    require(height > 0 && width > 0 && height <= kMaxPixels / width, [&, h = height, w = width] {
      return cat("size: found ", h, "x", w, ", expected a positive height and width");
    });
  }
  state_ = std::make_unique<State>(clip, fps, sizes);
}

ClipReader::~ClipReader() = default;

bool ClipReader::next() {
  State& s = *state_;
  ++s.place;
  while (static_cast<double>(s.place) / s.fps >= s.end - s.slack) {
    if (!s.more) return s.place == 0;  // the first frame is shown, however short it is
    s.advance();
  }
  return true;
}

const ClipRemarks& ClipReader::remarks() const {
  return state_->input.remarks();
}

at::Tensor ClipReader::picture(std::size_t size) {
  at::Tensor& picture = state_->pictures.at(size);
  if (!picture.defined()) picture = state_->scalers[size](*state_->current);
  return picture;
}

at::Tensor decode_clip(const ClipFile& file, double fps, std::int64_t max_frames, std::int64_t height,
                       std::int64_t width) {
  require(max_frames >= 0, [&] { return cat("frames: found ", max_frames, ", expected 0 (all) or more"); });
  ClipReader clip(file, fps, {{height, width}});
  std::vector<at::Tensor> out;
  while ((max_frames == 0 || static_cast<std::int64_t>(out.size()) < max_frames) && clip.next()) {
    if (static_cast<std::int64_t>(out.size() + 1) > kMaxBytes / (height * width * 3))
      av::fail(file.shown(), cat("over ", human_bytes(kMaxBytes), " of pictures at ", fps, " frames per second"),
               "a shorter clip");
    out.push_back(clip.picture());
  }
  return at::stack(out);
}

}  // namespace rehyat::data
