#include "files/text_file.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/atomic_file.h"
#include "files/file_format.h"

namespace rehyat {

std::string read_text(const std::filesystem::path& path, std::uint64_t limit) {
  std::string bytes = read_file(path, limit);
  const std::size_t mark = bytes.size() - text_in(bytes, path.string()).size();
  return bytes.erase(0, mark);
}

std::string_view text_in(std::string_view bytes, const std::string& where) {
  require_text_format(bytes, where, "text in UTF-8");
  const std::string_view text = without_mark(bytes);
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw UserError({cat(where, ":", 1 + std::ranges::count(text.substr(0, nul), '\n')), "the character NUL",
                     "text in UTF-8", "convert the file, for example with iconv"});
  }
  require_utf8(text, where);
  return text;
}

std::string_view without_mark(std::string_view bytes) {
  return bytes.starts_with("\xEF\xBB\xBF") ? bytes.substr(3) : bytes;
}

void require_text_format(std::string_view bytes, const std::string& where, std::string_view expected) {
  const auto known = recognise_format(bytes);
  if (known && known->format != FileFormat::json)
    throw UserError({where, std::string(known->found), std::string(expected), std::string(known->hint)});
}

}  // namespace rehyat
