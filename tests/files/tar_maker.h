#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

#include "core/strings.h"
#include "files/atomic_file.h"

namespace rehyat::testing {

/// Bytes of a tar, member by member, good or bad.
class TarMaker {
 public:
  struct Header {
    std::string name, prefix;
    std::uint64_t size = 0;
    char type = '0';
    std::string magic = std::string("ustar\0", 6) + "00";
    std::string size_field;  ///< in place of the octal size
    int wrong_sum = 0;       ///< added to the checksum
  };

  TarMaker& header(const Header& h) {
    std::string block(512, '\0');
    const auto put = [&](std::size_t at, const std::string& text) { block.replace(at, text.size(), text); };
    put(0, h.name.substr(0, 100));
    put(100, "0000644");
    put(124, h.size_field.empty() ? octal(h.size, 11) : h.size_field);
    put(136, octal(0, 11));
    put(148, "        ");
    block[156] = h.type;
    put(257, h.magic);
    put(345, h.prefix.substr(0, 155));
    std::uint64_t sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put(148, octal(sum + static_cast<std::uint64_t>(h.wrong_sum), 6) + std::string("\0 ", 2));
    bytes_ += block;
    return *this;
  }
  TarMaker& data(const std::string& content) {
    bytes_ += content;
    bytes_.resize((bytes_.size() + 511) / 512 * 512);
    return *this;
  }
  TarMaker& add(const std::string& name, const std::string& content, char type = '0') {
    Header h;
    h.name = name;
    h.size = content.size();
    h.type = type;
    return header(h).data(content);
  }
  TarMaker& gnu_long(const std::string& name) { return add("././@LongLink", name + '\0', 'L'); }
  TarMaker& pax(const std::map<std::string, std::string>& records, char type = 'x') {
    std::string text;
    for (const auto& [key, value] : records) text += record(key, value);
    return add("PaxHeaders/x", text, type);
  }
  static std::string record(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    std::size_t length = rest.size() + 1;
    while (std::to_string(length).size() + rest.size() != length) ++length;
    return std::to_string(length) + rest;
  }
  TarMaker& end() {
    bytes_.append(1024, '\0');
    return *this;
  }
  const std::string& bytes() const { return bytes_; }
  std::filesystem::path save(const std::filesystem::path& path) const {
    write_file_atomic(path, bytes_);
    return path;
  }

  static std::string octal(std::uint64_t value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
    return text;
  }

 private:
  std::string bytes_;
};

}  // namespace rehyat::testing
