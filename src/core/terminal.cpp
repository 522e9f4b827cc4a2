#include "core/terminal.h"

#include <sys/ioctl.h>
#include <utf8proc.h>

#include <algorithm>

#include "core/utf8.h"

namespace rehyat {
namespace {

/// The character at the start of the text: its bytes and its columns.
struct Shown {
  std::size_t bytes = 1, columns = 1;
};

Shown first_shown(std::string_view text) {
  const std::optional<Utf8Character> character = decode_utf8(text);
  if (!character) return {};
  const int columns = utf8proc_charwidth(static_cast<utf8proc_int32_t>(character->code));
  return {character->bytes, static_cast<std::size_t>(std::max(columns, 0))};
}

}  // namespace

std::optional<std::size_t> terminal_columns(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return std::nullopt;
  return size.ws_col;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  while (!text.empty()) {
    const Shown next = first_shown(text);
    columns += next.columns;
    text.remove_prefix(next.bytes);
  }
  return columns;
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t bytes = 0, taken = 0;
  while (bytes < text.size()) {
    const Shown next = first_shown(text.substr(bytes));
    if (taken + next.columns > columns) break;
    taken += next.columns;
    bytes += next.bytes;
  }
  return text.substr(0, bytes);
}

}  // namespace rehyat
