#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

/// Tables of characters, written by scripts/make_text_tables.py into text/tables/*.cpp; each is in ascending order of
/// its first member.
namespace rehyat::text {

/// An HTML 5 entity: one or two code points. `bare` ones are also known without their semicolon.
struct Entity {
  std::string_view name;  ///< without & and ;
  char32_t first, second;
  bool bare;
};
std::span<const Entity> entities();

/// An entity's name in capitals, which HTML does not know but careless programs write: &EACUTE;.
struct Replacement {
  std::string_view name;
  std::u32string_view text;
};
std::span<const Replacement> upper_entities();

/// What numeric references that HTML forbids become, and those that vanish.
struct Mapping {
  char32_t from, to;
};
struct Range {
  char32_t first, last;
};
std::span<const Mapping> replaced_references();
std::span<const Range> dropped_references();

/// The upper half of a single-byte encoding. A sloppy one has holes filled from Latin-1, and its byte 1A stands for
/// U+FFFD.
struct ByteEncoding {
  std::string_view name;
  bool sloppy;
  std::array<char32_t, 128> high;
};
/// In the order in which they are tried: Latin-1 first, then Windows-1252.
std::span<const ByteEncoding> byte_encodings();

struct Expansion {
  char32_t from;
  std::u32string_view to;
};
std::span<const Expansion> widths();     ///< half and full width forms
std::span<const Expansion> ligatures();  ///< of Latin letters

/// Sets of characters as bits: 0 white space, 1 decimal digits, 2 what may not precede embedded UTF-8; the rest is used
/// by the patterns.
struct SetMask {
  std::uint64_t low, high;
  constexpr bool has(unsigned bit) const { return bit < 64 ? low >> bit & 1 : high >> (bit - 64) & 1; }
};
constexpr unsigned kSpaceSet = 0, kDigitSet = 1, kNotBeforeUtf8Set = 2;
struct SetRun {
  char32_t begin;  ///< to the next run's
  SetMask sets;
};
std::span<const SetRun> set_runs();

/// Characters in a row, each of one set.
struct SetPattern {
  bool at_start;  ///< only at the start of the text
  std::uint8_t length;
  std::array<std::uint8_t, 7> sets;
};
std::span<const SetPattern> bad_patterns();   ///< unlikely sequences, signs of a wrong decoding
std::span<const SetPattern> utf8_patterns();  ///< one UTF-8 sequence seen through a single-byte encoding

}  // namespace rehyat::text
