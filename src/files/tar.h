#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "files/file_bytes.h"

/// Tar archives, whose members are read in place.
///
/// libarchive is not used: it reads a stream from its start, names no offset of a member's data and passes over damage
/// in silence; and the machines with GPUs lack it.
namespace rehyat {

struct TarMember {
  std::string name;          ///< relative, with '/' between folders, UTF-8
  std::uint64_t offset = 0;  ///< of its data in the archive
  std::uint64_t bytes = 0;
};

/// The regular files of an archive in their order; folders are left out. Reads the headers alone, of the formats
/// POSIX.1-1988 (ustar) and POSIX.1-2001 (pax), and GNU's long names and sizes. Throws UserError with the archive, the
/// member or the place, for what is cut short, has a wrong checksum, an absolute name or one with "..", a name twice,
/// and for links, sparse files, devices and parts of another archive.
std::vector<TarMember> list_tar(const std::filesystem::path& path);

/// A small member as text. Throws UserError where it is larger than `limit`.
std::string read_member(const FileBytes& archive, const TarMember& member, std::uint64_t limit);

}  // namespace rehyat
