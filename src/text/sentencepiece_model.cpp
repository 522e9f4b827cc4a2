#include <bit>
#include <cstring>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "text/vocabulary.h"

// Field numbers are those of sentencepiece_model.proto.
namespace rehyat::text {
namespace {

constexpr std::uint64_t kLargestModel = std::uint64_t{256} << 20;
enum : std::uint64_t { kPieces = 1, kTrainer = 2, kNormalizer = 3 };
enum : std::uint64_t { kPieceText = 1, kPieceScore = 2, kPieceType = 3 };
enum : std::uint64_t { kModelType = 3, kUnknownId = 40 };
enum : std::uint64_t { kCharsmap = 2 };
enum : std::uint64_t { kUnigram = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kNormal = 1 };

struct Field {
  std::uint64_t number = 0;
  std::uint64_t value = 0;  ///< of a varint or fixed number
  std::string_view bytes;   ///< of a string or message
};

/// The fields of a protocol buffers message, one after the other.
class Message {
 public:
  Message(std::string_view data, const std::string& where) : data_(data), where_(where) {}

  std::optional<Field> next() {
    if (at_ == data_.size()) return std::nullopt;
    const std::uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed<std::uint64_t>();
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.value = fixed<std::uint32_t>();
        break;
      default:
        fail();
    }
    return field;
  }

 private:
  [[noreturn]] void fail() const {
    throw UserError({where_, cat("damaged data at byte ", at_), "a SentencePiece model", "check the download"});
  }
  std::string_view take(std::uint64_t count) {
    if (count > data_.size() - at_) fail();
    at_ += count;
    return data_.substr(at_ - count, count);
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    fail();
  }
  template <typename T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string_view data_;
  std::string where_;
  std::size_t at_ = 0;
};

}  // namespace

Vocabulary read_sentencepiece(const std::filesystem::path& path, std::int64_t extra) {
  const std::string where = path.string(), data = read_file(path, kLargestModel);
  Vocabulary out;
  out.source = where;
  std::uint64_t model = kUnigram;  // the format's default
  Message file(data, where);
  while (const auto part = file.next()) {
    Message inner(part->bytes, where);
    if (part->number == kPieces) {
      std::string text;
      std::uint64_t type = kNormal;
      float score = 0;
      while (const auto field = inner.next()) {
        if (field->number == kPieceText) text = field->bytes;
        if (field->number == kPieceScore) score = std::bit_cast<float>(static_cast<std::uint32_t>(field->value));
        if (field->number == kPieceType) type = field->value;
      }
      if (type == kUnknown || type == kControl || type == kUserDefined)
        out.special.emplace_back(text, static_cast<std::int64_t>(out.pieces.size()));
      out.pieces.emplace_back(std::move(text), score);
    } else if (part->number == kTrainer) {
      while (const auto field = inner.next()) {
        if (field->number == kModelType) model = field->value;
        if (field->number == kUnknownId) out.unknown = static_cast<std::int64_t>(field->value);
      }
    } else if (part->number == kNormalizer) {
      while (const auto field = inner.next()) {
        if (field->number == kCharsmap) out.charsmap = field->bytes;
      }
    }
  }
  require(model == kUnigram, [&] { return where + ": found a SentencePiece model of another type, expected unigram"; });
  require(!out.pieces.empty(), [&] { return where + ": found no pieces, expected a SentencePiece model"; });
  for (std::int64_t i = extra - 1; i >= 0; --i) {
    const std::string name = cat("<extra_id_", i, ">");
    out.special.emplace_back(name, static_cast<std::int64_t>(out.pieces.size()));
    out.pieces.emplace_back(name, 0.0);
  }
  return out;
}

}  // namespace rehyat::text
