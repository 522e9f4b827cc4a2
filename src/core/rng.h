#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace rehyat {

/// A counter-based random stream (Philox 4x32-10, Salmon et al. 2011). A stream is named by a seed, a purpose and
/// indices, so that a draw depends on what it is for, never on which rank or thread asks or in what order:
///
///     Rng noise(seed, "finetune.noise", {step, sample});
///
/// The position is a plain counter and can be saved.
class Rng {
 public:
  Rng(std::uint64_t seed, std::string_view purpose, std::initializer_list<std::uint64_t> indices = {});

  std::uint32_t next_u32();
  std::uint64_t below(std::uint64_t n);  ///< uniform in [0, n), without bias; n > 0
  double uniform();                      ///< [0, 1), 53 bits
  double normal();                       ///< standard normal
  /// Values with the precision of float32. They do not depend on the number of threads.
  void fill_uniform(std::span<float> out);
  void fill_normal(std::span<float> out);

  template <typename T>
  void shuffle(std::vector<T>& items) {  // Fisher-Yates; std::shuffle differs between libraries
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

  std::uint64_t position() const;  ///< how many 32-bit words have been drawn
  void set_position(std::uint64_t words);

 private:
  std::array<std::uint32_t, 4> block(std::uint64_t counter) const;

  std::array<std::uint32_t, 2> key_{};
  std::uint64_t stream_ = 0;
  std::uint64_t position_ = 0;
};

}  // namespace rehyat
