#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rehyat {

/// What a progress bar has to say.
struct ProgressBar {
  std::string title, unit;
  std::int64_t done = 0, total = 0;
  std::string rate, taken, left;     ///< "3.2 steps/s", "5 s", "10 s left"; empty where nothing is known
  std::vector<std::string> remarks;  ///< the most important first

  /// One line of at most so many columns. Where they do not hold everything, the time left stays longest, then come
  /// the remarks, the time taken and the rate; the title is cut last.
  std::string in_columns(std::size_t columns) const;
};

}  // namespace rehyat
