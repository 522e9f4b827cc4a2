#include "files/protobuf.h"

#include <cstring>

#include "core/error.h"
#include "core/strings.h"
#include "files/file_format.h"

namespace rehyat::protobuf {
namespace {

enum WireType : std::uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

template <typename Number>
Number fixed(std::string_view bytes) {
  Number value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

template <typename Number>
void append(std::string& out, Number value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

void Reader::fail() const {
  throw UserError(
      explain_by_start({words_.where, cat("damaged data at byte ", at_), words_.expected, words_.hint}, file_));
}

std::string_view Reader::take(std::uint64_t count) {
  if (count > data_.size() - at_) fail();
  at_ += count;
  return data_.substr(at_ - count, count);
}

std::uint64_t Reader::varint() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(1)[0]);
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail();
}

std::optional<Field> Reader::next() {
  if (at_ == data_.size()) return std::nullopt;
  const std::uint64_t tag = varint();
  Field field;
  field.number = tag >> 3;
  if (field.number == 0) fail();
  switch (tag & 7) {
    case kVarint:
      field.value = varint();
      break;
    case kFixed64:
      field.value = fixed<std::uint64_t>(take(8));
      break;
    case kBytes:
      field.bytes = take(varint());
      break;
    case kFixed32:
      field.value = fixed<std::uint32_t>(take(4));
      break;
    default:
      fail();
  }
  return field;
}

void Writer::varint(std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) data_.push_back(static_cast<char>(value | 0x80));
  data_.push_back(static_cast<char>(value));
}

Writer& Writer::integer(std::uint64_t field, std::uint64_t value) {
  varint(field << 3 | kVarint);
  varint(value);
  return *this;
}

Writer& Writer::real32(std::uint64_t field, float value) {
  varint(field << 3 | kFixed32);
  append(data_, value);
  return *this;
}

Writer& Writer::real64(std::uint64_t field, double value) {
  varint(field << 3 | kFixed64);
  append(data_, value);
  return *this;
}

Writer& Writer::bytes(std::uint64_t field, std::string_view value) {
  varint(field << 3 | kBytes);
  varint(value.size());
  data_ += value;
  return *this;
}

}  // namespace rehyat::protobuf
