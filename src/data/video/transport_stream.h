#pragma once

#include <cstdint>

#include "data/video/clip_bytes.h"

/// MPEG-TS (ISO/IEC 13818-1): packets of one size, each of one of several streams and with a counter of that stream.
namespace rehyat::data {

/// The size of a packet, by the marks at the start of the first ones: 188, 192 with a time in front, 204 with a code
/// behind. 0: it is no such stream.
std::uint64_t transport_packet_size(ClipWindow& clip);

/// Whether packets of the stream `id` are missing inside of a picture: its counter jumps where no picture begins, or
/// without a table of streams in front, with which recordings begin; or a packet is marked as faulty. Any other jump
/// may be a join of two recordings.
bool picture_has_gap(const ClipBytes& clip, int id);

}  // namespace rehyat::data
