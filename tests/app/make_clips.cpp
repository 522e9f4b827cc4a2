#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/video/clip_maker.h"
#include "data/video/video.h"

/// Writes N clips of 40 frames, 64 x 48, or of the frames, height and width that are given, in which a bright square
/// moves over a gradient, and a caption beside each. With `odd` for N: a file with sound alone, and one with a video
/// track that has no frames.
int main(int argc, char** argv) {
  if (argc != 3 && argc != 6) {
    std::fprintf(stderr, "usage: make_clips FOLDER COUNT|odd [FRAMES HEIGHT WIDTH]\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  std::filesystem::create_directories(folder);
  if (std::string(argv[2]) == "odd") {
    std::ofstream(folder / "sound.mp4", std::ios::binary) << rehyat::data::silence();
    rehyat::data::make_clip(folder / "frameless.mkv", at::empty({0, 48, 64, 3}, at::kByte), {});
    for (const char* name : {"sound.txt", "frameless.txt"}) std::ofstream(folder / name) << "x\n";
    return 0;
  }
  const int count = argc > 3 ? std::atoi(argv[3]) : 40, height = argc > 3 ? std::atoi(argv[4]) : 48,
            width = argc > 3 ? std::atoi(argv[5]) : 64;
  for (int clip = 0; clip < std::atoi(argv[2]); ++clip) {
    at::Tensor frames = (at::arange(height).view({1, height, 1, 1}) * 3 + at::arange(3).view({1, 1, 1, 3}) * 20)
                            .expand({count, height, width, 3})
                            .contiguous()
                            .to(at::kByte);
    for (int t = 0; t < count; ++t)
      frames[t].narrow(0, 4 + (clip * 5) % (height / 2), 12).narrow(1, (t + clip * 7) % (width - 14), 12).fill_(230);
    const std::string name = "clip-" + std::to_string(clip);
    rehyat::data::write_video(folder / (name + ".mp4"), frames, 16);
    std::ofstream(folder / (name + ".txt")) << "a bright square number " << clip << " moves to the right\n";
  }
  return 0;
}
