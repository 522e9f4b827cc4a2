#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

/// What the first bytes of a file tell of it: the one place where a reader that meets something else than its own
/// format looks for the reason.
namespace rehyat {

enum class FileFormat {
  git_lfs_pointer,
  web_page,
  xml,
  json,
  utf16,
  utf32,
  compressed,
  zip,
  tar,
  hdf5,
  pickle,
  safetensors,
  gguf,
  numpy,
  zeros
};

struct KnownFormat {
  FileFormat format;
  std::string_view found;  ///< "a web page"
  std::string_view hint;   ///< how to get what was meant
};

/// The format of a file that begins with these bytes (512 are enough); nothing where they do not tell.
std::optional<KnownFormat> recognise_format(std::string_view start);

/// The first 512 bytes of a file, or fewer where it is shorter; none where it cannot be read.
std::string first_bytes(const std::filesystem::path& path);

/// The mistake of a reader of the format `own`: where the first bytes tell of another format, that and how to get what
/// was meant replace what the reader found and advised.
Mistake explain_by_start(Mistake mistake, std::string_view start, std::optional<FileFormat> own = std::nullopt);

}  // namespace rehyat
