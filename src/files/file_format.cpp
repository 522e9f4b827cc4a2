#include "files/file_format.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>

namespace rehyat {
namespace {

constexpr std::size_t kStartBytes = 512;

struct Signature {
  std::size_t offset;
  std::string_view bytes;
  KnownFormat format;
};

constexpr std::string_view kUnpack = "unpack it";
constexpr KnownFormat kUtf16 = {FileFormat::utf16, "text in UTF-16",
                                "convert it, for example with iconv -f UTF-16 -t UTF-8"};
constexpr KnownFormat kUtf16LittleEndian = {FileFormat::utf16, "text in UTF-16",
                                            "convert it, for example with iconv -f UTF-16LE -t UTF-8"};
constexpr KnownFormat kUtf16BigEndian = {FileFormat::utf16, "text in UTF-16",
                                         "convert it, for example with iconv -f UTF-16BE -t UTF-8"};
constexpr KnownFormat kUtf32 = {FileFormat::utf32, "text in UTF-32",
                                "convert it, for example with iconv -f UTF-32 -t UTF-8"};
constexpr KnownFormat kPointer = {FileFormat::git_lfs_pointer, "a Git LFS pointer in place of the file",
                                  "fetch the file itself with `git lfs pull`"};
constexpr KnownFormat kWebPage = {
    FileFormat::web_page, "a web page in place of the file",
    "the server answered with a page (a login, a licence, an error): download the file itself"};
constexpr KnownFormat kXml = {FileFormat::xml, "an XML document in place of the file",
                              "it may be a server's error: read it, and download the file itself"};
constexpr KnownFormat kJson = {FileFormat::json, "JSON text in place of the file",
                               "it may be a server's error: read it, and download the file itself"};
constexpr KnownFormat kSafetensors = {FileFormat::safetensors, "a safetensors file",
                                      "give it the extension .safetensors"};
constexpr KnownFormat kZeros = {FileFormat::zeros, "nothing but zeros at its start",
                                "a download or copy was not finished: fetch the file again"};
constexpr KnownFormat kPickle = {FileFormat::pickle, "a bare pickle, the format of torch before 1.6",
                                 "load it where you trust it with torch.load(..., weights_only=True) and save it as "
                                 "safetensors"};

using namespace std::string_view_literals;
constexpr std::array kSignatures = {
    Signature{0, "\xFF\xFE\0\0"sv, kUtf32},
    Signature{0, "\0\0\xFE\xFF"sv, kUtf32},
    Signature{0, "\xFF\xFE"sv, kUtf16},
    Signature{0, "\xFE\xFF"sv, kUtf16},
    Signature{0, "version https://git-lfs.github.com/spec/"sv, kPointer},
    Signature{0, "version https://hawser.github.com/spec/"sv, kPointer},
    Signature{0, "\x1F\x8B"sv, {FileFormat::compressed, "a file compressed with gzip", "unpack it with gunzip"}},
    Signature{0, "BZh"sv, {FileFormat::compressed, "a file compressed with bzip2", "unpack it with bunzip2"}},
    Signature{0,
              "\xFD"
              "7zXZ"sv,
              {FileFormat::compressed, "a file compressed with xz", "unpack it with unxz"}},
    Signature{
        0, "\x28\xB5\x2F\xFD"sv, {FileFormat::compressed, "a file compressed with zstd", "unpack it with unzstd"}},
    Signature{0, "7z\xBC\xAF\x27\x1C"sv, {FileFormat::compressed, "a 7z archive", kUnpack}},
    Signature{0, "Rar!\x1A\x07"sv, {FileFormat::compressed, "a RAR archive", kUnpack}},
    Signature{
        0,
        "PK\3\4"sv,
        {FileFormat::zip, "a zip archive", "unpack it, or, if torch.save wrote it, save its tensors as safetensors"}},
    Signature{257, "ustar"sv, {FileFormat::tar, "a tar archive", kUnpack}},
    Signature{0, "\x89HDF\r\n\x1A\n"sv, {FileFormat::hdf5, "an HDF5 file", "save its tensors as safetensors"}},
    Signature{
        0, "GGUF"sv, {FileFormat::gguf, "a GGUF file", "its weights are quantized: take the model's safetensors file"}},
    Signature{0, "\x93NUMPY"sv, {FileFormat::numpy, "an array of NumPy", "save it as safetensors"}},
};

/// White space and a UTF-8 mark may stand before the first character of a page.
std::string_view first_character_on(std::string_view start) {
  if (start.starts_with("\xEF\xBB\xBF")) start.remove_prefix(3);
  while (!start.empty() && std::isspace(static_cast<unsigned char>(start.front()))) start.remove_prefix(1);
  return start;
}

bool starts_with_word(std::string_view text, std::string_view lower_case) {
  return text.size() >= lower_case.size() &&
         std::equal(lower_case.begin(), lower_case.end(), text.begin(),
                    [](char wanted, char c) { return std::tolower(static_cast<unsigned char>(c)) == wanted; });
}

/// Whether every second byte from `first` on is a plain character and the others are zeros: UTF-16 without a mark.
bool is_plain_utf16(std::string_view start, std::size_t first) {
  const std::size_t bytes = std::min<std::size_t>(start.size() / 2 * 2, 64);
  if (bytes < 8) return false;
  for (std::size_t i = 0; i < bytes; i += 2) {
    const auto character = static_cast<unsigned char>(start[i + first]);
    const bool plain =
        (character >= 0x20 && character < 0x7F) || character == '\n' || character == '\r' || character == '\t';
    if (!plain || start[i + 1 - first] != '\0') return false;
  }
  return true;
}

bool is_safetensors(std::string_view start) {
  constexpr std::uint64_t largest_header = 100'000'000;
  std::uint64_t header = 0;
  if (start.size() < 10) return false;
  std::memcpy(&header, start.data(), sizeof header);
  return header >= 2 && header <= largest_header && start[8] == '{';
}

}  // namespace

std::optional<KnownFormat> recognise_format(std::string_view start) {
  start = start.substr(0, kStartBytes);
  for (const Signature& signature : kSignatures) {
    if (start.size() > signature.offset && start.substr(signature.offset).starts_with(signature.bytes))
      return signature.format;
  }
  if (start.size() >= 16 && start.find_first_not_of('\0') == std::string_view::npos) return kZeros;
  if (is_safetensors(start)) return kSafetensors;
  if (start.size() >= 2 && start[0] == '\x80' && start[1] >= 2 && start[1] <= 5) return kPickle;
  if (is_plain_utf16(start, 0)) return kUtf16LittleEndian;
  if (is_plain_utf16(start, 1)) return kUtf16BigEndian;
  const std::string_view text = first_character_on(start);
  for (const std::string_view page : {"<!doctype html", "<html", "<head"})
    if (starts_with_word(text, page)) return kWebPage;
  if (starts_with_word(text, "<?xml")) return kXml;
  if (text.starts_with("{\"")) return kJson;
  return std::nullopt;
}

std::string first_bytes(const std::filesystem::path& path) {
  std::string out(kStartBytes, '\0');
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const ssize_t count = fd < 0 ? -1 : ::pread(fd, out.data(), out.size(), 0);
  if (fd >= 0) ::close(fd);
  out.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return out;
}

Mistake explain_by_start(Mistake mistake, std::string_view start, std::optional<FileFormat> own) {
  const auto known = recognise_format(start);
  if (!known || known->format == own) return mistake;
  mistake.found = known->found;
  mistake.hint = known->hint;
  return mistake;
}

}  // namespace rehyat
