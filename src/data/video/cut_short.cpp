#include "data/video/cut_short.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>

#include "core/strings.h"
#include "data/video/transport_stream.h"

namespace rehyat::data {
namespace {

using Bytes = std::string_view;

std::string cut(std::uint64_t have, std::uint64_t of) {
  return cat("a file cut short: ", have, " of ", of, " bytes");
}

/// Where a part of `size` bytes at `at` ends behind the file.
std::string if_behind(const ClipWindow& clip, std::uint64_t at, std::uint64_t size) {
  return at <= clip.size() && size <= clip.size() - at ? "" : cut(clip.size(), at + size);
}

// ---- Matroska: elements of an ID, a size and a content.

struct Element {
  std::uint64_t id = 0, content = 0;  ///< where the content begins
  std::optional<std::uint64_t> size;  ///< nothing: unknown, as in a live stream
};

/// A number whose first byte says its length by the place of the highest 1; nothing where it is none.
std::optional<std::uint64_t> ebml_number(ClipWindow& clip, std::uint64_t& at, std::size_t longest, bool keep_mark,
                                         bool* all_ones = nullptr) {
  const Bytes first = clip.at(at, 1);
  if (first.empty() || first[0] == 0) return {};
  std::size_t length = 1;
  for (unsigned mark = 0x80; !(static_cast<unsigned char>(first[0]) & mark); mark >>= 1) ++length;
  const auto number = length <= longest ? clip.number(at, length, true) : std::nullopt;
  if (!number) return {};
  at += length;
  const std::uint64_t mask = (std::uint64_t{1} << (7 * length)) - 1;
  if (all_ones) *all_ones = (*number & mask) == mask;
  return keep_mark ? *number : *number & mask;
}

/// The element at `at`; nothing where no whole head of one stands there.
std::optional<Element> element_at(ClipWindow& clip, std::uint64_t at) {
  Element out;
  bool unknown = false;
  const auto id = ebml_number(clip, at, 4, true);
  if (!id) return {};
  const auto size = ebml_number(clip, at, 8, false, &unknown);
  if (!size) return {};
  out.id = *id;
  out.content = at;
  if (!unknown) out.size = *size;
  return out;
}

constexpr std::uint64_t kSegment = 0x18538067, kCluster = 0x1F43B675;

/// Elements that stand at the top, in a segment or in a cluster.
bool is_element(std::uint64_t id) {
  constexpr std::array<std::uint64_t, 19> kKnown{kSegment,   kCluster,   0x1A45DFA3, 0x114D9B74, 0x1549A966,
                                                 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367,
                                                 0xEC,       0xBF,       0xE7,       0x5854,     0xA7,
                                                 0xAB,       0xA3,       0xA0,       0xAF};
  return std::ranges::find(kKnown, id) != kKnown.end();
}

std::string matroska(ClipWindow& clip) {
  for (std::uint64_t at = 0; at < clip.size();) {
    const auto element = element_at(clip, at);
    // Half a head at the very end is cut off too; anything else that is no element is not judged.
    if (!element) return at > 0 && clip.size() - at < 12 ? cut(clip.size(), clip.size() + 1) : "";
    if (!is_element(element->id)) return "";  // what others put behind the video
    if (!element->size) {
      if (element->id != kSegment && element->id != kCluster) return "";
      at = element->content;  // its parts stand there
      continue;
    }
    if (std::string why = if_behind(clip, element->content, *element->size); !why.empty()) return why;
    at = element->content + *element->size;
  }
  return "";
}

// ---- MP4 and QuickTime: boxes of a size, a name and a content.

bool is_box(Bytes name) {
  constexpr std::array<Bytes, 16> kKnown{"ftyp", "moov", "mdat", "moof", "mfra", "free", "skip", "wide",
                                         "styp", "sidx", "udta", "uuid", "meta", "pnot", "emsg", "prft"};
  return std::ranges::find(kKnown, name) != kKnown.end();
}

std::string boxes(ClipWindow& clip) {
  for (std::uint64_t at = 0; at < clip.size();) {
    auto size = clip.number(at, 4, true);
    const std::string name(clip.at(at + 4, 4));
    if (!size || !is_box(name)) return "";  // padding, or what others put behind the video
    if (*size == 1) size = clip.number(at + 8, 8, true);
    if (!size || *size < 8) return "";  // 0: up to the end
    if (std::string why = if_behind(clip, at, *size); !why.empty()) return why;
    at += *size;
  }
  return "";
}

/// The parts of a RIFF chunk of unknown size: that of a capture program that was killed.
std::string riff_parts(ClipWindow& clip, std::uint64_t at) {
  while (at < clip.size()) {
    const std::string head(clip.at(at, 12));
    const auto size = clip.number(at + 4, 4, false);
    if (!size) return cut(clip.size(), at + 8);
    if (!std::ranges::all_of(head.substr(0, 4), [](char c) { return c >= ' ' && c <= '~'; })) return "";
    if (head.starts_with("LIST") && (*size == 0 || head.ends_with("movi") || head.ends_with("rec "))) {
      at += 12;
      continue;
    }
    if (std::string why = if_behind(clip, at + 8, *size); !why.empty()) return why;
    at += 8 + *size + *size % 2;
  }
  return "";
}

/// AVI. Large files are several RIFF chunks, one behind the other.
std::string riff(ClipWindow& clip) {
  constexpr std::uint64_t kLoose = 8;  // some writers count the head of the chunk too
  for (std::uint64_t at = 0; clip.at(at, 4) == "RIFF";) {
    const auto size = clip.number(at + 4, 4, false);
    if (!size || *size == 0 || *size == 0xFFFFFFFF) return riff_parts(clip, at + 12);  // not stated
    if (at + *size > clip.size()) return cut(clip.size(), at + 8 + *size);
    at += 8 + *size + *size % 2;
    if (at > clip.size() + kLoose) return "";
  }
  return "";
}

/// ASF and WMV: objects of a name in 16 bytes, a size and a content. One in the header states the file's size.
std::string asf(ClipWindow& clip) {
  constexpr Bytes kProperties("\xA1\xDC\xAB\x8C\x47\xA9\xCF\x11\x8E\xE4\x00\xC0\x0C\x20\x53\x65", 16);
  const auto header = clip.number(16, 8, false);
  for (std::uint64_t at = 30; header && at < *header;) {
    const std::string name(clip.at(at, 16));
    const auto size = clip.number(at + 16, 8, false);
    if (!size || *size < 24 || *size > *header) break;
    if (name == kProperties) {
      const auto file = clip.number(at + 40, 8, false), flags = clip.number(at + 88, 4, false);
      const bool live = flags && (*flags & 1);
      return file && !live && *file > clip.size() ? cut(clip.size(), *file) : "";
    }
    at += *size;
  }
  return "";
}

// ---- Ogg: pages, each of one of several streams.

std::string ogg(ClipWindow& clip) {
  constexpr std::uint8_t kLast = 4;
  struct Stream {
    std::uint64_t bytes = 0;
    bool ended = false;
  };
  std::map<std::uint64_t, Stream> streams;
  std::uint64_t at = 0;
  while (at < clip.size()) {
    const std::string head(clip.at(at, 27));
    if (!Bytes("OggS").starts_with(head.substr(0, 4))) return "";  // what is between pages is not judged
    if (head.size() < 27) return cut(clip.size(), at + 27);
    const auto segments = static_cast<std::uint8_t>(head[26]);
    const std::string table(clip.at(at + 27, segments));
    if (table.size() < segments) return cut(clip.size(), at + 27 + segments);
    std::uint64_t size = 27 + segments;
    for (const char length : table) size += static_cast<std::uint8_t>(length);
    if (std::string why = if_behind(clip, at, size); !why.empty()) return why;
    Stream& stream = streams[*clip.number(at + 14, 4, false)];
    stream.bytes += size;
    stream.ended = (static_cast<std::uint8_t>(head[5]) & kLast) != 0;
    at += size;
  }
  const auto largest = std::ranges::max_element(streams, {}, [](const auto& item) { return item.second.bytes; });
  return largest == streams.end() || largest->second.ended ? "" : "a file cut short: its stream has no last page";
}

// ---- GIF: blocks, of which the pictures and extensions are lists of parts.

/// Behind the parts at `at`, each with its length in front and the last empty; nothing where the file ends before.
std::optional<std::uint64_t> behind_parts(ClipWindow& clip, std::uint64_t at) {
  for (;;) {
    const auto length = clip.number(at, 1, true);
    if (!length) return {};
    at += 1 + *length;
    if (*length == 0) return at;
  }
}

std::string gif(ClipWindow& clip) {
  const std::string none = "a file cut short: its trailer is missing";
  const auto colours = [](std::uint64_t flags) -> std::uint64_t {
    return flags & 0x80 ? 3ULL << ((flags & 7) + 1) : 0;
  };
  const auto flags = clip.number(10, 1, true);
  if (!flags) return none;
  std::uint64_t at = 13 + colours(*flags);
  for (;;) {
    const Bytes kind = clip.at(at, 1);
    if (kind.empty()) return none;
    if (kind == ";") return "";
    if (kind == "\x21") {
      at += 2;
    } else if (kind == "\x2C") {
      const auto own = clip.number(at + 9, 1, true);
      if (!own) return none;
      at += 11 + colours(*own);
    } else {
      return "";  // FFmpeg decides what this is
    }
    const auto next = behind_parts(clip, at);
    if (!next) return none;
    at = *next;
  }
}

std::string png(ClipWindow& clip) {
  for (std::uint64_t at = 8; at < clip.size();) {
    const auto size = clip.number(at, 4, true);
    if (!size) break;
    const std::string name(clip.at(at + 4, 4));
    if (std::string why = if_behind(clip, at, 12 + *size); !why.empty()) return why;
    if (name == "IEND") return "";
    at += 12 + *size;
  }
  return "a file cut short: its chunk IEND is missing";
}

// ---- Y4M: a line of settings, then frames of one size, each behind a line of its own.

/// Bytes of a frame; nothing for settings that are unknown.
std::optional<std::uint64_t> y4m_frame(const std::string& settings) {
  std::uint64_t width = 0, height = 0;
  std::string colours = "420";
  for (const std::string& word : split(settings, ' ')) {
    if (word.starts_with('W')) width = std::strtoull(word.c_str() + 1, nullptr, 10);
    if (word.starts_with('H')) height = std::strtoull(word.c_str() + 1, nullptr, 10);
    if (word.starts_with('C')) colours = word.substr(1);
  }
  constexpr std::uint64_t kMost = 1 << 20;
  if (width == 0 || height == 0 || width > kMost || height > kMost) return {};
  const std::size_t depth = colours.find('p', 3);
  const bool deep = depth != std::string::npos && depth + 1 < colours.size() &&
                    std::isdigit(static_cast<unsigned char>(colours[depth + 1])) != 0;
  const std::uint64_t luma = width * height, half = (width + 1) / 2;
  std::uint64_t all = 0;
  if (colours.starts_with("420"))
    all = luma + 2 * half * ((height + 1) / 2);
  else if (colours.starts_with("422"))
    all = luma + 2 * half * height;
  else if (colours.starts_with("411"))
    all = luma + 2 * ((width + 3) / 4) * height;
  else if (colours.starts_with("444alpha"))
    all = 4 * luma;
  else if (colours.starts_with("444"))
    all = 3 * luma;
  else if (colours == "mono")
    all = luma;
  if (all == 0) return {};
  return deep ? 2 * all : all;
}

std::string y4m(ClipWindow& clip) {
  constexpr std::size_t kLine = 256;
  const auto line_at = [&](std::uint64_t at) -> std::optional<std::string> {
    const Bytes bytes = clip.at(at, kLine);
    const std::size_t end = bytes.find('\n');
    if (end == Bytes::npos) return {};
    return std::string(bytes.substr(0, end));
  };
  const auto settings = line_at(0);
  const auto frame = settings ? y4m_frame(*settings) : std::nullopt;
  if (!frame) return "";
  for (std::uint64_t at = settings->size() + 1; at < clip.size();) {
    const auto line = line_at(at);
    if (!line) return clip.size() - at < kLine ? cut(clip.size(), at + 6 + *frame) : "";
    if (!line->starts_with("FRAME")) return "";
    at += line->size() + 1;
    if (std::string why = if_behind(clip, at, *frame); !why.empty()) return why;
    at += *frame;
  }
  return "";
}

std::string transport_stream(ClipWindow& clip, std::uint64_t packet) {
  const std::uint64_t rest = clip.size() % packet, mark = clip.size() - rest + (packet == 192 ? 4 : 0);
  const bool begun = rest > 0 && (mark >= clip.size() || clip.at(mark, 1) == "G");
  return begun ? cut(clip.size(), clip.size() - rest + packet) : "";
}

}  // namespace

std::string why_cut_short(const ClipBytes& bytes) {
  ClipWindow clip(bytes);
  const std::string head(clip.at(0, 12));
  const Bytes start = head;
  if (start.starts_with("\x1A\x45\xDF\xA3")) return matroska(clip);
  if (start.starts_with("OggS")) return ogg(clip);
  if (start.starts_with("GIF8")) return gif(clip);
  if (start.starts_with("\x89PNG")) return png(clip);
  if (start.starts_with("YUV4MPEG2 ")) return y4m(clip);
  if (start.starts_with("RIFF") && start.ends_with("AVI ")) return riff(clip);
  if (start.starts_with("\x30\x26\xB2\x75\x8E\x66\xCF\x11")) return asf(clip);
  if (start.size() >= 8 && is_box(start.substr(4, 4))) return boxes(clip);
  const std::uint64_t packet = transport_packet_size(clip);
  return packet > 0 ? transport_stream(clip, packet) : "";
}

}  // namespace rehyat::data
