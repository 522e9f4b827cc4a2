#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "data/clip_maker.h"
#include "data/video.h"

/// Writes N clips of 40 frames, 64 x 48, in which a bright square moves over a gradient, and a caption beside each.
/// With `odd` for N: a file with sound alone, and one with a video track that has no frames.
int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_clips FOLDER COUNT|odd\n");
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
  for (int clip = 0; clip < std::atoi(argv[2]); ++clip) {
    at::Tensor frames = (at::arange(48).view({1, 48, 1, 1}) * 3 + at::arange(3).view({1, 1, 1, 3}) * 20)
                            .expand({40, 48, 64, 3})
                            .contiguous()
                            .to(at::kByte);
    for (int t = 0; t < 40; ++t)
      frames[t].narrow(0, 4 + (clip * 5) % 24, 12).narrow(1, (t + clip * 7) % 50, 12).fill_(230);
    const std::string name = "clip-" + std::to_string(clip);
    rehyat::data::write_video(folder / (name + ".mp4"), frames, 16);
    std::ofstream(folder / (name + ".txt")) << "a bright square number " << clip << " moves to the right\n";
  }
  return 0;
}
