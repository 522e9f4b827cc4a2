#include "tensor/precision.h"

#include <gtest/gtest.h>

#include "core/expect_error.h"

namespace rehyat {
namespace {

struct Settings {
  Precision precision = Precision::automatic;
  void fields(config::Fields& f) { add_precision(f, precision); }
};

TEST(Precision, AutoIsHalfOnGpusAlone) {
  EXPECT_EQ(compute_type(Precision::automatic, at::kCPU), at::kFloat);
  EXPECT_EQ(compute_type(Precision::automatic, at::Device(at::kCUDA, 1)), at::kBFloat16);
  for (const at::Device device : {at::Device(at::kCPU), at::Device(at::kCUDA, 0)}) {
    EXPECT_EQ(compute_type(Precision::f32, device), at::kFloat);
    EXPECT_EQ(compute_type(Precision::bf16, device), at::kBFloat16);
  }
}

TEST(Precision, IsReadByName) {
  const auto load = [](const char* text) {
    return config::load<Settings>(config::Document::from_text(text, "run.yaml")).precision;
  };
  EXPECT_EQ(load("{}"), Precision::automatic);
  EXPECT_EQ(load("precision: bf16"), Precision::bf16);
  testing::expect_error<UsageError>([&] { load("precision: f16"); }, {"run.yaml:1:", "f16", "bf16"});
}

}  // namespace
}  // namespace rehyat
