#include "data/video/ffmpeg_input.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <vector>

#include "core/strings.h"
#include "data/sources/clips.h"
#include "data/video/cut_short.h"
#include "data/video/transport_stream.h"
#include "data/video/video.h"
#include "files/file_format.h"

namespace rehyat::data::av {
namespace {

constexpr std::int64_t kMaxStoredPixels = std::int64_t{1} << 28;  // of one stored frame: sixteen times 4K

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

Input::Input(const ClipFile& clip) : clip_(clip), path_(clip.shown()) {
  quiet();
  check_file(clip);
  AVIOContext* io = open_bytes(clip);
  check_whole(io);
  // FFmpeg guesses the container from the bytes and the extension. The rest of the name stays away from it: it would
  // take a colon for a protocol and %d for a series of pictures.
  const std::filesystem::path name = clip.whole() ? clip.path : std::filesystem::path(clip.member);
  const std::string shown = is_video_name(name) ? "clip" + name.extension().string() : "clip";
  try {
    open_container(io, shown);
    const Track track = choose_track();
    if (track.read_ahead) {
      avformat_close_input(&format_);
      if (const std::int64_t code = avio_seek(io, 0, SEEK_SET); code < 0) failed(static_cast<int>(code), "no start");
      open_container(io, shown);
    }
    open_decoder(track.index);
  } catch (...) {
    avformat_close_input(&format_);
    throw;
  }
}

void Input::check_whole(AVIOContext* io) const {
  const auto read = [&](std::uint64_t at, char* to, std::size_t bytes) -> std::size_t {
    std::int64_t code = avio_seek(io, static_cast<std::int64_t>(at), SEEK_SET);
    if (code >= 0) code = avio_read(io, reinterpret_cast<unsigned char*>(to), static_cast<int>(bytes));
    if (code == AVERROR_EOF) return 0;
    if (code < 0) failed(static_cast<int>(code), reason(static_cast<int>(code)));
    return static_cast<std::size_t>(code);
  };
  const std::int64_t size = avio_size(io);
  if (size <= 0) return;
  const std::string why = why_cut_short({static_cast<std::uint64_t>(size), read});
  if (!why.empty()) broken(why);
  if (const std::int64_t code = avio_seek(io, 0, SEEK_SET); code < 0) failed(static_cast<int>(code), "no start");
}

void Input::explain_start(AVIOContext* io) const {
  std::string start(512, '\0');
  if (avio_seek(io, 0, SEEK_SET) < 0) return;
  const int read = avio_read(io, reinterpret_cast<unsigned char*>(start.data()), static_cast<int>(start.size()));
  const auto known = recognise_format(std::string_view(start).substr(0, static_cast<std::size_t>(std::max(read, 0))));
  if (known) fail(path_, std::string(known->found), "a readable video", std::string(known->hint));
}

void Input::open_container(AVIOContext* io, const std::string& name) {
  format_ = avformat_alloc_context();
  format_->pb = io;
  format_->format_whitelist = av_strdup(containers().c_str());
  format_->protocol_whitelist = av_strdup("none");                           // a demuxer may open nothing else
  int code = avformat_open_input(&format_, name.c_str(), nullptr, nullptr);  // frees the context when it fails
  if (code < 0) {
    explain_start(io);
    failed(code, code == AVERROR(EINVAL) ? "no container of a video" : reason(code));
  }
  code = avformat_find_stream_info(format_, nullptr);
  if (code < 0) broken(reason(code));
}

Input::Track Input::choose_track() {
  const int best = av_find_best_stream(format_, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (best < 0) broken("no video stream");
  const auto is_video = [&](int index) {
    const AVStream& stream = *format_->streams[index];
    return stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream.disposition & AV_DISPOSITION_ATTACHED_PIC);
  };
  const int tracks = static_cast<int>(format_->nb_streams);
  int videos = 0;
  for (int i = 0; i < tracks; ++i) videos += is_video(i) ? 1 : 0;
  if (videos < 2 || !is_video(best) || format_->streams[best]->nb_frames > 1) return {best, false};
  // A camera may store a thumbnail as a track of its own, and FFmpeg prefers it where it is the larger picture.
  std::vector<std::int64_t> pictures(format_->nb_streams);
  const auto at = [](int index) { return static_cast<std::size_t>(index); };
  const Owner<AVPacket> packet(av_packet_alloc());
  while (pictures[at(best)] < 2 && av_read_frame(format_, packet.get()) >= 0) {
    if (at(packet->stream_index) < pictures.size() && is_video(packet->stream_index) && packet->size > 0)
      ++pictures[at(packet->stream_index)];
    av_packet_unref(packet.get());
  }
  if (pictures[at(best)] > 1) return {best, true};
  const int most = static_cast<int>(std::ranges::max_element(pictures) - pictures.begin());
  if (pictures[at(most)] < 2) return {best, true};
  remarks_.track = cat("track ", most + 1, " of ", pictures[at(most)], " pictures is taken, not track ", best + 1,
                       " of one picture");
  return {most, true};
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

bool Input::may_be_joined() {
  if (may_be_joined_) return *may_be_joined_;
  may_be_joined_ = false;
  if (std::string_view(format_->iformat->name) != "mpegts") return false;
  const FileBytes file(clip_.path);
  const std::uint64_t size = clip_.whole() ? file.size() : clip_.bytes;
  const auto read = [&](std::uint64_t at, char* to, std::size_t bytes) -> std::size_t {
    const std::ptrdiff_t have = file.read(clip_.offset + at, to, bytes);
    if (have < 0) failed(AVERROR(static_cast<int>(-have)), reason(AVERROR(static_cast<int>(-have))));
    return static_cast<std::size_t>(have);
  };
  may_be_joined_ = !picture_has_gap({size, read}, stream_->id);
  return *may_be_joined_;
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

void Input::open_decoder(int index) {
  stream_ = format_->streams[index];
  if (stream_->disposition & AV_DISPOSITION_ATTACHED_PIC) broken("no video stream but a cover picture");
  const AVCodec* codec = avcodec_find_decoder(stream_->codecpar->codec_id);
  if (!codec) broken(cat("codec ", avcodec_get_name(stream_->codecpar->codec_id), ", which this FFmpeg cannot decode"));
  decoder_.reset(avcodec_alloc_context3(codec));
  int code = avcodec_parameters_to_context(decoder_.get(), stream_->codecpar);
  if (code < 0) broken(reason(code));
  decoder_->pkt_timebase = stream_->time_base;
  decoder_->max_pixels = kMaxStoredPixels;
  decoder_->thread_count = 1;  // clips are shared out over the ranks
  code = avcodec_open2(decoder_.get(), codec, nullptr);
  if (code < 0) broken(cat("codec ", codec->name, ", which does not open (", reason(code), ")"));
  for (unsigned i = 0; i < format_->nb_streams; ++i)
    if (static_cast<int>(i) != index) format_->streams[i]->discard = AVDISCARD_ALL;
  const AVColorTransferCharacteristic curve = decoder_->color_trc;
  remarks_.hdr = curve == AVCOL_TRC_SMPTE2084 || curve == AVCOL_TRC_ARIB_STD_B67;
}

}  // namespace rehyat::data::av
