#include "files/checksum_memory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat {
namespace {

std::string name_of_part(const std::filesystem::path& file, const ChecksumMemory::Part& part) {
  const std::string path = std::filesystem::absolute(file).lexically_normal().string();
  return part.empty() ? path : cat(path, '#', part);
}

}  // namespace

std::string file_state(const std::filesystem::path& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return "";
  return cat(info.st_size, ' ', info.st_ino, ' ', info.st_mtim.tv_sec, '.', info.st_mtim.tv_nsec, ' ',
             info.st_ctim.tv_sec, '.', info.st_ctim.tv_nsec, ' ', ::access(path.c_str(), R_OK) == 0 ? 'r' : '-');
}

ChecksumMemory::ChecksumMemory(std::filesystem::path path) : path_(std::move(path)) {
  using json = nlohmann::ordered_json;
  if (path_.empty() || !std::filesystem::exists(path_)) return;
  const json list = parse_json_if(read_file(path_)).value_or(json());
  if (!list.is_object()) return;  // only a memory: everything is read again
  for (const auto& [name, entry] : list.items()) {
    if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string())
      earlier_[name] = {entry[0], entry[1]};
  }
}

std::string ChecksumMemory::at(const std::filesystem::path& file, const Part& part,
                               const std::function<std::string()>& compute) {
  const std::string name = name_of_part(file, part), state = file_state(file);
  for (const auto* entries : {&asked_, &earlier_}) {
    const auto known = entries->find(name);
    if (known == entries->end() || state.empty() || known->second.state != state) continue;
    return (asked_[name] = Entry(known->second)).checksum;
  }
  const Entry fresh = {state, compute()};
  return (asked_[name] = fresh).checksum;
}

std::string ChecksumMemory::at(const std::filesystem::path& file) {
  return at(file, {}, [&] { return hash_file(file); });
}

void ChecksumMemory::remember(const std::filesystem::path& file, const Part& part, const std::string& checksum) {
  asked_[name_of_part(file, part)] = {file_state(file), checksum};
}

void ChecksumMemory::save() const {
  using json = nlohmann::ordered_json;
  if (path_.empty()) return;
  json list = json::object();
  for (const auto& [name, entry] : asked_)
    if (entry.checksum != kUnreadable) list[name] = {entry.state, entry.checksum};
  keep_file(path_, list.dump(0, ' ', false, json::error_handler_t::replace) + "\n");
}

}  // namespace rehyat
