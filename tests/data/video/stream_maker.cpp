#include "data/video/stream_maker.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace rehyat::data {
namespace {

void must(int code) {
  if (code < 0) throw std::runtime_error("FFmpeg failed in a test");
}

void close(AVFormatContext* format) {
  must(av_write_trailer(format));
  avio_closep(&format->pb);
  avformat_free_context(format);
}

/// Full grey to luma, of limited range except in JPEG; no colour. A pattern in the corner makes packets differ in size.
void fill(AVFrame* picture, int grey) {
  must(av_frame_make_writable(picture));
  std::memset(picture->data[0], picture->format == AV_PIX_FMT_YUVJ420P ? grey : 16 + (grey * 219 + 127) / 255,
              static_cast<std::size_t>(picture->linesize[0]) * static_cast<std::size_t>(picture->height));
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x)
      picture->data[0][y * picture->linesize[0] + x] = static_cast<std::uint8_t>(16 + grey * (x * x + 3 * y * y) % 211);
  for (const int plane : {1, 2})
    std::memset(picture->data[plane], 128,
                static_cast<std::size_t>(picture->linesize[plane]) * static_cast<std::size_t>(picture->height / 2));
}

}  // namespace

bool make_stream(const std::filesystem::path& path, const at::Tensor& frames, const std::string& encoder_name,
                 const std::string& muxer) {
  const AVCodec* codec = avcodec_find_encoder_by_name(encoder_name.c_str());
  AVFormatContext* format = nullptr;
  if (!codec || avformat_alloc_output_context2(&format, nullptr, muxer.c_str(), path.c_str()) < 0) return false;
  AVCodecContext* encoder = avcodec_alloc_context3(codec);
  encoder->height = static_cast<int>(frames.size(1));
  encoder->width = static_cast<int>(frames.size(2));
  encoder->pix_fmt = codec->id == AV_CODEC_ID_MJPEG ? AV_PIX_FMT_YUVJ420P : AV_PIX_FMT_YUV420P;
  encoder->time_base = {1, 25};
  encoder->framerate = {25, 1};
  encoder->bit_rate = 4'000'000;
  encoder->gop_size = 4;
  must(avcodec_open2(encoder, codec, nullptr));
  AVStream* stream = avformat_new_stream(format, nullptr);
  stream->time_base = encoder->time_base;
  must(avcodec_parameters_from_context(stream->codecpar, encoder));
  must(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE));
  must(avformat_write_header(format, nullptr));
  AVFrame* picture = av_frame_alloc();
  picture->format = encoder->pix_fmt;
  picture->height = encoder->height;
  picture->width = encoder->width;
  must(av_frame_get_buffer(picture, 0));
  AVPacket* packet = av_packet_alloc();
  const auto pump = [&](const AVFrame* frame) {
    must(avcodec_send_frame(encoder, frame));
    while (avcodec_receive_packet(encoder, packet) == 0) {
      if (packet->duration == 0) packet->duration = 1;
      av_packet_rescale_ts(packet, encoder->time_base, stream->time_base);
      must(av_interleaved_write_frame(format, packet));
    }
  };
  for (std::int64_t i = 0; i < frames.size(0); ++i) {
    fill(picture, frames[i][0][0][0].item<int>());
    picture->pts = i;
    pump(picture);
  }
  pump(nullptr);
  close(format);
  av_packet_free(&packet);
  av_frame_free(&picture);
  avcodec_free_context(&encoder);
  return true;
}

void join_tracks(const std::filesystem::path& path, const std::vector<std::filesystem::path>& files,
                 const std::string& muxer) {
  AVFormatContext* format = nullptr;
  must(avformat_alloc_output_context2(&format, nullptr, muxer.c_str(), path.c_str()));
  std::vector<AVFormatContext*> inputs;
  for (const std::filesystem::path& file : files) {
    AVFormatContext* input = nullptr;
    must(avformat_open_input(&input, file.c_str(), nullptr, nullptr));
    must(avformat_find_stream_info(input, nullptr));
    AVStream* stream = avformat_new_stream(format, nullptr);
    must(avcodec_parameters_copy(stream->codecpar, input->streams[0]->codecpar));
    stream->codecpar->codec_tag = 0;
    stream->time_base = input->streams[0]->time_base;
    inputs.push_back(input);
  }
  must(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE));
  must(avformat_write_header(format, nullptr));
  AVPacket* packet = av_packet_alloc();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    while (av_read_frame(inputs[i], packet) >= 0) {
      packet->stream_index = static_cast<int>(i);
      av_packet_rescale_ts(packet, inputs[i]->streams[0]->time_base, format->streams[i]->time_base);
      must(av_interleaved_write_frame(format, packet));
    }
    avformat_close_input(&inputs[i]);
  }
  close(format);
  av_packet_free(&packet);
}

void make_sound(const std::filesystem::path& path, const std::string& cover_png) {
  AVFormatContext* format = nullptr;
  must(avformat_alloc_output_context2(&format, nullptr, "matroska", path.c_str()));
  AVStream* sound = avformat_new_stream(format, nullptr);
  sound->codecpar->codec_type = AVMEDIA_TYPE_AUDIO;
  sound->codecpar->codec_id = AV_CODEC_ID_PCM_S16LE;
  sound->codecpar->sample_rate = 8000;
  sound->codecpar->bits_per_coded_sample = 16;
  sound->codecpar->block_align = 2;
  av_channel_layout_default(&sound->codecpar->ch_layout, 1);
  sound->time_base = {1, 8000};
  if (!cover_png.empty()) {
    AVStream* cover = avformat_new_stream(format, nullptr);
    cover->codecpar->codec_type = AVMEDIA_TYPE_ATTACHMENT;
    cover->codecpar->codec_id = AV_CODEC_ID_PNG;
    cover->codecpar->extradata =
        static_cast<std::uint8_t*>(av_mallocz(cover_png.size() + AV_INPUT_BUFFER_PADDING_SIZE));
    cover->codecpar->extradata_size = static_cast<int>(cover_png.size());
    std::ranges::copy(cover_png, cover->codecpar->extradata);
    must(av_dict_set(&cover->metadata, "filename", "cover.png", 0));
    must(av_dict_set(&cover->metadata, "mimetype", "image/png", 0));
  }
  must(avio_open(&format->pb, path.c_str(), AVIO_FLAG_WRITE));
  must(avformat_write_header(format, nullptr));
  AVPacket* packet = av_packet_alloc();
  must(av_new_packet(packet, 8000));
  std::memset(packet->data, 0, 8000);
  packet->pts = packet->dts = 0;
  packet->duration = 4000;
  av_packet_rescale_ts(packet, {1, 8000}, sound->time_base);
  must(av_interleaved_write_frame(format, packet));
  close(format);
  av_packet_free(&packet);
}

}  // namespace rehyat::data
