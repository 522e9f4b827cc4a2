#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mutation/mutator.h"

/// Damaged inputs for a reader, which must take or refuse each: with a UserError of one printable sentence that names
/// the file. Another exception, a signal, more than a few seconds of processor time, a standstill, or memory beyond a
/// bound is a fault.
namespace rehyat::testing {

/// A reader and what it reads.
struct ReaderCase {
  std::string name;
  /// Whole inputs, each read without an error.
  std::vector<FileTree> seeds;
  /// Reads as the program does, and looks at what it got.
  std::function<void(const std::filesystem::path& folder)> read;
  /// Damage that keeps the format's checksums and lengths right, so that it comes further than flipped bytes do; half
  /// of the inputs, where there is any.
  std::vector<std::function<void(FileTree&, Mutator&)>> crafted = {};
  /// Texts of the format.
  std::vector<std::string> words = {};
  /// Files of the seeds that are left as they are; a name or the start of one.
  std::vector<std::string> spared = {};
  /// Whether each refusal names the folder or a file in it; what comes from a command line has none.
  bool names_file = true;
  /// Whether some damage must be refused; a reader of what is only remembered takes all of it.
  bool refuses = true;
  /// Inputs in the suite.
  std::size_t inputs = 1000;
};

struct MutationFault {
  std::uint64_t input = 0;
  std::string what;  ///< "signal 11 (Segmentation fault)", "St9bad_alloc: …", "a sentence of two lines: …"
  std::filesystem::path saved;  ///< a folder with the damaged files
};

struct MutationResult {
  std::size_t inputs = 0, taken = 0, refused = 0;
  std::vector<MutationFault> faults;  ///< the first of each kind
  std::size_t alike = 0;              ///< faults beyond those
};

/// What a run is told by the environment: REHYAT_MUTATION_SEED (1), REHYAT_MUTATION_FIRST (0), the number of the first
/// input, REHYAT_MUTATION_INPUTS, how many, REHYAT_MUTATION_MINUTES, as many as fit into that time, and
/// REHYAT_MUTATION_KEEP, the folder for what is found.
struct MutationOptions {
  std::uint64_t seed = 1, first = 0;
  std::size_t inputs = 0;  ///< 0: the reader's own number
  double minutes = 0;      ///< 0: as many as `inputs` says
  std::filesystem::path keep;

  static MutationOptions from_environment();
};

/// The input of that number.
FileTree damaged_input(const ReaderCase& reader, std::uint64_t seed, std::uint64_t input);

/// Reads the seeds, which must be taken, then damaged inputs, in child processes.
MutationResult run_mutations(const ReaderCase& reader, const MutationOptions& options);

/// The same as a test: reports what was found, and how to see it again.
void expect_no_faults(const ReaderCase& reader);

/// The files under a folder, and as they are under another.
FileTree read_tree(const std::filesystem::path& folder);
void write_tree(const std::filesystem::path& folder, const FileTree& tree);

}  // namespace rehyat::testing
