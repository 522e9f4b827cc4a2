#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rehyat {

/// The text of a file that people write: UTF-8, without the byte order mark that some editors put in front. Throws
/// UserError as read_file does; with file:line for bytes that are not UTF-8 and for NUL; and with the reason for what
/// is no text (UTF-16, a Git LFS pointer, a web page, an archive).
std::string read_text(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t{1} << 30);

/// The same of bytes that were read elsewhere, a part of them without a copy; `where` names them in messages.
std::string_view text_in(std::string_view bytes, const std::string& where);

/// The bytes without the mark, for readers that check their text themselves.
std::string_view without_mark(std::string_view bytes);

/// Throws UserError where the first bytes tell of a format that is no text.
void require_text_format(std::string_view bytes, const std::string& where, std::string_view expected);

}  // namespace rehyat
