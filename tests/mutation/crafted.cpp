#include "mutation/crafted.h"

#include <cstring>

#include "core/hash.h"
#include "core/strings.h"
#include "files/tar_maker.h"

namespace rehyat::testing {
namespace {

using json = nlohmann::ordered_json;

/// Texts of the tree need not be UTF-8 any more.
std::string text_of(const json& value, int indent = -1) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::uint64_t little_endian(const std::string& data, std::size_t at) {
  std::uint64_t value = 0;
  std::memcpy(&value, data.data() + at, sizeof value);
  return value;
}

/// CRC-32C (Castagnoli), bit by bit: a second opinion on the one that the program has.
std::uint32_t castagnoli(const std::string& data) {
  std::uint32_t crc = ~0U;
  for (const char c : data) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

std::string masked(const std::string& data) {
  const std::uint32_t crc = castagnoli(data), out = ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
  return {reinterpret_cast<const char*>(&out), sizeof out};
}

}  // namespace

void change_json_file(FileTree& tree, const std::string& name, Mutator& mutator) {
  tree[name] = text_of(mutator.structured(json::parse(tree.at(name))), 1);
}

void change_json_line(FileTree& tree, const std::string& name, Mutator& mutator) {
  std::vector<std::string> lines = split(tree.at(name), '\n');
  std::string& line = lines[mutator.below(lines.size())];
  const json value = json::parse(line, nullptr, false);
  line = value.is_discarded() ? "{}" : text_of(mutator.structured(value));
  tree[name] = join(lines, "\n");
}

void change_safetensors_header(FileTree& tree, const std::string& name, Mutator& mutator) {
  const std::string& file = tree.at(name);
  const std::uint64_t size = little_endian(file, 0);
  const std::string header = text_of(mutator.structured(json::parse(file.substr(8, size))));
  const std::uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  out.append(header).append(file, 8 + size);
  tree[name] = out;
}

void change_tar_header(FileTree& tree, const std::string& name, Mutator& mutator) {
  std::string& file = tree.at(name);
  std::vector<std::size_t> headers;
  for (std::size_t at = 0; at + 512 <= file.size(); at += 512)
    if (file.compare(at + 257, 5, "ustar") == 0) headers.push_back(at);
  if (headers.empty()) return;
  const std::size_t at = headers[mutator.below(headers.size())];
  std::string block = mutator.bytes(file.substr(at, 512));
  block.resize(512);
  block.replace(148, 8, 8, ' ');
  std::uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 8, TarMaker::octal(sum, 6) + std::string("\0 ", 2));
  file.replace(at, 512, block);
}

void change_marker(FileTree& tree, const std::string& name, Mutator& mutator) {
  json marker = json::parse(tree.at(name));
  json inside = {{"files", marker["files"]}, {"content", marker["content"]}};
  json& part = inside[mutator.chance(30) ? "files" : "content"];
  part = mutator.structured(part);
  marker["files"] = inside["files"];
  marker["content"] = inside["content"];
  marker["checksum"] = hash_text(text_of(inside));
  tree[name] = text_of(marker, 1);
}

void change_event(FileTree& tree, const std::string& name, Mutator& mutator) {
  const std::string& file = tree.at(name);
  std::vector<std::string> events;
  for (std::size_t at = 0; at + 16 <= file.size();) {
    const std::uint64_t size = little_endian(file, at);
    events.push_back(file.substr(at + 12, size));
    at += 16 + size;
  }
  std::string& event = events[mutator.below(events.size())];
  event = mutator.bytes(event);
  std::string out;
  for (const std::string& one : events) {
    const std::uint64_t size = one.size();
    const std::string length(reinterpret_cast<const char*>(&size), sizeof size);
    out.append(length).append(masked(length)).append(one).append(masked(one));
  }
  tree[name] = out;
}

}  // namespace rehyat::testing
