#include "tensor/pth/pickle_source.h"

#include <cstring>
#include <map>
#include <mutex>

#include "core/error.h"
#include "core/strings.h"
#include "files/file_format.h"
#include "files/zip_archive.h"
#include "tensor/pth/pickle_values.h"

namespace rehyat {
namespace {

using pickle::Kind;

class PthSource : public TensorSource {
 public:
  explicit PthSource(const std::filesystem::path& path) : archive_(path) {
    const std::string program = find_program();
    prefix_ = program.substr(0, program.size() - std::string_view("data.pkl").size());
    const ZipArchive::Entry& entry = archive_.entries().at(program);
    archive_.check(program, entry);
    check_byte_order();
    const std::string where = cat(archive_.path(), ": entry '", program, "'");
    const pickle::Values values = pickle::read(archive_.bytes(entry), where);
    collect(values, where);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& item : tensors_) out.push_back(item.first);
    return out;
  }
  bool contains(const std::string& name) const override { return tensors_.contains(name); }
  std::vector<std::int64_t> shape(const std::string& name) const override { return tensor(name).shape; }
  at::ScalarType type(const std::string& name) const override { return tensor(name).storage.type; }
  at::Tensor read(const std::string& name) const override;
  std::string where(const std::string&) const override { return archive_.path(); }
  std::string path() const override { return archive_.path(); }

 private:
  std::string find_program() const;
  void check_byte_order() const;
  void collect(const pickle::Values& values, const std::string& where);
  void check(const std::string& name, const pickle::Tensor& tensor) const;
  std::string entry_name(const pickle::Tensor& tensor) const { return prefix_ + "data/" + tensor.storage.key; }
  const pickle::Tensor& tensor(const std::string& name) const {
    const auto found = tensors_.find(name);
    if (found != tensors_.end()) return found->second;
    const std::string near = nearest(name, names());
    throw UserError({archive_.path(), cat("no tensor '", name, "'"), "one of that name",
                     near.empty() ? "" : "the nearest is '" + near + "'"});
  }

  ZipArchive archive_;
  std::string prefix_;  // "archive/"
  std::map<std::string, pickle::Tensor> tensors_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> checked_;  // entries whose checksum was right
};

std::string PthSource::find_program() const {
  std::string found;
  for (const auto& [name, entry] : archive_.entries()) {
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
    require(found.empty(), [&] {
      return cat(archive_.path(), ": found the entries '", found, "' and '", name, "', expected one data.pkl");
    });
    found = name;
  }
  require(!found.empty(), [&] {
    return archive_.path() + ": found no entry data.pkl in a folder, expected a file that torch.save wrote";
  });
  return found;
}

void PthSource::check_byte_order() const {
  const auto found = archive_.entries().find(prefix_ + "byteorder");
  if (found == archive_.entries().end()) return;  // older files have none, and are little-endian
  const auto bytes = archive_.bytes(found->second);
  const std::string_view order(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require(order == "little", [&] {
    return archive_.path() + ": found numbers in another byte order, expected little; save it again on such a machine";
  });
}

/// The pairs of a dict by key; of keys that come again the last counts, as in Python.
std::map<std::string, pickle::Index> entries_of(const pickle::Values& values, pickle::Index dict,
                                                const std::string& where) {
  std::map<std::string, pickle::Index> out;
  for (const auto& [key, item] : values.all[dict].pairs) {
    require(values.all[key].kind == Kind::text,
            [&] { return where + ": found a key that is no text, expected the names of tensors"; });
    out[values.all[key].text] = item;
  }
  return out;
}

void PthSource::collect(const pickle::Values& values, const std::string& where) {
  const auto is = [&](pickle::Index index, Kind kind) { return values.all[index].kind == kind; };
  require(is(values.root, Kind::dict),
          [&] { return where + ": found no dict at the top, expected a state dict of named tensors"; });
  std::map<std::string, pickle::Index> items = entries_of(values, values.root, where);
  std::vector<std::string> nested;
  for (const char* key : {"state_dict", "model"}) {
    if (items.contains(key) && is(items[key], Kind::dict)) nested.push_back(key);
  }
  require(nested.size() < 2, [&] { return where + ": found both 'state_dict' and 'model', expected one of them"; });
  if (!nested.empty()) {
    for (const auto& [name, item] : items) {
      require(!is(item, Kind::tensor), [&] {
        return cat(where, ": found the tensor '", name, "' beside the dict '", nested[0],
                   "', expected all tensors in one dict");
      });
    }
    items = entries_of(values, items[nested[0]], where);
  }
  for (const auto& [name, item] : items) {
    require(is(item, Kind::tensor), [&] {
      return cat(where, ": found '", name, "' that is no tensor, expected a state dict of named tensors");
    });
    const pickle::Tensor& tensor = values.tensors[values.all[item].payload];
    check(name, tensor);
    tensors_.emplace(name, tensor);
  }
  require(!tensors_.empty(), [&] { return where + ": found no tensors, expected a state dict of named tensors"; });
}

void PthSource::check(const std::string& name, const pickle::Tensor& tensor) const {
  const std::string where = cat(archive_.path(), ": tensor '", name, "'");
  const auto entry = archive_.entries().find(entry_name(tensor));
  require(entry != archive_.entries().end(),
          [&] { return cat(where, ": found no entry '", entry_name(tensor), "', expected its numbers there"); });
  const auto width = static_cast<std::int64_t>(c10::elementSize(tensor.storage.type));
  std::int64_t bytes = 0;
  require(!__builtin_mul_overflow(tensor.storage.count, width, &bytes) &&
              static_cast<std::uint64_t>(bytes) == entry->second.size,
          [&] {
            return cat(where, ": found ", entry->second.size, " bytes in entry '", entry->first, "', expected ",
                       tensor.storage.count, " numbers of ", width, " bytes");
          });
  std::int64_t last = tensor.offset, total = 1;  // the place of the last number
  bool empty = false, overflow = false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    std::int64_t reach = 0;
    empty = empty || tensor.shape[i] == 0;
    overflow = overflow || __builtin_mul_overflow(total, std::max<std::int64_t>(tensor.shape[i], 1), &total) ||
               __builtin_mul_overflow(std::max<std::int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i], &reach) ||
               __builtin_add_overflow(last, reach, &last);
  }
  require(!overflow && (empty ? tensor.offset <= tensor.storage.count : last < tensor.storage.count), [&] {
    return cat(where, ": found shape ", shape_string(tensor.shape), " with strides ", shape_string(tensor.strides),
               " from number ", tensor.offset, " on, expected it within the ", tensor.storage.count,
               " numbers of its storage");
  });
}

at::Tensor PthSource::read(const std::string& name) const {
  const pickle::Tensor& found = tensor(name);
  const std::string entry_key = entry_name(found);
  const ZipArchive::Entry& entry = archive_.entries().at(entry_key);
  {
    const std::lock_guard lock(mutex_);
    if (!checked_.contains(entry_key)) archive_.check(entry_key, entry);
    checked_.insert(entry_key);
  }
  const auto options = at::TensorOptions().dtype(found.storage.type);
  const auto bytes = archive_.bytes(entry);
  auto* data = const_cast<std::byte*>(bytes.data());
  const std::size_t width = c10::elementSize(found.storage.type);
  if (reinterpret_cast<std::uintptr_t>(data) % width != 0) {
    // torch aligns its entries; what other programs packed again may lie anywhere.
    at::Tensor copy = at::empty({found.storage.count}, options);
    std::memcpy(copy.data_ptr(), data, bytes.size());
    return copy.as_strided(found.shape, found.strides, found.offset);
  }
  // The deleter holds the mapping for as long as the tensor lives.
  const at::Tensor storage = at::from_blob(
      data, {found.storage.count}, [mapping = archive_.mapping()](void*) {}, options);
  return storage.as_strided(found.shape, found.strides, found.offset);
}

bool is_bare_pickle(const std::filesystem::path& path) {
  const auto known = recognise_format(first_bytes(path));
  return known && known->format == FileFormat::pickle;
}

}  // namespace

std::unique_ptr<TensorSource> open_pth(const std::filesystem::path& path) {
  require(!is_bare_pickle(path), [&] {
    return path.string() +
           ": found a bare pickle, the format of torch before 1.6, expected a zip archive of torch.save; load it where "
           "you trust it with torch.load(..., weights_only=True) and save it again";
  });
  return std::make_unique<PthSource>(path);
}

}  // namespace rehyat
