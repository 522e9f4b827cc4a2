#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

/// Text in the columns of a terminal.
namespace rehyat {

/// Columns of the terminal behind a file descriptor; nothing where it is no terminal or does not know (width 0).
std::optional<std::size_t> terminal_columns(int descriptor);

/// Columns that the text takes: two for a wide character, none for a mark on the character before it, one for a byte
/// that is not UTF-8.
std::size_t columns_of(std::string_view text);

/// The longest start of the text that takes at most so many columns; no character is cut, nor are marks torn from it.
std::string_view first_columns(std::string_view text, std::size_t columns);

}  // namespace rehyat
