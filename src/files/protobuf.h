#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Protocol buffers as they lie in files: https://protobuf.dev/programming-guides/encoding. Groups, which are obsolete,
/// count as damage.
namespace rehyat::protobuf {

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  ///< of a varint or a fixed number
  std::string_view bytes;   ///< of a text, a message or anything else with a length

  std::int64_t integer() const { return static_cast<std::int64_t>(value); }
  float real32() const { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }
  double real64() const { return std::bit_cast<double>(value); }
};

/// The fields of one message, one after the other. The data must outlive the reader and its fields.
class Reader {
 public:
  /// What the UserError about damaged data says: where the message lies, what it should be and how to mend it.
  struct Words {
    std::string where, expected, hint;
  };
  Reader(std::string_view data, Words words) : Reader(data, data, std::move(words)) {}

  /// Nothing at the end. Throws UserError on data that is no message, with what its first bytes tell (file_format.h).
  std::optional<Field> next();
  /// A reader of the message that a field holds, with the same words.
  Reader inside(const Field& field) const { return Reader(field.bytes, file_, words_); }

 private:
  Reader(std::string_view data, std::string_view file, Words words)
      : data_(data), file_(file), words_(std::move(words)) {}
  [[noreturn]] void fail() const;
  std::string_view take(std::uint64_t count);
  std::uint64_t varint();

  std::string_view data_;
  std::string_view file_;  ///< the outermost message, whose first bytes may tell what is there instead
  Words words_;
  std::size_t at_ = 0;
};

/// Builds one message.
class Writer {
 public:
  Writer& integer(std::uint64_t field, std::uint64_t value);
  Writer& real32(std::uint64_t field, float value);
  Writer& real64(std::uint64_t field, double value);
  /// A text or a message.
  Writer& bytes(std::uint64_t field, std::string_view value);
  const std::string& data() const { return data_; }

 private:
  void varint(std::uint64_t value);

  std::string data_;
};

}  // namespace rehyat::protobuf
