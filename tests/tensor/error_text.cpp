#include "tensor/error_text.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace rehyat {
namespace {

TEST(MessageOf, LibtorchSpeaksInOneLineWithoutItsTrace) {
  try {
    at::zeros({2, 3}).matmul(at::zeros({4}));
    FAIL();
  } catch (const std::exception& error) {
    const std::string text = message_of(error);
    EXPECT_NE(std::string(error.what()).size(), text.size());
    EXPECT_NE(text.find("size mismatch"), std::string::npos) << text;
    for (const char* part : {"frame #", "Exception raised from", "\n"})
      EXPECT_EQ(text.find(part), std::string::npos) << text;
  }
}

TEST(MessageOf, OtherErrorsKeepTheirWords) {
  EXPECT_EQ(message_of(std::runtime_error("a: found b, expected c")), "a: found b, expected c");
  EXPECT_EQ(message_of(std::runtime_error("")), "an error without a message");
  EXPECT_EQ(message_of(std::runtime_error("CUDA error: x\nCUDA kernel errors might be reported later")),
            "CUDA error: x");
  EXPECT_NE(message_of(std::bad_alloc()).find("memory"), std::string::npos);
}

}  // namespace
}  // namespace rehyat
