#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rehyat::testing {

/// Expects `work` to throw `Error` with every one of `parts` in its message, which must be one line.
template <typename Error, typename Work>
void expect_error(Work&& work, const std::vector<std::string>& parts) {
  try {
    work();
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const std::string& part : parts)
      EXPECT_NE(text.find(part), std::string::npos) << "\"" << text << "\" lacks \"" << part << "\"";
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    return;
  }
  ADD_FAILURE() << "nothing was thrown; expected a message with \"" << (parts.empty() ? "" : parts.front()) << "\"";
}

}  // namespace rehyat::testing
