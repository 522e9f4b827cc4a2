#include "data/video/cut_short.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "data/video/transport_stream.h"

namespace rehyat::data {
namespace {

std::string verdict(const std::string& bytes) {
  return why_cut_short({bytes.size(), [&](std::uint64_t at, char* to, std::size_t count) {
                          const std::size_t have = std::min(count, bytes.size() - static_cast<std::size_t>(at));
                          bytes.copy(to, have, static_cast<std::size_t>(at));
                          return have;
                        }});
}

std::string number(std::uint64_t value, int bytes, bool big_endian = true) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * (big_endian ? bytes - 1 - i : i)));
  return out;
}

/// Whole, the bytes are not judged; cut anywhere from `from` on, they are.
void expect_told(const std::string& whole, std::size_t from, const char* name) {
  EXPECT_EQ(verdict(whole), "") << name;
  for (std::size_t size = from; size < whole.size(); ++size)
    EXPECT_NE(verdict(whole.substr(0, size)).find("cut short"), std::string::npos) << name << ", " << size << " bytes";
}

std::string element(const std::string& id, const std::string& content) {
  return id + number(content.size() | 0x4000, 2) + content;
}

const std::string kEbml = element("\x1A\x45\xDF\xA3", "\x42\x82\x84webm");
const std::string kCluster = "\x1F\x43\xB6\x75";
const std::string kSegment = "\x18\x53\x80\x67";
const std::string kUnknown = "\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF";

TEST(CutShort, MatroskaStatesTheSizeOfItsSegment) {
  const std::string clusters = element(kCluster, std::string(300, 'x')) + element(kCluster, std::string(200, 'y'));
  expect_told(kEbml + element(kSegment, clusters), kEbml.size() + 6, "mkv");
  EXPECT_EQ(verdict(kEbml + element(kSegment, clusters) + "what another program puts there"), "");
  EXPECT_EQ(verdict((kEbml + element(kSegment, clusters)).substr(0, 400)), "a file cut short: 400 of 531 bytes");
}

TEST(CutShort, ALiveStreamIsToldByItsLastPart) {
  const std::string block = element("\xA3", std::string(150, 'x'));
  const std::string live = kEbml + kSegment + kUnknown + kCluster + kUnknown + block + block;
  EXPECT_EQ(verdict(live), "");
  EXPECT_EQ(verdict(live.substr(0, live.size() - block.size())), "");  // between two parts nothing tells
  EXPECT_NE(verdict(live.substr(0, live.size() - 1)), "");
  EXPECT_NE(verdict(live.substr(0, live.size() - block.size() + 2)), "");
  EXPECT_NE(verdict(live.substr(0, live.size() - block.size() - 9)), "");
}

TEST(CutShort, OggEndsWithAMarkedPage) {
  const auto page = [](int flags, int serial, const std::string& body) {
    return "OggS" + std::string(1, '\0') + number(static_cast<unsigned>(flags), 1) + std::string(8, '\0') +
           number(static_cast<unsigned>(serial), 4, false) + std::string(8, '\0') + number(1, 1) +
           number(body.size(), 1) + body;
  };
  const std::string video = std::string(200, 'v');
  const std::string whole = page(2, 1, video) + page(6, 2, "skeleton") + page(0, 1, video) + page(4, 1, video);
  expect_told(whole, 30, "ogv");
}

TEST(CutShort, GifEndsWithATrailer) {
  const std::string picture = "\x2C" + std::string(8, '\0') + "\x80" + std::string(6, 'c') + "\x02" + number(3, 1) +
                              "abc" + number(2, 1) + "de" + number(0, 1);
  const std::string delay = "\x21\xF9" + number(4, 1) + std::string(4, '\0') + number(0, 1);
  const std::string whole = "GIF89a" + std::string(4, '\1') + "\xF1" + std::string(2, '\0') + std::string(12, 'c') +
                            delay + picture + delay + picture + ";";
  expect_told(whole, 20, "gif");
  EXPECT_EQ(verdict(whole + "more behind it"), "");
}

TEST(CutShort, ApngEndsWithIend) {
  const auto chunk = [](const std::string& name, const std::string& content) {
    return number(content.size(), 4) + name + content + "crc!";
  };
  const std::string whole = "\x89PNG\r\n\x1A\n" + chunk("IHDR", std::string(13, 'h')) +
                            chunk("IDAT", std::string(99, 'd')) + chunk("fdAT", std::string(50, 'f')) +
                            chunk("IEND", "");
  expect_told(whole, 12, "apng");
}

TEST(CutShort, Y4mFramesAreOfOneSize) {
  const struct {
    const char* colours;
    std::size_t bytes;  ///< of a frame of 5x3
  } kinds[] = {{"", 15 + 2 * 6}, {" C420jpeg", 15 + 2 * 6}, {" C422", 15 + 2 * 9}, {" C411", 15 + 2 * 6}, {" C444", 45},
               {" Cmono", 15},   {" C420p10", 2 * 27},      {" C444alpha", 60}};
  for (const auto& kind : kinds) {
    const std::string frame = "FRAME\n" + std::string(kind.bytes, 'y');
    const std::string head = std::string("YUV4MPEG2 W5 H3 F25:1 Ip A1:1") + kind.colours + "\n";
    EXPECT_EQ(verdict(head + frame + frame), "") << kind.colours;
    EXPECT_EQ(verdict(head + frame + "FRAME Ixyz\n" + std::string(kind.bytes, 'y')), "") << kind.colours;
    for (const std::size_t less : {std::size_t{1}, kind.bytes - 1, kind.bytes + 3})
      EXPECT_NE(verdict(head + frame + frame.substr(0, frame.size() - less)), "") << kind.colours << ", " << less;
  }
  EXPECT_EQ(verdict("YUV4MPEG2 W5 H3 Cstrange\nFRAME\nx"), "");
}

TEST(CutShort, BoxesAndChunksStateTheirSize) {
  const auto box = [](const std::string& name, const std::string& content) {
    return number(8 + content.size(), 4) + name + content;
  };
  const std::string mp4 = box("ftyp", "isom") + box("moov", std::string(40, 'm')) + number(1, 4) + "mdat" +
                          number(16 + 100, 8) + std::string(100, 'd');
  EXPECT_EQ(verdict(mp4), "");
  EXPECT_EQ(verdict(mp4 + "what another program puts there"), "");
  EXPECT_NE(verdict(mp4.substr(0, mp4.size() - 1)), "");
  EXPECT_NE(verdict(mp4.substr(0, 40)), "");
  const std::string endless = box("ftyp", "isom") + number(0, 4) + "mdat" + std::string(50, 'd');
  EXPECT_EQ(verdict(endless), "");
  const auto avi = [](std::uint64_t stated, std::size_t bytes) {
    return "RIFF" + number(stated, 4, false) + "AVI " + std::string(bytes - 4, 'a');
  };
  EXPECT_EQ(verdict(avi(100, 100)), "");
  EXPECT_EQ(verdict(avi(108, 100)), "");  // a writer that counts the head too
  EXPECT_EQ(verdict(avi(200, 100)), "a file cut short: 108 of 208 bytes");
  EXPECT_NE(verdict(avi(100, 100) + avi(300, 200)), "");
  const auto chunk = [](const std::string& name, std::uint64_t size, const std::string& content) {
    return name + number(size, 4, false) + content;
  };
  // A capture program that was killed states neither its size nor that of its list of frames.
  const std::string killed = "RIFF" + number(0, 4) + "AVI " + chunk("LIST", 14, "hdrl" + std::string(10, 'h')) +
                             chunk("LIST", 0, "movi") + chunk("00dc", 51, std::string(52, 'f'));
  EXPECT_EQ(verdict(killed), "");
  EXPECT_NE(verdict(killed + chunk("00dc", 50, std::string(49, 'f'))), "");
  EXPECT_NE(verdict(killed + "00d"), "");
}

TEST(CutShort, AsfStatesTheSizeOfTheFile) {
  const auto asf = [](std::uint64_t size, int flags) {
    const std::string other = std::string(16, 'x') + number(30, 8, false) + "123456";
    const std::string properties = std::string("\xA1\xDC\xAB\x8C\x47\xA9\xCF\x11\x8E\xE4\x00\xC0\x0C\x20\x53\x65", 16) +
                                   number(104, 8, false) + std::string(16, 'i') + number(size, 8, false) +
                                   std::string(40, 'd') + number(static_cast<unsigned>(flags), 4, false) +
                                   std::string(12, 'r');
    return "\x30\x26\xB2\x75\x8E\x66\xCF\x11" + std::string(8, 'g') + number(164, 8, false) + std::string(6, '0') +
           other + properties + std::string(100, 'd');
  };
  EXPECT_EQ(verdict(asf(264, 0)), "");
  EXPECT_EQ(verdict(asf(500, 0)), "a file cut short: 264 of 500 bytes");
  EXPECT_EQ(verdict(asf(500, 1)), "");  // a live stream does not know it
}

TEST(CutShort, TransportStreamsAreWholePackets) {
  for (const std::size_t size : {188, 192, 204}) {
    const std::string front(size == 192 ? 4 : 0, '\0');
    const std::string packet = front + "G" + std::string(size - front.size() - 1, 'p');
    std::string stream;
    for (int i = 0; i < 6; ++i) stream += packet;
    EXPECT_EQ(verdict(stream), "") << size;
    EXPECT_NE(verdict(stream + packet.substr(0, 100)), "") << size;
    EXPECT_EQ(verdict(stream + std::string(100, '\0')), "") << size;  // padding
  }
}

TEST(TransportStream, AGapInsideOfAPictureIsToldFromAJoin) {
  const auto packet = [](int id, int count, bool begins, const std::string& content = "p", int control = 0x10) {
    const std::string head = std::string("G") + static_cast<char>((begins ? 0x40 : 0) | id >> 8) +
                             static_cast<char>(id) + static_cast<char>(control | (count & 0x0F));
    return head + content + std::string(188 - head.size() - content.size(), 'p');
  };
  const auto has_gap = [](const std::string& bytes) {
    return picture_has_gap({bytes.size(),
                            [&](std::uint64_t at, char* to, std::size_t count) {
                              const std::size_t have = std::min(count, bytes.size() - static_cast<std::size_t>(at));
                              bytes.copy(to, have, static_cast<std::size_t>(at));
                              return have;
                            }},
                           0x100);
  };
  const std::string recording = packet(0, 0, true) + packet(0x100, 0, true) + packet(0x100, 1, false) +
                                packet(0x101, 7, true) + packet(0x100, 2, true) + packet(0x100, 3, false);
  EXPECT_FALSE(has_gap(recording));
  EXPECT_FALSE(has_gap(recording + recording));                                  // joined
  EXPECT_FALSE(has_gap(recording + packet(0x100, 3, false)));                    // a packet that came twice
  EXPECT_FALSE(has_gap(recording + packet(0x101, 3, false)));                    // another stream
  EXPECT_FALSE(has_gap(recording + packet(0x100, 9, false, "", 0x20)));          // without content
  EXPECT_FALSE(has_gap(recording + packet(0x100, 9, false, "\x01\x80", 0x30)));  // says so itself
  EXPECT_TRUE(has_gap(recording + packet(0x100, 5, false)));
  EXPECT_TRUE(has_gap(recording + packet(0x100, 5, true)));  // no recording begins without a table
  std::string faulty = recording;
  faulty[188 + 1] |= static_cast<char>(0x80);
  EXPECT_TRUE(has_gap(faulty));
}

TEST(CutShort, WhatCannotTellIsNotJudged) {
  for (const std::string& bytes : std::vector<std::string>{"", "x", "RIFF", "GIF", "no video at all", kEbml})
    EXPECT_EQ(verdict(bytes), "") << bytes;
}

}  // namespace
}  // namespace rehyat::data
