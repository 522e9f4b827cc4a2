#include "core/rng.h"

#include <cassert>
#include <cmath>
#include <numbers>

#include "core/hash.h"

namespace rehyat {
namespace {

/// One Philox 4x32-10 block.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0], product1 = kMultiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(product1),
               static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

std::uint64_t hex64(const std::string& digest, std::size_t at) {
  return std::stoull(digest.substr(at, 16), nullptr, 16);
}

double unit(std::uint32_t high, std::uint32_t low) {
  return static_cast<double>((static_cast<std::uint64_t>(high) << 32 | low) >> 11) * 0x1.0p-53;
}

}  // namespace

Rng::Rng(std::uint64_t seed, std::string_view purpose, std::initializer_list<std::uint64_t> indices) {
  // 128 bits of XXH3 over seed, purpose and indices: 64 become the key, 64 the upper half of the counter.
  Hasher hasher;
  hasher.update(&seed, sizeof seed).update(purpose);
  for (const std::uint64_t index : indices) hasher.update(&index, sizeof index);
  const std::string digest = hasher.digest();
  const std::uint64_t key = hex64(digest, 0);
  key_ = {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)};
  stream_ = hex64(digest, 16);
}

std::array<std::uint32_t, 4> Rng::block(std::uint64_t counter) const {
  return philox({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                 static_cast<std::uint32_t>(stream_), static_cast<std::uint32_t>(stream_ >> 32)},
                key_);
}

std::uint32_t Rng::next_u32() {
  const std::uint64_t word = position_++;
  return block(word / 4)[word % 4];
}

std::uint64_t Rng::below(std::uint64_t n) {
  assert(n > 0);
  const std::uint64_t limit = n * (UINT64_MAX / n);  // values from here on would favour small results
  while (true) {
    const std::uint64_t high = next_u32();
    const std::uint64_t value = high << 32 | next_u32();
    if (value < limit) return value % n;
  }
}

double Rng::uniform() {
  const std::uint32_t high = next_u32();
  return unit(high, next_u32());
}

double Rng::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

void Rng::fill_uniform(std::span<float> out) {
  // Whole blocks of four values, so that a value depends only on where it stands.
  const std::uint64_t first = (position_ + 3) / 4;
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const auto words = block(first + i / 4);
    for (std::size_t j = 0; j < 4 && i + j < out.size(); ++j)
      out[i + j] = static_cast<float>(words[j] >> 8) * 0x1.0p-24F;
  }
  position_ = (first + (out.size() + 3) / 4) * 4;
}

void Rng::fill_normal(std::span<float> out) {
  const std::uint64_t first = (position_ + 3) / 4;
  for (std::size_t i = 0; i < out.size(); i += 4) {
    const auto words = block(first + i / 4);
    for (std::size_t j = 0; j < 4 && i + j < out.size(); j += 2) {
      // Box-Muller on 32-bit words; the half keeps the logarithm's argument above 0.
      const double radius = std::sqrt(-2 * std::log((words[j] + 0.5) * 0x1.0p-32));
      const double angle = 2 * std::numbers::pi * (words[j + 1] * 0x1.0p-32);
      out[i + j] = static_cast<float>(radius * std::cos(angle));
      if (i + j + 1 < out.size()) out[i + j + 1] = static_cast<float>(radius * std::sin(angle));
    }
  }
  position_ = (first + (out.size() + 3) / 4) * 4;
}

std::uint64_t Rng::position() const {
  return position_;
}

void Rng::set_position(std::uint64_t words) {
  position_ = words;
}

}  // namespace rehyat
