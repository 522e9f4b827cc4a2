#include "mutation/mutator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

namespace rehyat::testing {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t kLargest = 4 << 20;  // bytes

/// Every value in the tree, the root too.
void collect(json& value, std::vector<json*>& out) {
  out.push_back(&value);
  if (value.is_structured()) {
    for (json& child : value) collect(child, out);
  }
}

/// Puts `value` there with `width` bytes.
void put_number(std::string& data, std::size_t at, std::uint64_t value, std::size_t width, bool big_endian) {
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (big_endian ? width - 1 - i : i);
    data[at + i] = static_cast<char>(value >> shift & 0xFF);
  }
}

std::uint64_t number_at(const std::string& data, std::size_t at, std::size_t width, bool big_endian) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (big_endian ? width - 1 - i : i);
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(data[at + i])) << shift;
  }
  return value;
}

}  // namespace

std::uint64_t Mutator::number() {
  constexpr std::array<std::uint64_t, 20> limits = {0,
                                                    1,
                                                    2,
                                                    7,
                                                    64,
                                                    127,
                                                    128,
                                                    255,
                                                    256,
                                                    32767,
                                                    65535,
                                                    65536,
                                                    0x7FFFFFFF,
                                                    0x80000000,
                                                    0xFFFFFFFF,
                                                    0x100000000,
                                                    1ULL << 40,
                                                    0x7FFFFFFFFFFFFFFF,
                                                    0x8000000000000000,
                                                    0xFFFFFFFFFFFFFFFF};
  return limits[below(limits.size())] + below(3) - 1;
}

std::string Mutator::file_of(const FileTree& tree) {
  return std::next(tree.begin(), static_cast<std::ptrdiff_t>(below(tree.size())))->first;
}

std::string Mutator::bytes(std::string input, std::string_view other) {
  const std::size_t steps = 1 + below(4);
  for (std::size_t i = 0; i < steps; ++i) one_step(input, other);
  if (input.size() > kLargest) input.resize(kLargest);
  return input;
}

void Mutator::one_step(std::string& data, std::string_view other) {
  const std::size_t kind = below(10);
  if (kind < 5 && !data.empty())
    change_bytes(data);
  else if (kind < 8)
    change_length(data, other);
  else
    change_text(data);
}

/// `data` is not empty.
void Mutator::change_bytes(std::string& data) {
  // Half of the changes are near the start, where headers are.
  const std::size_t reach = chance(50) ? std::min<std::size_t>(data.size(), 64) : data.size(), at = below(reach);
  switch (below(5)) {
    case 0:
      data[at] = static_cast<char>(data[at] ^ (1 << below(8)));
      return;
    case 1:
      data[at] = static_cast<char>(rng_.next_u32());
      return;
    case 2: {
      const std::size_t count = std::min(data.size() - at, 1 + below(chance(20) ? 4096 : 16));
      const std::size_t fill = below(3);
      for (std::size_t i = at; i < at + count; ++i)
        data[i] = fill == 0 ? '\0' : fill == 1 ? '\xFF' : static_cast<char>(rng_.next_u32());
      return;
    }
    default: {
      const std::size_t width = std::size_t{1} << below(4);
      if (data.size() < width) return;
      const std::size_t place = std::min(chance(50) ? at / width * width : at, data.size() - width);
      const bool big_endian = chance(30);
      const std::uint64_t was = number_at(data, place, width, big_endian);
      put_number(data, place, chance(60) ? number() : was + below(33) - 16, width, big_endian);
      return;
    }
  }
}

void Mutator::change_length(std::string& data, std::string_view other) {
  const std::size_t at = below(data.size() + 1), rest = data.size() - at;
  switch (below(7)) {
    case 0:
      data.resize(chance(50) ? at : data.size() - std::min<std::size_t>(data.size(), 1 + below(16)));
      return;
    case 1:
      data.erase(at, 1 + below(chance(30) ? rest : 16));
      return;
    case 2: {
      std::string random(1 + below(chance(10) ? 65536 : 32), '\0');
      for (char& c : random) c = static_cast<char>(rng_.next_u32());
      data.insert(at, random);
      return;
    }
    case 3:
      data.insert(below(data.size() + 1), data.substr(at, 1 + below(chance(30) ? rest : 64)));
      return;
    case 4: {  // two stretches change places
      const std::size_t middle = at + below(rest + 1);
      std::rotate(data.begin() + static_cast<std::ptrdiff_t>(at), data.begin() + static_cast<std::ptrdiff_t>(middle),
                  data.begin() + static_cast<std::ptrdiff_t>(std::min(data.size(), middle + below(128))));
      return;
    }
    case 5:
      if (!other.empty()) data = data.substr(0, at) + std::string(other.substr(below(other.size())));
      return;
    default:
      data.append(1 + below(chance(20) ? 65536 : 64), chance(50) ? '\0' : '\xFF');
      return;
  }
}

void Mutator::change_text(std::string& data) {
  const std::size_t at = below(data.size() + 1);
  switch (below(5)) {
    case 0: {  // a decimal number becomes another
      const std::size_t digit = std::min(data.find_first_of("0123456789", at), data.size());
      const std::size_t end = std::min(data.find_first_not_of("0123456789", digit), data.size());
      constexpr std::array<const char*, 5> odd = {"-1", "1e308", "1e999", "00", "0.5"};
      data.replace(digit, end - digit, chance(70) ? std::to_string(number()) : odd[below(odd.size())]);
      return;
    }
    case 1: {  // opened and never closed
      constexpr std::array<std::string_view, 6> open = {"[", "{\"a\":", "{a: ", "(", "- ", "\x80\x02}"};
      const std::string_view one = open[below(open.size())];
      std::string nested;
      const std::size_t depth = chance(30) ? 100'000 : 100;
      for (std::size_t i = 0; i < depth && nested.size() < 1 << 20; ++i) nested += one;
      data.insert(at, nested);
      return;
    }
    case 2: {  // another kind of file
      constexpr std::array<std::string_view, 8> starts = {
          "\x89HDF\r\n\x1a\n",     "PK\x03\x04",   "\x80\x02}",
          "\xFF\xFEw\0i\0d\0e\0",  "\xEF\xBB\xBF", "version https://git-lfs.gith",
          "<!DOCTYPE html><html>", "\x1f\x8b"};
      const std::string_view start = starts[below(starts.size())];
      data.replace(0, std::min(data.size(), chance(50) ? start.size() : 0), start);
      return;
    }
    default:
      if (words_.empty()) return;
      const std::string& word = words_[below(words_.size())];
      if (chance(50))
        data.insert(at, word);
      else
        data.replace(at, std::min(word.size(), data.size() - at), word);
      return;
  }
}

json Mutator::odd_value(const json& root) {
  switch (below(14)) {
    case 0:
      return nullptr;
    case 1:
      return chance(50);
    case 2:
      return -1;
    case 3:
      return number();
    case 4:
      return static_cast<std::int64_t>(number());
    case 5:
      return chance(50) ? 0.5 : std::numeric_limits<double>::max();
    case 6:
      return "";
    case 7:
      return std::string(1 + below(chance(10) ? 100'000 : 8), 'x');
    case 8:
      return json::array();
    case 9:
      return json::object();
    case 10:
      return std::string("a\0b\x1b[31m\n", 10);
    case 11:
      return chance(50) ? "../../etc/passwd" : "/dev/zero";
    case 12: {
      json nested = json::array();
      for (int i = 0; i < 60; ++i) nested = json::array({nested});
      return nested;
    }
    default: {
      json copy = root;
      std::vector<json*> all;
      collect(copy, all);
      return *all[below(all.size())];
    }
  }
}

json Mutator::structured(json input) {
  const std::size_t steps = 1 + below(3);
  for (std::size_t i = 0; i < steps; ++i) {
    std::vector<json*> all;
    collect(input, all);
    json& value = *all[below(all.size())];
    if (!value.is_structured() || value.empty() || chance(20)) {
      value = odd_value(input);
      continue;
    }
    const std::size_t at = below(value.size());
    const auto child = std::next(value.begin(), static_cast<std::ptrdiff_t>(at));
    switch (below(4)) {
      case 0:
        value.erase(child);
        break;
      case 1:
        *child = odd_value(input);
        break;
      case 2:
        if (value.is_array())
          value.push_back(json(*child));
        else
          value[words_.empty() ? "x" : words_[below(words_.size())]] = json(*child);
        break;
      default: {
        json other = odd_value(input);
        std::swap(*child, other);
        break;
      }
    }
  }
  return input;
}

}  // namespace rehyat::testing
