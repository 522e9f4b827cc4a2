#include "data/video/transport_stream.h"

#include <optional>
#include <string>

namespace rehyat::data {

std::uint64_t transport_packet_size(ClipWindow& clip) {
  constexpr int kPackets = 5;
  for (const std::uint64_t size : {188, 192, 204}) {
    const std::uint64_t first = size == 192 ? 4 : 0;  // a time in front
    bool all = clip.size() >= size * kPackets;
    for (std::uint64_t i = 0; all && i < kPackets; ++i) all = clip.at(first + i * size, 1) == "G";
    if (all) return size;
  }
  return 0;
}

bool picture_has_gap(const ClipBytes& bytes, int id) {
  constexpr std::size_t kHead = 6;
  ClipWindow clip(bytes);
  const std::uint64_t size = transport_packet_size(clip);
  std::optional<unsigned> last;
  bool table = false;  // a table of streams came since the last packet of this one, as at the start of a recording
  for (std::uint64_t at = size == 192 ? 4 : 0; size > 0 && at < clip.size(); at += size) {
    const std::string head(clip.at(at, kHead));
    if (head.size() < kHead || head[0] != 'G') continue;
    const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(head[i])); };
    const unsigned stream = (byte(1) & 0x1F) << 8 | byte(2);
    table = table || stream == 0;
    if (stream != static_cast<unsigned>(id)) continue;
    const bool faulty = byte(1) & 0x80, begins = byte(1) & 0x40, has_content = byte(3) & 0x10;
    const bool has_field = byte(3) & 0x20, new_clock = has_field && byte(4) > 0 && (byte(5) & 0x80);
    if (faulty) return true;
    if (!has_content) continue;  // these are not counted
    const unsigned count = byte(3) & 0x0F;
    const bool follows = !last || count == ((*last + 1) & 0x0F) || count == *last;  // a packet may come twice
    if (!follows && !(begins && table) && !new_clock) return true;
    last = count;
    table = false;
  }
  return false;
}

}  // namespace rehyat::data
