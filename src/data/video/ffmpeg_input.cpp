#include "data/video/ffmpeg_input.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>

#include "core/strings.h"
#include "data/video/video.h"

namespace rehyat::data::av {
namespace {

constexpr std::int64_t kMaxStoredPixels = std::int64_t{1} << 28;  // of one stored frame: sixteen times 4K
constexpr double kMaxStill = 10;                                  // seconds that one frame may stay on the screen

/// Demuxers that open other files or the network, run scripts, or draw pictures of what is no video.
constexpr std::array<std::string_view, 20> kRefused{
    "hls",    "applehttp", "dash",       "concat", "concatf",    "imf",      "webm_dash_manifest",
    "sdp",    "rtsp",      "rtp",        "sap",    "image2",     "avisynth", "vapoursynth",
    "vobsub", "tty",       "ffmetadata", "lavfi",  "libopenmpt", "mpjpeg"};

bool is_container(const AVInputFormat& format) {
  if (format.flags & AVFMT_NOFILE) return false;
  for (const std::string& name : split(format.name, ','))
    if (name.ends_with("_pipe") || std::ranges::find(kRefused, name) != kRefused.end()) return false;
  return true;
}

/// Whatever containers this FFmpeg knows.
std::string containers() {
  std::string names;
  void* position = nullptr;
  while (const AVInputFormat* format = av_demuxer_iterate(&position))
    if (is_container(*format)) names += cat(names.empty() ? "" : ",", format->name);
  return names;
}

}  // namespace

MemberIo::MemberIo(const ClipFile& clip) : file_(clip.path), first_(clip.offset), bytes_(clip.bytes) {
  constexpr int kBuffer = 1 << 15;
  auto* buffer = static_cast<unsigned char*>(av_malloc(kBuffer));
  if (buffer) context_ = avio_alloc_context(buffer, kBuffer, 0, this, &MemberIo::read, nullptr, &MemberIo::seek);
  if (context_) return;
  av_free(buffer);
  throw PassingFailure({clip.shown(), "too little memory to open it", "enough", ""});
}

MemberIo::~MemberIo() {
  av_freep(&context_->buffer);  // FFmpeg may have put another one in place of ours
  avio_context_free(&context_);
}

int MemberIo::read(void* self, std::uint8_t* to, int bytes) {
  auto& io = *static_cast<MemberIo*>(self);
  if (io.place_ >= io.bytes_ || bytes <= 0) return AVERROR_EOF;
  const auto wanted = std::min(static_cast<std::uint64_t>(bytes), io.bytes_ - io.place_);
  const std::ptrdiff_t have = io.file_.read(io.first_ + io.place_, to, static_cast<std::size_t>(wanted));
  if (have < 0) return AVERROR(static_cast<int>(-have));
  if (have == 0) return AVERROR_EOF;
  io.place_ += static_cast<std::uint64_t>(have);
  return static_cast<int>(have);
}

std::int64_t MemberIo::seek(void* self, std::int64_t offset, int whence) {
  auto& io = *static_cast<MemberIo*>(self);
  const auto size = static_cast<std::int64_t>(io.bytes_);
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) return size;
  const std::int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? static_cast<std::int64_t>(io.place_) : size;
  // Behind the end, as in a file: reading there finds nothing.
  if (offset < -base || offset > std::numeric_limits<std::int64_t>::max() - base) return AVERROR(EINVAL);
  io.place_ = static_cast<std::uint64_t>(base + offset);
  return base + offset;
}

Input::Input(const ClipFile& clip) : path_(clip.shown()) {
  quiet();
  check_file(clip);
  AVIOContext* io = open_bytes(clip);
  format_ = avformat_alloc_context();
  format_->pb = io;
  format_->format_whitelist = av_strdup(containers().c_str());
  format_->protocol_whitelist = av_strdup("none");  // a demuxer may open nothing else
  const std::string& name = clip.whole() ? path_ : clip.member;
  const int code = avformat_open_input(&format_, name.c_str(), nullptr, nullptr);  // frees the context when it fails
  if (code < 0) failed(code, code == AVERROR(EINVAL) ? "no container of a video" : reason(code));
  try {
    open_stream();
  } catch (...) {
    avformat_close_input(&format_);
    throw;
  }
}

AVIOContext* Input::open_bytes(const ClipFile& clip) {
  if (!clip.whole()) {
    member_io_ = std::make_unique<MemberIo>(clip);
    return member_io_->context();
  }
  AVIOContext* io = nullptr;
  // The protocol is named: a path may hold a colon.
  const int code = avio_open(&io, cat("file:", path_).c_str(), AVIO_FLAG_READ);
  if (code < 0) failed(code, reason(code));
  file_io_.reset(io);
  return io;
}

void Input::failed(int code, const std::string& why) const {
  for (const int passing : {ENOMEM, EMFILE, ENFILE, EIO, ESTALE, EAGAIN}) {
    if (code == AVERROR(passing))
      throw PassingFailure({path_, reason(code), "a readable video", "the system failed, perhaps not the file"});
  }
  broken(why);
}

double Input::rate() const {
  for (const AVRational& rate : {stream_->avg_frame_rate, stream_->r_frame_rate})
    if (rate.num > 0 && rate.den > 0) return av_q2d(rate);
  return 25;
}

double Input::pixel_aspect() const {
  const AVRational aspect = av_guess_sample_aspect_ratio(format_, stream_, nullptr);
  return aspect.num > 0 && aspect.den > 0 ? av_q2d(aspect) : 1.0;
}

bool Input::read(AVPacket& packet) {
  for (;;) {
    av_packet_unref(&packet);
    const int code = av_read_frame(format_, &packet);
    if (code == AVERROR_EOF) return false;
    if (code < 0) failed(code, cat("damaged after ", packets_, " video packets (", reason(code), ")"));
    if (packet.stream_index != stream_->index) continue;
    ++packets_;
    return true;
  }
}

void Input::check_complete() const {
  // Only MP4 lists where each frame lies. What an edit list leaves out is not read, so packets cannot be counted.
  if (!std::string_view(format_->iformat->name).starts_with("mov")) return;
  const std::int64_t size = avio_size(format_->pb);
  const int entries = avformat_index_get_entries_count(stream_);
  std::int64_t missing = 0;
  for (int i = 0; i < entries; ++i) {
    const AVIndexEntry* entry = avformat_index_get_entry(stream_, i);
    if (entry && entry->pos + entry->size > size) ++missing;
  }
  if (size > 0 && missing > 0) broken(cat("a file cut short, with ", entries - missing, " of ", entries, " frames"));
}

void Input::check_file(const ClipFile& clip) {
  const std::string path = clip.path.string();
  std::error_code error;
  if (!std::filesystem::exists(clip.path, error)) fail(path, "no such file", "a readable video");
  if (!std::filesystem::is_regular_file(clip.path, error)) fail(path, "not a regular file", "a readable video");
  const std::uint64_t bytes = std::filesystem::file_size(clip.path, error);
  if ((clip.whole() ? bytes : clip.bytes) == 0) fail(clip.shown(), "an empty file", "a readable video");
  if (!clip.whole() && (clip.offset > bytes || clip.bytes > bytes - clip.offset))
    fail(clip.shown(), cat("a member that ends behind its archive of ", bytes, " bytes"), "a readable video",
         "the archive was changed meanwhile");
}

void Input::open_stream() {
  int code = avformat_find_stream_info(format_, nullptr);
  if (code < 0) broken(reason(code));
  const int index = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (index < 0) broken("no video stream");
  stream_ = format_->streams[index];
  if (stream_->disposition & AV_DISPOSITION_ATTACHED_PIC) broken("no video stream but a cover picture");
  const AVCodec* codec = avcodec_find_decoder(stream_->codecpar->codec_id);
  if (!codec) broken(cat("codec ", avcodec_get_name(stream_->codecpar->codec_id), ", which this FFmpeg cannot decode"));
  decoder_.reset(avcodec_alloc_context3(codec));
  code = avcodec_parameters_to_context(decoder_.get(), stream_->codecpar);
  if (code < 0) broken(reason(code));
  decoder_->pkt_timebase = stream_->time_base;
  decoder_->max_pixels = kMaxStoredPixels;
  decoder_->thread_count = 1;  // clips are shared out over the ranks
  code = avcodec_open2(decoder_.get(), codec, nullptr);
  if (code < 0) broken(cat("codec ", codec->name, ", which does not open (", reason(code), ")"));
  for (unsigned i = 0; i < format_->nb_streams; ++i)
    if (static_cast<int>(i) != index) format_->streams[i]->discard = AVDISCARD_ALL;
}

bool FrameReader::next(AVFrame& frame) {
  for (;;) {
    av_frame_unref(&frame);
    const int code = avcodec_receive_frame(&input_.decoder(), &frame);
    if (code == AVERROR_EOF) return false;
    if (code == 0) {
      take(frame);
      return true;
    }
    if (code != AVERROR(EAGAIN)) {
      damaged(code);
      continue;
    }
    feed();
  }
}

void FrameReader::feed() {
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
void FrameReader::damaged(int code) const {
  if (count_ > 0) input_.failed(code, cat("damaged after frame ", count_ - 1, " (", reason(code), ")"));
}

void FrameReader::take(const AVFrame& frame) {
  if (frame.decode_error_flags != 0) damaged(AVERROR_INVALIDDATA);
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  const std::int64_t ticks = frame.duration;
#else
  const std::int64_t ticks = frame.pkt_duration;
#endif
  const double step = ticks > 0 ? static_cast<double>(ticks) * input_.tick() : 1 / input_.rate();
  std::optional<double> stamp;  // the PTS, else the DTS
  if (frame.best_effort_timestamp != AV_NOPTS_VALUE)
    stamp = static_cast<double>(frame.best_effort_timestamp) * input_.tick();
  if (count_ == 0) {
    first_ = stamp.value_or(0);
    time_ = 0;
  } else {
    const double expected = time_ + duration_;
    const double told = stamp ? *stamp - first_ : expected;
    if (told - time_ > kMaxStill)
      input_.broken(cat("a jump of ", told - time_, " s in the time stamps after frame ", count_ - 1),
                    cat("frames that follow each other within ", kMaxStill, " s"));
    time_ = told > time_ ? told : expected;  // a clock that stands still or runs backwards is not believed
  }
  duration_ = std::min(step, kMaxStill);
  ++count_;
}

}  // namespace rehyat::data::av
