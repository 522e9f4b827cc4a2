#include <gtest/gtest.h>

#include "core/temp_folder.h"
#include "data/video/clip_maker.h"
#include "data/video/stream_maker.h"
#include "data/video/video.h"
#include "mutation/runner.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;

/// Every container and codec that this FFmpeg can write, a few pictures each.
std::vector<FileTree> small_videos() {
  const TempFolder folder;
  const at::Tensor pictures = data::grey_steps(6, 32, 48);
  data::write_video(folder / "a.mp4", pictures, 16);
  for (const char* name : {"a.mkv", "a.avi", "a.mov"})
    data::make_clip(folder / name, pictures, {.pts = {0, 40, 80, 120, 200, 240}});
  const struct {
    const char *encoder, *muxer, *name;
  } kinds[] = {{"mpeg2video", "mpegts", "b.ts"},
               {"mpeg4", "nut", "c.nut"},
               {"mjpeg", "mjpeg", "d.mjpeg"},
               {"flv", "flv", "e.flv"},
               {"wmv2", "asf", "f.wmv"},
               {"mpeg2video", "vob", "g.vob"},
               {"mpeg4", "mp4", "h.mp4"},
               {"libvpx", "webm", "i.webm"},
               {"mpeg1video", "mpeg1video", "j.m1v"},
               {"wrapped_avframe", "yuv4mpegpipe", "k.y4m"}};
  for (const auto& kind : kinds) data::make_stream(folder / kind.name, pictures, kind.encoder, kind.muxer);
  std::vector<FileTree> out;
  for (const auto& [name, bytes] : read_tree(folder.path()))
    if (!bytes.empty()) out.push_back({{name, bytes}});
  return out;
}

/// Half of the clips are read as members of an archive, which has a way of its own to the bytes.
void play(const fs::path& folder) {
  const fs::path file = fs::directory_iterator(folder)->path();
  const std::uint64_t size = fs::file_size(file);
  const data::ClipFile clip = size % 2 == 0 ? data::ClipFile(file) : data::ClipFile(file, file.filename(), 0, size);
  data::probe_video(clip);
  data::decode_clip(clip, 16, 12, 32, 32);
}

TEST(Mutation, video) {
  ReaderCase reader;
  reader.name = "video";
  reader.inputs = 700;
  reader.seeds = small_videos();
  reader.words = {"moov",
                  "mdat",
                  "stts",
                  "stsz",
                  "stco",
                  "elst",
                  "tkhd",
                  "idx1",
                  "RIFF",
                  "\x1A\x45\xDF\xA3",
                  std::string("\0\0\1\xB3", 4),
                  std::string("\0\0\0\1", 4),
                  "ftypisom"};
  reader.read = play;
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
