#include "files/protobuf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/expect_error.h"

namespace rehyat::protobuf {
namespace {

using testing::expect_error;

Reader reader(std::string_view data) {
  return Reader(data, {"a.bin", "an event", "copy it again"});
}

void drain(std::string_view data) {
  Reader in = reader(data);
  while (in.next()) continue;
}

void refused(std::string_view data, const std::string& place) {
  expect_error<UserError>([&] { drain(data); }, {"a.bin: found damaged data at " + place, "an event", "copy it again"});
}

TEST(Protobuf, WritesThePublishedBytes) {
  // The examples of the encoding's description.
  EXPECT_EQ(Writer().integer(1, 150).data(), "\x08\x96\x01");
  EXPECT_EQ(Writer().bytes(2, "testing").data(), "\x12\x07testing");
  EXPECT_EQ(Writer().bytes(3, Writer().integer(1, 150).data()).data(), "\x1a\x03\x08\x96\x01");
  EXPECT_EQ(Writer().integer(16, 0).data(), std::string("\x80\x01\x00", 3));
}

TEST(Protobuf, RoundTrip) {
  const std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
  const std::string text(300, 'x');
  Writer inner;
  inner.real64(1, -0.1).integer(2, static_cast<std::uint64_t>(-7));
  Writer out;
  out.integer(1, largest).real32(2, std::nanf("")).bytes(3, text).bytes(4, inner.data()).bytes(5, "");
  out.integer(1U << 28, 1);
  Reader in = reader(out.data());
  EXPECT_EQ(in.next()->value, largest);
  EXPECT_TRUE(std::isnan(in.next()->real32()));
  const std::optional<Field> third = in.next();
  EXPECT_EQ(third->number, 3U);
  EXPECT_EQ(third->bytes, text);
  Reader message = in.inside(*in.next());
  EXPECT_EQ(message.next()->real64(), -0.1);
  EXPECT_EQ(message.next()->integer(), -7);
  EXPECT_FALSE(message.next());
  EXPECT_EQ(in.next()->bytes, "");
  EXPECT_EQ(in.next()->number, 1U << 28);
  EXPECT_FALSE(in.next());
  EXPECT_FALSE(in.next());
  EXPECT_FALSE(reader("").next());
}

TEST(Protobuf, EveryCutEndsInASentence) {
  Writer inner;
  inner.real32(1, 1).bytes(2, "text");
  const std::string whole = Writer().real64(1, 2).bytes(2, inner.data()).integer(3, 1 << 20).data();
  EXPECT_NO_THROW(drain(whole));
  std::size_t accepted = 0;
  for (std::size_t bytes = 1; bytes < whole.size(); ++bytes) {
    try {
      drain(std::string_view(whole).substr(0, bytes));
      ++accepted;  // between two fields
    } catch (const UserError&) {
    }
  }
  EXPECT_EQ(accepted, 2U);
}

TEST(Protobuf, HostileDataEndsInASentence) {
  using std::string_literals::operator""s;
  refused("\x80", "byte 1");                             // a tag that does not end
  refused("\x08" + std::string(11, '\xff'), "byte 11");  // a number of more than 64 bits
  refused(
      "\x12\x05"
      "ab",
      "byte 2");                                                 // longer than the data
  refused("\x12" + std::string(9, '\xff') + "\x01", "byte 11");  // a length near 2^64
  refused("\x0b", "byte 1");                                     // the start of a group
  refused("\x0f", "byte 1");                                     // no wire type at all
  refused("\x00\x01"s, "byte 1");                                // field 0
  refused("\x09\x01\x02", "byte 1");
  refused("\x0d\x01", "byte 1");
}

}  // namespace
}  // namespace rehyat::protobuf
