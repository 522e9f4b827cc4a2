#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

namespace rehyat::evaluate {

/// Seconds of each repeat, ascending, of writing and reading a cache, and of the same bytes in one plain file of the
/// same disk, in the same run.
struct CacheTimes {
  std::vector<double> write, read, raw_write, raw_read;
  std::int64_t bytes = 0;
};

/// A cache of one trajectory that is trained on and one that is held out, each of `points` points of `blocks` blocks
/// with `input` [N,dim] of any device, written into a new folder within `folder` by a thread, as the stage does it, and
/// read again, each time from the disk and not from the system's memory of it, as far as the system can be told. What
/// was written is removed. `on_repeat` after each. Throws UserError where the disk refuses.
CacheTimes measure_cache(const std::filesystem::path& folder, const at::Tensor& input, std::int64_t points,
                         std::int64_t blocks, std::int64_t repeats, const std::function<void()>& on_repeat);

}  // namespace rehyat::evaluate
