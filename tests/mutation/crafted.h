#pragma once

#include <string>

#include "mutation/mutator.h"

/// Damage that a format's own checks do not see, because lengths and checksums are made right again.
namespace rehyat::testing {

/// The JSON of a whole file is changed.
void change_json_file(FileTree& tree, const std::string& name, Mutator& mutator);
/// The same of one of the file's lines.
void change_json_line(FileTree& tree, const std::string& name, Mutator& mutator);
/// The header of a safetensors file is changed, its length made right.
void change_safetensors_header(FileTree& tree, const std::string& name, Mutator& mutator);
/// Bytes of a member's header are changed, its checksum made right.
void change_tar_header(FileTree& tree, const std::string& name, Mutator& mutator);
/// An entry of the archive is changed (MarkedFolder): what its maker had to say, or the list of its files; the checksum
/// is made right.
void change_marker(FileTree& tree, const std::string& name, Mutator& mutator);
/// The data of one record of a TensorBoard event file are changed, length and checksums made right.
void change_event(FileTree& tree, const std::string& name, Mutator& mutator);

}  // namespace rehyat::testing
