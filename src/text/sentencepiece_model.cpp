#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/file_format.h"
#include "files/protobuf.h"
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

}  // namespace

Vocabulary read_sentencepiece(const std::filesystem::path& path, std::int64_t extra) {
  const std::string where = path.string(), data = read_file(path, kLargestModel);
  Vocabulary out;
  out.source = where;
  std::uint64_t model = kUnigram;  // the format's default
  protobuf::Reader file(data, {where, "a SentencePiece model", "check the download"});
  while (const auto part = file.next()) {
    protobuf::Reader inner = file.inside(*part);
    if (part->number == kPieces) {
      std::string text;
      std::uint64_t type = kNormal;
      float score = 0;
      while (const auto field = inner.next()) {
        if (field->number == kPieceText) text = field->bytes;
        if (field->number == kPieceScore) score = field->real32();
        if (field->number == kPieceType) type = field->value;
      }
      if (type == kUnknown || type == kControl || type == kUserDefined)
        out.special.emplace_back(text, static_cast<std::int64_t>(out.pieces.size()));
      out.pieces.emplace_back(std::move(text), score);
    } else if (part->number == kTrainer) {
      while (const auto field = inner.next()) {
        if (field->number == kModelType) model = field->value;
        if (field->number == kUnknownId) out.unknown = field->integer();
      }
    } else if (part->number == kNormalizer) {
      while (const auto field = inner.next()) {
        if (field->number == kCharsmap) out.charsmap = field->bytes;
      }
    }
  }
  require(model == kUnigram, [&] { return where + ": found a SentencePiece model of another type, expected unigram"; });
  if (out.pieces.empty())
    throw UserError(explain_by_start({where, "no pieces", "a SentencePiece model", "check the download"}, data));
  for (std::int64_t i = extra - 1; i >= 0; --i) {
    const std::string name = cat("<extra_id_", i, ">");
    out.special.emplace_back(name, static_cast<std::int64_t>(out.pieces.size()));
    out.pieces.emplace_back(name, 0.0);
  }
  return out;
}

}  // namespace rehyat::text
