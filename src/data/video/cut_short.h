#pragma once

#include <string>

#include "data/video/clip_bytes.h"

namespace rehyat::data {

/// Says how a clip was cut short, as a download that stopped leaves it: "a file cut short: 3000 of 5120 bytes". Empty
/// where the clip is whole, and where its container cannot tell. Reads the container's own structure and no picture:
///
/// - Matroska, WebM: the size of the segment and, where it was streamed live and has none, of the last element.
/// - MP4, QuickTime: the size of the last box. AVI: the size of the RIFF chunk or, where it states none, of the last
///   part. ASF, WMV: the size of the file, where it is no live stream.
/// - Ogg: the size of the last page, and the mark at the end of its largest stream.
/// - GIF: the trailer. APNG: the chunk IEND. Y4M: the size of the last frame. MPEG-TS: the size of the last packet.
///
/// A live stream that ends between two of its parts is whole, as nothing says that more should come. In all other
/// containers FrameReader finds the end in the middle of a packet.
std::string why_cut_short(const ClipBytes& clip);

}  // namespace rehyat::data
