#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "files/atomic_file.h"

namespace rehyat::data {

/// A folder of its own for one test, removed at the end.
class VideoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(::testing::TempDir()) /
              (std::string("rehyat_data_") + info->test_suite_name() + "_" + info->name());
    std::filesystem::remove_all(folder_);
    make_folder(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const std::string& name, const std::string& content) const {
    write_file_atomic(folder_ / name, content);
    return folder_ / name;
  }

  std::filesystem::path folder_;
};

inline void expect_refused(const std::function<void()>& call, const std::vector<std::string>& parts) {
  try {
    call();
    FAIL() << "nothing was refused, expected: " << parts.front();
  } catch (const UserError& error) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what() << "\nlacks: " << part;
  }
}

struct ClipSpec {
  std::vector<std::int64_t> pts;  ///< milliseconds, one a picture
  std::vector<std::int32_t> display_matrix;
  int pixel_aspect = 1;  ///< width over height of a stored pixel
  bool hdr = false;      ///< marked as PQ
};

/// Writes pictures [F, H, W, 3] without loss (FFV1) and with the given times; the extension names the container.
void make_clip(const std::filesystem::path& path, const at::Tensor& frames, const ClipSpec& spec);
/// A WAV file of silence.
std::string silence();

/// [F, H, W, 3], picture i filled with the grey 10 + 20 i.
inline at::Tensor grey_steps(std::int64_t count, std::int64_t height, std::int64_t width) {
  at::Tensor level = at::arange(count, at::kLong).mul(20).add(10).to(at::kByte);
  return level.view({count, 1, 1, 1}).expand({count, height, width, 3}).contiguous();
}

/// Which grey step each decoded picture shows at its centre.
inline std::vector<std::int64_t> steps_of(const at::Tensor& video) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < video.size(0); ++i) {
    const auto level = video[i][video.size(1) / 2][video.size(2) / 2].to(at::kDouble).mean().item<double>();
    out.push_back(static_cast<std::int64_t>((level - 10) / 20 + 0.5));
  }
  return out;
}

}  // namespace rehyat::data
