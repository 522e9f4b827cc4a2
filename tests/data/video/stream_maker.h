#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <string>
#include <vector>

namespace rehyat::data {

/// Writes grey pictures [F, H, W, 3] with the encoder of that name into the muxer of that name, such as an elementary
/// stream without time stamps. False where this FFmpeg lacks one of them.
bool make_stream(const std::filesystem::path& path, const at::Tensor& frames, const std::string& encoder,
                 const std::string& muxer);

/// Writes the video tracks of several files into one, in the container of that muxer and in this order.
void join_tracks(const std::filesystem::path& path, const std::vector<std::filesystem::path>& files,
                 const std::string& muxer);

/// A Matroska file with half a second of silence, and a picture for its cover unless `cover` is empty.
void make_sound(const std::filesystem::path& path, const std::string& cover_png = "");

}  // namespace rehyat::data
