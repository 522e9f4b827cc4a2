#include "mutation/runner.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <set>
#include <typeinfo>

#include "core/error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "core/utf8.h"
#include "files/atomic_file.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kShadowMemory = true;  // AddressSanitizer reserves terabytes of addresses: no bound on them
#else
constexpr bool kShadowMemory = false;
#endif
#ifdef REHYAT_SANITIZED
constexpr int kSlower = 10;
#else
constexpr int kSlower = 1;
#endif
constexpr int kProcessorSeconds = 5 * kSlower, kWallSeconds = 60 * kSlower;
constexpr rlim_t kMemory = rlim_t{1} << 30;  // bytes beyond those of the test itself
constexpr std::size_t kLongestSentence = 4100;
constexpr std::size_t kMostFaults = 20;
constexpr int kFoundFault = 3;

/// What a child tells its parent while it works; lies in memory that both see.
struct Shared {
  std::uint64_t input;
  std::uint64_t taken, refused;
  char fault[2048];
};

/// Memory that a process shares with its children.
class SharedMemory {
 public:
  SharedMemory() : place_(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (place_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  }
  ~SharedMemory() { ::munmap(place_, sizeof(Shared)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  Shared* operator->() const { return static_cast<Shared*>(place_); }

 private:
  void* place_;
};

void bound(__rlimit_resource what, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(what, &limit);
}

/// Addresses in use, in bytes.
rlim_t addresses() {
  std::ifstream in("/proc/self/statm");
  rlim_t pages = 0;
  in >> pages;
  return pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE));
}

/// The signals' default actions end the process: SIGPROF for time spent, SIGALRM for a standstill.
void arm_timers() {
  const itimerval spent{{0, 0}, {kProcessorSeconds, 0}}, passed{{0, 0}, {kWallSeconds, 0}};
  ::setitimer(ITIMER_PROF, &spent, nullptr);
  ::setitimer(ITIMER_REAL, &passed, nullptr);
}

/// Output of the reader goes to a file, which is shown where a child ends by a signal.
void redirect_output(const fs::path& log) {
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  ::close(file);
}

/// What is wrong with a sentence for the user, which names `named`; empty where nothing is.
std::string fault_of(const std::string& sentence, const std::string& named) {
  if (sentence.empty()) return "an error without a sentence";
  if (printable(sentence) != sentence) return "a sentence with control characters or no UTF-8: " + printable(sentence);
  if (sentence.size() > kLongestSentence)
    return cat("a sentence of ", sentence.size(), " bytes: ", excerpt(sentence, 400));
  if (sentence.find(named) == std::string::npos) return "a sentence that names no file: " + sentence;
  return "";
}

bool is_spared(const ReaderCase& reader, const std::string& name) {
  for (const std::string& start : reader.spared)
    if (name.starts_with(start)) return true;
  return false;
}

/// One child's work: inputs from `first` to before `last`, or until the time is over.
class Child {
 public:
  Child(const ReaderCase& reader, const MutationOptions& options, const SharedMemory& shared, const fs::path& folder)
      : reader_(reader), options_(options), shared_(shared), folder_(folder) {}

  [[noreturn]] void run(std::uint64_t first, std::uint64_t last, Clock::time_point end) {
    redirect_output(folder_.string() + ".log");
    bound(RLIMIT_CORE, 0);
    if (!kShadowMemory) bound(RLIMIT_AS, addresses() + kMemory);
    for (std::uint64_t input = first; input < last && Clock::now() < end; ++input) {
      shared_->input = input;
      one(damaged_input(reader_, options_.seed, input));
    }
    shared_->input = last;
    ::_exit(0);
  }

 private:
  void one(const FileTree& tree) {
    write_tree(folder_, tree);
    if (::ftruncate(STDERR_FILENO, 0) != 0) ::_exit(1);
    arm_timers();
    try {
      reader_.read(folder_);
      ++shared_->taken;
    } catch (const UserError& error) {
      const std::string fault = fault_of(error.what(), reader_.names_file ? folder_.string() : "");
      if (!fault.empty()) give_up(fault);
      ++shared_->refused;
    } catch (const std::exception& error) {
      give_up(cat(typeid(error).name(), ": ", printable(error.what())));
    }
  }
  [[noreturn]] void give_up(const std::string& what) {
    std::strncpy(shared_->fault, what.c_str(), sizeof shared_->fault - 1);
    ::_exit(kFoundFault);
  }

  const ReaderCase& reader_;
  const MutationOptions& options_;
  const SharedMemory& shared_;
  fs::path folder_;
};

/// How a child ended, where it found a fault.
std::string fault_of_status(int status, const SharedMemory& shared, const fs::path& log) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  if (WIFEXITED(status) && WEXITSTATUS(status) == kFoundFault) return shared->fault;
  const std::string output = fs::exists(log) ? read_file(log, 64 << 20) : "";
  const std::string tail = output.substr(output.size() - std::min<std::size_t>(output.size(), 3000));
  if (WIFEXITED(status)) return cat("the process ended with ", WEXITSTATUS(status), "\n", tail);
  const int signal = WTERMSIG(status);
  if (signal == SIGPROF) return cat("more than ", kProcessorSeconds, " s of processor time");
  if (signal == SIGALRM) return cat("a standstill of ", kWallSeconds, " s");
  return cat("signal ", signal, " (", ::strsignal(signal), ")\n", tail);
}

/// Faults with the same words, but for numbers and what is quoted, are of one kind.
std::string kind_of(const std::string& fault) {
  std::string kind;
  bool quoted = false;
  for (const char c : fault.substr(0, 200)) {
    if (c == '\'' || c == '"') quoted = !quoted;
    if (!quoted && (c < '0' || c > '9')) kind += c;
  }
  return kind;
}

std::string from_environment(const char* name, const char* absent) {
  const char* value = std::getenv(name);
  return value ? value : absent;
}

}  // namespace

MutationOptions MutationOptions::from_environment() {
  MutationOptions out;
  const auto whole = [](const char* name, const char* absent) {
    return std::stoull(testing::from_environment(name, absent));
  };
  out.seed = whole("REHYAT_MUTATION_SEED", "1");
  out.first = whole("REHYAT_MUTATION_FIRST", "0");
  out.inputs = whole("REHYAT_MUTATION_INPUTS", "0");
  out.minutes = std::stod(testing::from_environment("REHYAT_MUTATION_MINUTES", "0"));
  const fs::path absent = fs::temp_directory_path() / "rehyat-mutation";
  out.keep = testing::from_environment("REHYAT_MUTATION_KEEP", absent.c_str());
  return out;
}

FileTree read_tree(const fs::path& folder) {
  FileTree out;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) out[fs::relative(entry.path(), folder).string()] = read_file(entry.path());
  }
  return out;
}

void write_tree(const fs::path& folder, const FileTree& tree) {
  fs::remove_all(folder);
  fs::create_directories(folder);
  for (const auto& [name, bytes] : tree) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name, std::ios::binary) << bytes;
  }
}

FileTree damaged_input(const ReaderCase& reader, std::uint64_t seed, std::uint64_t input) {
  Mutator mutator(Rng(seed, "mutation." + reader.name, {input}), reader.words);
  FileTree tree = reader.seeds[mutator.below(reader.seeds.size())];
  if (!reader.crafted.empty() && mutator.chance(50)) {
    reader.crafted[mutator.below(reader.crafted.size())](tree, mutator);
    return tree;
  }
  FileTree open;
  for (const auto& [name, bytes] : tree)
    if (!is_spared(reader, name)) open[name] = bytes;
  const std::string name = mutator.file_of(open), other = mutator.file_of(open);
  if (tree.size() > 1 && mutator.chance(3)) {
    tree.erase(name);  // a file that is missing
    return tree;
  }
  tree[name] = mutator.bytes(tree[name], open[other]);
  return tree;
}

MutationResult run_mutations(const ReaderCase& reader, const MutationOptions& options) {
  MutationResult result;
  const TempFolder work;
  const fs::path folder = work / reader.name, log = folder.string() + ".log";
  for (const FileTree& seed : reader.seeds) {
    write_tree(folder, seed);
    reader.read(folder);
  }
  const bool timed = options.minutes > 0;
  const std::size_t count = options.inputs > 0 ? options.inputs : reader.inputs;
  const std::uint64_t last = timed ? ~std::uint64_t{0} : options.first + count;
  const auto end = timed ? Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                              std::chrono::duration<double>(60 * options.minutes))
                         : Clock::time_point::max();
  const SharedMemory shared;
  std::set<std::string> kinds;
  std::cout << std::flush;
  for (std::uint64_t next = options.first; next < last && Clock::now() < end; next = shared->input + 1) {
    const pid_t child = ::fork();
    if (child == 0) Child(reader, options, shared, folder).run(next, last, end);
    int status = 0;
    ::waitpid(child, &status, 0);
    const std::string fault = fault_of_status(status, shared, log);
    if (fault.empty()) break;
    if (!kinds.insert(kind_of(fault)).second || kinds.size() > kMostFaults) {
      ++result.alike;
      continue;
    }
    const fs::path saved = options.keep / cat(reader.name, "-", options.seed, "-", shared->input);
    write_tree(saved, damaged_input(reader, options.seed, shared->input));
    result.faults.push_back({shared->input, fault, saved});
  }
  result.taken = shared->taken;
  result.refused = shared->refused;
  result.inputs = result.taken + result.refused + result.faults.size() + result.alike;
  return result;
}

void expect_no_faults(const ReaderCase& reader) {
  const MutationOptions options = MutationOptions::from_environment();
  const MutationResult result = run_mutations(reader, options);
  std::cout << cat(reader.name, ": ", result.inputs, " inputs, ", result.taken, " taken, ", result.refused,
                   " refused, ", result.faults.size() + result.alike, " faults of ", result.faults.size(), " kinds\n");
  if (reader.refuses && options.inputs != 1) {
    EXPECT_GT(result.refused, 0U) << "no damage was seen: is the reader called?";
  }
  for (const MutationFault& fault : result.faults)
    ADD_FAILURE() << reader.name << ", input " << fault.input << " of seed " << options.seed << ": " << fault.what
                  << "\nsaved in " << fault.saved.string() << "\nagain: REHYAT_MUTATION_SEED=" << options.seed
                  << " REHYAT_MUTATION_FIRST=" << fault.input << " REHYAT_MUTATION_INPUTS=1 with --gtest_filter=*."
                  << reader.name;
  if (result.alike > 0) ADD_FAILURE() << result.alike << " more faults of these kinds";
}

}  // namespace rehyat::testing
