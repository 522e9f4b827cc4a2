#include "files/tar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/file_format.h"

namespace rehyat {
namespace {

constexpr std::uint64_t kBlock = 512;
constexpr std::uint64_t kMaxHeader = 1 << 20;       // bytes of a pax header or a long name
constexpr std::size_t kMaxMembers = 20'000'000;     // of one archive
constexpr std::uint64_t kMaxPadding = 64ULL << 20;  // zeros behind the end mark
constexpr std::string_view kRepack = "pack it again, for example with `tar --format=pax -cf`";

using Block = std::array<char, kBlock>;

std::uint64_t to_whole_blocks(std::uint64_t bytes) {
  return (bytes + kBlock - 1) / kBlock * kBlock;
}

/// A field that ends with its first NUL or its width (POSIX.1-1988, 10.1.1).
std::string_view text_at(const Block& block, std::size_t from, std::size_t width) {
  const std::string_view field(block.data() + from, width);
  return field.substr(0, field.find('\0'));
}

/// Reads the headers of an archive, one after the other.
class TarReader {
 public:
  explicit TarReader(const std::filesystem::path& path) : file_(path) {}

  std::vector<TarMember> members() {
    Block block{};
    while (next_block(block)) take_header(block);
    return std::move(members_);
  }

 private:
  [[noreturn]] void refuse(const std::string& found, const std::string& expected, std::string_view hint = "") const {
    throw UserError(Mistake{file_.path().string(), found, expected, std::string(hint)});
  }
  std::string here() const { return cat("the header at byte ", header_); }

  /// The next header; false at the end mark.
  bool next_block(Block& block) {
    header_ = at_;
    if (at_ == 0) check_format();
    if (at_ + kBlock > file_.size())
      refuse(cat("the end of the file at byte ", file_.size(), at_ == file_.size() ? " without an end mark" : ""),
             "an archive that ends with zeros", cut_short());
    file_.read_all(at_, block.data(), kBlock);
    at_ += kBlock;
    if (std::ranges::any_of(block, [](char c) { return c != 0; })) return true;
    check_padding();
    return false;
  }

  static std::string_view cut_short() { return "it was cut short: fetch or pack it again"; }

  /// Refuses what the first bytes tell to be another format; an archive without members is zeros alone.
  void check_format() const {
    std::string start(static_cast<std::size_t>(std::min(file_.size(), kBlock)), '\0');
    file_.read_all(0, start.data(), start.size());
    const auto known = recognise_format(start);
    if (!known || known->format == FileFormat::tar || known->format == FileFormat::zeros) return;
    refuse(std::string(known->found), "a plain tar, of which members can be read where they lie",
           known->format == FileFormat::compressed ? "videos do not get smaller: unpack it, for example with gunzip"
                                                   : known->hint);
  }

  /// Behind the end mark there are only zeros: what else is there would be left out in silence.
  void check_padding() {
    std::vector<char> buffer(1 << 16);
    for (const std::uint64_t first = at_; at_ < file_.size();) {
      const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file_.size() - at_));
      file_.read_all(at_, buffer.data(), count);
      const bool zeros = std::all_of(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count),
                                     [](char c) { return c == 0; });
      if (!zeros || at_ - first > kMaxPadding)
        refuse(cat("data behind the end mark at byte ", header_), "the end of the archive",
               "are these archives that were joined? name each by itself");
      at_ += count;
    }
  }

  void check_sum(const Block& block) const {
    // Old archivers added signed bytes.
    std::int64_t plain = 0, with_sign = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
      const char c = i >= 148 && i < 156 ? ' ' : block[i];
      plain += static_cast<unsigned char>(c);
      with_sign += static_cast<signed char>(c);
    }
    const auto stated = static_cast<std::int64_t>(number(block, 148, 8, "checksum"));
    if (stated != plain && stated != with_sign)
      refuse(cat(here(), " with the checksum ", stated), cat(plain), header_ == 0 ? "is it a tar?" : "it is damaged");
  }

  /// Octal digits, or GNU's binary form with the highest bit set.
  std::uint64_t number(const Block& block, std::size_t from, std::size_t width, const char* what) const {
    const auto lead = static_cast<unsigned char>(block[from]);
    if (lead == 0x80) {
      std::uint64_t value = 0;
      for (std::size_t i = 1; i < width; ++i) {
        if (value >> 55 != 0) refuse(cat(here(), " with a ", what, " beyond 2^63"), "one that fits");
        value = value << 8 | static_cast<unsigned char>(block[from + i]);
      }
      return value;
    }
    if (lead >= 0x80) refuse(cat(here(), " with a negative ", what), "0 or more");
    const std::string_view digits = trim(text_at(block, from, width));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
    if (!digits.empty() && (error != std::errc() || end != digits.data() + digits.size()))
      refuse(cat(here(), " with the ", what, " \"", excerpt(digits), "\""), "octal digits",
             header_ == 0 ? "is it a tar?" : "it is damaged");
    return value;
  }

  /// What follows a header, whole: a long name or pax records.
  std::string attached(std::uint64_t bytes) {
    if (bytes > kMaxHeader) refuse(cat(here(), " with ", bytes, " bytes of names"), cat("at most ", kMaxHeader));
    check_inside(bytes, "a header");
    std::string text(static_cast<std::size_t>(bytes), '\0');
    file_.read_all(at_, text.data(), text.size());
    at_ += to_whole_blocks(bytes);
    return text;
  }

  void check_inside(std::uint64_t bytes, const std::string& what) const {
    if (bytes > file_.size() - at_)
      refuse(cat(what, " of ", bytes, " bytes at byte ", at_, " of ", file_.size()), "one inside of the file",
             cut_short());
  }

  /// "LENGTH KEY=VALUE\n" …, of which path and size are used (POSIX.1-2001, pax, "Extended Header").
  void take_pax(const std::string& records, bool global) {
    for (std::string_view rest = records; !rest.empty();) {
      std::size_t length = 0;
      const auto [digits, error] = std::from_chars(rest.data(), rest.data() + rest.size(), length);
      const auto skip = static_cast<std::size_t>(digits - rest.data());
      const bool fits = error == std::errc() && skip + 1 < length && length <= rest.size() && rest[skip] == ' ' &&
                        rest[length - 1] == '\n';
      const std::string_view record = fits ? rest.substr(skip + 1, length - skip - 2) : std::string_view();
      const std::size_t equals = record.find('=');
      if (!fits || equals == std::string_view::npos)
        refuse(cat(here(), " with a pax record that cannot be read"), "LENGTH KEY=VALUE", kRepack);
      const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
      if (key.starts_with("GNU.sparse.")) refuse(cat(here(), " of a sparse file"), "plain files", kRepack);
      if (global && (key == "path" || key == "size"))
        refuse(cat(here(), " with one ", key, " for all members"), "one a member", kRepack);
      if (key == "path") long_name_ = value;
      if (key == "size") take_size(value);
      rest.remove_prefix(length);
    }
  }

  void take_size(std::string_view value) {
    std::uint64_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error != std::errc() || end != value.data() + value.size() || size >> 63 != 0)
      refuse(cat(here(), " with the size \"", excerpt(value), "\""), "a number of bytes");
    long_size_ = size;
  }

  void take_header(const Block& block) {
    check_sum(block);
    const char type = block[156];
    const std::uint64_t bytes = number(block, 124, 12, "size");
    if (type == 'x' || type == 'g') return take_pax(attached(bytes), type == 'g');
    if (type == 'L') {
      const std::string text = attached(bytes);
      long_name_ = text.substr(0, text.find('\0'));
      return;
    }
    if (type == 'K') return static_cast<void>(attached(bytes));  // of a link, which is refused with its own header
    const std::string name = name_of(block);
    const std::uint64_t size = long_size_.value_or(bytes);
    long_name_.reset();
    long_size_.reset();
    if (type == '5') return;
    if (type == 'V') return;  // the label of a volume
    if (type != '0' && type != '\0' && type != '7')
      refuse(cat("\"", printable(name), "\", ", kind_of(type)), "plain files and folders", kRepack);
    if (type == '\0' && name.ends_with('/')) return;  // a folder in the oldest format
    check_inside(size, cat("\"", printable(name), "\""));
    add({safe_name(name), at_, size});
    at_ += std::min(to_whole_blocks(size), file_.size() - at_);
  }

  static std::string kind_of(char type) {
    switch (type) {
      case '1':
        return "a hard link";
      case '2':
        return "a symbolic link";
      case '3':
      case '4':
        return "a device";
      case '6':
        return "a pipe";
      case 'S':
        return "a sparse file";
      case 'M':
        return "the rest of a file in another volume";
      default:
        return cat("a member of the type '", printable(std::string(1, type)), "'");
    }
  }

  std::string name_of(const Block& block) const {
    if (long_name_) return *long_name_;
    const std::string_view name = text_at(block, 0, 100);
    // Only POSIX's own magic has a prefix: GNU's format keeps times there.
    const bool posix = std::string_view(block.data() + 257, 6) == std::string_view("ustar\0", 6);
    const std::string_view prefix = posix ? text_at(block, 345, 155) : std::string_view();
    return prefix.empty() ? std::string(name) : cat(prefix, '/', name);
  }

  /// Without "./"; nothing that would lie outside of a folder.
  std::string safe_name(const std::string& name) const {
    const auto shown = [&] { return cat("the name \"", printable(name), "\""); };
    if (name.empty() || name.find('\0') != std::string::npos) refuse(cat(here(), " without a name"), "one");
    if (invalid_utf8(name)) refuse(shown(), "a name in UTF-8", kRepack);
    if (name.starts_with('/')) refuse(shown(), "a relative name", "pack it again without -P");
    std::vector<std::string> parts;
    for (const std::string& part : split(name, '/')) {
      if (part == "..") refuse(shown(), "a name without \"..\"", "pack it again from within its folder");
      if (!part.empty() && part != ".") parts.push_back(part);
    }
    if (parts.empty()) refuse(shown(), "the name of a file");
    return join(parts, "/");
  }

  void add(TarMember member) {
    if (!names_.insert(member.name).second)
      refuse(cat("\"", printable(member.name), "\" twice"), "each member once",
             "pack it again: tar's --append keeps the old one");
    if (members_.size() == kMaxMembers) refuse(cat("over ", kMaxMembers, " members"), "fewer", "pack several archives");
    members_.push_back(std::move(member));
  }

  FileBytes file_;
  std::uint64_t at_ = 0, header_ = 0;
  std::optional<std::string> long_name_;
  std::optional<std::uint64_t> long_size_;
  std::set<std::string> names_;
  std::vector<TarMember> members_;
};

}  // namespace

std::vector<TarMember> list_tar(const std::filesystem::path& path) {
  return TarReader(path).members();
}

std::string read_member(const FileBytes& archive, const TarMember& member, std::uint64_t limit) {
  require(member.bytes <= limit, [&] {
    return to_sentence(
        {archive.path().string() + "/" + member.name, cat(member.bytes, " bytes"), cat("at most ", limit), ""});
  });
  std::string text(static_cast<std::size_t>(member.bytes), '\0');
  archive.read_all(member.offset, text.data(), text.size());
  return text;
}

}  // namespace rehyat
