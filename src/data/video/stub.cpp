#include "core/error.h"
#include "core/strings.h"
#include "data/video/video.h"

namespace rehyat::data {
namespace {

[[noreturn]] void refuse(const std::string& where) {
  throw UserError(Mistake{where, "a build without FFmpeg", "one with it, to read or write pictures and videos",
                          "install libavformat-dev, libavcodec-dev, libavutil-dev and libswscale-dev and build with "
                          "-DREHYAT_FFMPEG=ON"});
}

}  // namespace

std::string video_library_version() {
  return "none";
}

void require_video_library() {
  refuse("prepare");
}

VideoInfo probe_video(const ClipFile& clip, Length) {
  refuse(clip.shown());
}
struct ClipReader::State {};
ClipReader::ClipReader(const ClipFile& clip, double, std::vector<PictureSize>) {
  refuse(clip.shown());
}
ClipReader::~ClipReader() = default;
bool ClipReader::next() {
  refuse("video");
}
at::Tensor ClipReader::picture(std::size_t) {
  refuse("video");
}
const ClipRemarks& ClipReader::remarks() const {
  refuse("video");
}
at::Tensor decode_clip(const ClipFile& clip, double, std::int64_t, std::int64_t, std::int64_t) {
  refuse(clip.shown());
}
void write_video(const std::filesystem::path& path, const at::Tensor&, double) {
  refuse(path.string());
}
std::string encode_png(const at::Tensor&) {
  refuse("PNG picture");
}

}  // namespace rehyat::data
