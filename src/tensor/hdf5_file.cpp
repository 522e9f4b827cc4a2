#include "tensor/hdf5_file.h"

#include <fcntl.h>
#include <hdf5.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "files/file_format.h"
#include "tensor/hashed_read.h"
#include "tensor/hdf5_lock.h"
#include "tensor/hdf5_reason.h"
#include "tensor/io.h"

namespace rehyat {
namespace {

static_assert(sizeof(hid_t) == sizeof(std::int64_t), "the header keeps handles as 64-bit integers");

/// Owns one HDF5 handle; HDF5 has a closing function for each kind.
class Handle {
 public:
  Handle(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  ~Handle() {
    if (id_ >= 0) close_(id_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

struct TypeName {
  at::ScalarType type;
  const char* name;
};
constexpr std::array<TypeName, 6> kTypes = {{{at::kFloat, "f32"},
                                             {at::kDouble, "f64"},
                                             {at::kHalf, "f16"},
                                             {at::kBFloat16, "bf16"},
                                             {at::kLong, "i64"},
                                             {at::kByte, "u8"}}};

hid_t storage_type(at::ScalarType type) {
  switch (type) {
    case at::kFloat:
      return H5T_IEEE_F32LE;
    case at::kDouble:
      return H5T_IEEE_F64LE;
    case at::kHalf:
    case at::kBFloat16:
      return H5T_STD_U16LE;
    case at::kLong:
      return H5T_STD_I64LE;
    default:
      return H5T_STD_U8LE;
  }
}

constexpr const char* kMakeAgain = "remove the file and run the command that made it again";

[[noreturn]] void damaged(const std::filesystem::path& path, const std::string& what, const std::string& expected) {
  throw UserError({path.string(), what, expected, kMakeAgain});
}

/// The system's refusal of a good file, which must not be removed.
[[noreturn]] void refused(const std::filesystem::path& path, const char* action, const std::string& reason) {
  throw UserError(cat(path.string(), ": cannot be ", action, ": ", reason));
}

/// What HDF5 could not write: the system's reason, or the likeliest where it gives none.
[[noreturn]] void not_written(const std::filesystem::path& path, const std::string& what) {
  const std::string reason = hdf5_reason(Access::write);
  throw UserError(cat(path.string(), what.empty() ? "" : ": ", what, ": cannot be written as HDF5: ",
                      reason.empty() ? "the library gives no reason; check the disk's space" : reason));
}

/// What HDF5 could not read: the system's refusal where there was one, else damage.
[[noreturn]] void not_read(const std::filesystem::path& path, const std::string& what, const std::string& expected) {
  const std::string reason = hdf5_reason(Access::read);
  if (!reason.empty()) refused(path, "read", reason);
  damaged(path, what, expected);
}

void write_text(hid_t object, const std::string& name, const std::string& text, const std::filesystem::path& path) {
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  H5Tset_size(type, text.empty() ? 1 : text.size());
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  const Handle attribute(H5Acreate2(object, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  const char* data = text.empty() ? "" : text.data();
  if (attribute < 0 || H5Awrite(attribute, type, data) < 0) not_written(path, cat("the attribute '", name, "'"));
}

std::string read_text(hid_t object, const std::string& name, const std::filesystem::path& path) {
  if (H5Aexists(object, name.c_str()) <= 0) damaged(path, "no attribute '" + name + "'", "one");
  const Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose);
  const Handle type(attribute >= 0 ? H5Aget_type(attribute) : -1, H5Tclose);
  if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0)
    damaged(path, "an attribute '" + name + "' that is no text", "a text");
  std::string text(H5Tget_size(type), '\0');
  if (text.size() > (64U << 20) || H5Aread(attribute, type, text.data()) < 0)
    not_read(path, "an attribute '" + name + "' that cannot be read", "a text");
  return text.size() == 1 && text[0] == '\0' ? "" : text;
}

/// An open file beside HDF5's own, to find out why HDF5 cannot open it.
class Probe {
 public:
  explicit Probe(const std::filesystem::path& path) : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_ < 0) refused(path, "opened", system_reason(errno, Access::read));
  }
  ~Probe() { ::close(file_); }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  std::string first_bytes() const {
    std::string out(512, '\0');
    const ssize_t count = ::pread(file_, out.data(), out.size(), 0);
    if (count < 0) refused(path_, "read", system_reason(errno, Access::read));
    out.resize(static_cast<std::size_t>(count));
    return out;
  }
  /// Throws where opening once more is what fails, or where another program is writing to the file.
  void explain() const {
    const int again = ::dup(file_);
    if (again < 0) refused(path_, "opened", system_reason(errno, Access::read));
    ::close(again);
    if (::flock(file_, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      refused(path_, "locked", std::strerror(EWOULDBLOCK) + lock_hint(EWOULDBLOCK));
  }

 private:
  std::filesystem::path path_;
  int file_;
};

/// HDF5 prints its error stack by default; we turn errors into one sentence. What it does when the program ends is left
/// out: handles are closed here, and after a full disk it would touch a file that it has given up.
void silence() {
  static const herr_t once = H5dont_atexit();  // before any other call
  static_cast<void>(once);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

/// The datasets of a file. H5Ovisit would follow a group that damage has put into itself until the stack ends.
class DatasetNames {
 public:
  DatasetNames(hid_t file, const std::filesystem::path& path) : file_(file), path_(path) {}

  std::vector<std::string> all() {
    look_into("/", "");
    return std::move(names_);
  }

 private:
  void look_into(const std::string& group, const std::string& prefix) {
    H5O_info_t info;
    if (H5Oget_info_by_name(file_, group.c_str(), &info, H5P_DEFAULT) < 0)
      damaged(path_, "'" + group + "', which cannot be read", "a whole file");
    if (info.type == H5O_TYPE_DATASET) names_.push_back(group);
    if (info.type != H5O_TYPE_GROUP) return;
    if (!seen_.insert(info.addr).second) damaged(path_, "the group '" + group + "' within itself", "groups that end");
    const Handle opened(H5Gopen2(file_, group.c_str(), H5P_DEFAULT), H5Gclose);
    std::vector<std::string> links;
    const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* data) -> herr_t {
      static_cast<std::vector<std::string>*>(data)->emplace_back(name);
      return 0;
    };
    if (opened < 0 || H5Literate(opened, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &links) < 0)
      damaged(path_, "the group '" + group + "', which cannot be read", "a whole file");
    for (const std::string& link : links) look_into(prefix + link, prefix + link + "/");
  }

  hid_t file_;
  const std::filesystem::path& path_;
  std::set<haddr_t> seen_;
  std::vector<std::string> names_;
};

constexpr const char* kTypeAttribute = "type";
constexpr const char* kChecksumAttribute = "checksum";
constexpr const char* kFormatAttribute = "rehyat_format";

/// The shape of a dataset that the file can hold.
std::vector<std::int64_t> shape_of(hid_t dataset, const std::string& name, const std::filesystem::path& path) {
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0 || rank > 8) damaged(path, "the dataset '" + name + "' of a strange shape", "at most 8 dimensions");
  std::vector<hsize_t> shape(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, shape.data(), nullptr);
  std::uint64_t elements = 1;
  for (const hsize_t size : shape) {
    if (__builtin_mul_overflow(elements, size, &elements))
      damaged(path, "the dataset '" + name + "' of an impossible size", "one that fits the file");
  }
  // Contiguous storage cannot be larger than the file.
  if (elements > std::filesystem::file_size(path))
    damaged(path, cat("the dataset '", name, "' of ", elements, " values"), "no more than the file holds");
  return {shape.begin(), shape.end()};
}

/// What a file says of a dataset. The values lie in one piece at `offset`, or somehow else (HADDR_UNDEF).
struct Stored {
  at::ScalarType type = at::ScalarType::Undefined;
  std::vector<std::int64_t> shape;
  std::string checksum;
  haddr_t offset = HADDR_UNDEF;
};

Stored described(hid_t dataset, const std::string& name, const std::filesystem::path& path) {
  Stored out;
  const std::string type_name = read_text(dataset, kTypeAttribute, path);
  for (const TypeName& entry : kTypes) {
    if (type_name == entry.name) out.type = entry.type;
  }
  const Handle type(H5Dget_type(dataset), H5Tclose);
  if (out.type == at::ScalarType::Undefined || H5Tequal(type, storage_type(out.type)) <= 0)
    damaged(path, "the dataset '" + name + "' of another type", "type " + type_name);
  out.shape = shape_of(dataset, name, path);
  out.offset = H5Dget_offset(dataset);
  return out;
}

/// The values with their true checksum, by HDF5 itself.
std::pair<at::Tensor, std::string> read_by_library(hid_t file, const Stored& stored, const std::string& name,
                                                   const std::filesystem::path& path, at::Tensor values) {
  const auto lock = lock_hdf5();
  const Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT), H5Dclose);
  if (values.numel() > 0 &&
      H5Dread(dataset, storage_type(stored.type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data_ptr()) < 0) {
    not_read(path, "the dataset '" + name + "' that cannot be read", "a whole one");
  }
  return {values, rehyat::hash_tensor(values)};
}

}  // namespace

std::string hdf5_version() {
  const auto lock = lock_hdf5();
  silence();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return cat(major, '.', minor, '.', release);
}

Hdf5Writer::Hdf5Writer(std::filesystem::path path)
    : path_(std::move(path)), file_(std::make_unique<AtomicFile>(path_)) {
  const auto lock = lock_hdf5();
  silence();
  const Handle access(hdf5_access_without_locks(), H5Pclose);
  handle_ = H5Fcreate(file_->temporary().c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (handle_ < 0) not_written(path_, "");
  attribute(kFormatAttribute, "1");
}

Hdf5Writer::~Hdf5Writer() {
  if (handle_ < 0) return;
  const auto lock = lock_hdf5();
  H5Fclose(handle_);
}

Hdf5Writer::Hdf5Writer(Hdf5Writer&& other) noexcept
    : path_(std::move(other.path_)), file_(std::move(other.file_)), handle_(std::exchange(other.handle_, -1)) {}

void Hdf5Writer::write(const std::string& name, const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().to(at::kCPU).contiguous();
  const char* type_name = nullptr;
  for (const TypeName& entry : kTypes) {
    if (entry.type == flat.scalar_type()) type_name = entry.name;
  }
  require(type_name != nullptr, [&] {
    return cat(path_.string(), ": dataset '", name, "': found the type ", at::toString(flat.scalar_type()),
               ", expected f32, f64, f16, bf16, i64 or u8");
  });
  const std::string checksum = rehyat::hash_tensor(flat);
  const auto lock = lock_hdf5();
  std::vector<hsize_t> shape;
  for (const std::int64_t size : flat.sizes()) shape.push_back(static_cast<hsize_t>(size));
  const Handle space(
      shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
      H5Sclose);
  const Handle links(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(links, 1);
  // No time stamps: the same content gives the same bytes.
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(creation, false);
  const hid_t type = storage_type(flat.scalar_type());
  const Handle dataset(H5Dcreate2(handle_, name.c_str(), type, space, links, creation, H5P_DEFAULT), H5Dclose);
  const bool written = dataset >= 0 && (flat.numel() == 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                                                                      flat.const_data_ptr()) >= 0);
  if (!written) not_written(path_, cat("the dataset '", name, "'"));
  write_text(dataset, kTypeAttribute, type_name, path_);
  write_text(dataset, kChecksumAttribute, checksum, path_);
}

void Hdf5Writer::attribute(const std::string& name, const std::string& text) {
  // An attribute holds at most 64 kB: long texts become datasets of bytes.
  if (text.size() < 60'000) {
    const auto lock = lock_hdf5();
    write_text(handle_, name, text, path_);
    return;
  }
  write("text_of_" + name,
        at::from_blob(const_cast<char*>(text.data()), {static_cast<std::int64_t>(text.size())}, at::kByte));
}

void Hdf5Writer::commit() {
  {
    const auto lock = lock_hdf5();
    if (H5Fflush(handle_, H5F_SCOPE_GLOBAL) < 0 || H5Fclose(std::exchange(handle_, -1)) < 0) not_written(path_, "");
  }
  file_->commit();
}

Hdf5Reader::Hdf5Reader(const std::filesystem::path& path, std::uint64_t bytes) : path_(path) {
  const auto lock = lock_hdf5();
  silence();
  const Probe probe(path);
  require(std::filesystem::is_regular_file(path),
          [&] { return path.string() + ": found something that is no regular file, expected an HDF5 file"; });
  const std::string start = probe.first_bytes();
  const auto known = recognise_format(start);
  if (!known || known->format != FileFormat::hdf5)
    throw UserError(explain_by_start(
        {path.string(), "a file that does not start like HDF5", "an HDF5 file", kMakeAgain}, start, FileFormat::hdf5));
  const std::uint64_t size = std::filesystem::file_size(path);
  if (bytes > 0 && size != bytes) damaged(path, cat(size, " bytes"), cat(bytes, " bytes"));
  const Handle access(hdf5_access_without_locks(), H5Pclose);
  handle_ = H5Fopen(path.c_str(), H5F_ACC_RDONLY, access);
  if (handle_ < 0) {
    const std::string reason = hdf5_reason(Access::read);
    probe.explain();
    if (!reason.empty()) refused(path, "opened", reason);
    damaged(path, "an HDF5 file that is cut off or damaged", "a whole one");
  }
  try {
    if (attribute(kFormatAttribute) != "1") damaged(path, "another format", "format 1 of this program");
  } catch (...) {
    H5Fclose(handle_);
    throw;
  }
  void* driver = nullptr;  // the default driver's is its file; without one the library reads
  if (H5Fget_vfd_handle(handle_, H5P_DEFAULT, &driver) >= 0 && driver != nullptr) file_ = *static_cast<int*>(driver);
}

Hdf5Reader::~Hdf5Reader() {
  if (handle_ < 0) return;
  const auto lock = lock_hdf5();
  H5Fclose(handle_);
}

Hdf5Reader::Hdf5Reader(Hdf5Reader&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, -1)), file_(std::exchange(other.file_, -1)) {}

Hdf5Reader& Hdf5Reader::operator=(Hdf5Reader&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(handle_, other.handle_);
  std::swap(file_, other.file_);
  return *this;
}

at::Tensor Hdf5Reader::read(const std::string& name, const HostMemory& memory) const {
  Stored stored;
  {
    const auto lock = lock_hdf5();
    const Handle dataset(H5Dopen2(handle_, name.c_str(), H5P_DEFAULT), H5Dclose);
    if (dataset < 0) not_read(path_, "no dataset '" + name + "'", "one");
    stored = described(dataset, name, path_);
    stored.checksum = read_text(dataset, kChecksumAttribute, path_);
  }
  at::Tensor values = memory ? memory(stored.shape, stored.type) : at::empty(stored.shape, stored.type);
  // Beside the library, whose lock the others need: a dataset in one piece is read while it is hashed.
  Hasher hasher = begin_tensor_hash(stored.type, stored.shape);
  std::string checksum;
  if (file_ >= 0 && stored.offset != HADDR_UNDEF &&
      read_hashed(file_, stored.offset, values.data_ptr(), values.nbytes(), hasher)) {
    checksum = hasher.digest();
  } else {
    std::tie(values, checksum) = read_by_library(handle_, stored, name, path_, values);
  }
  if (checksum != stored.checksum)
    damaged(path_, "the dataset '" + name + "' with another checksum than when it was written", "the same");
  return values;
}

std::string Hdf5Reader::attribute(const std::string& name) const {
  {
    const auto lock = lock_hdf5();
    if (H5Aexists(handle_, name.c_str()) > 0) return read_text(handle_, name, path_);
  }
  const at::Tensor bytes = read("text_of_" + name);
  return {static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(bytes.numel())};
}

std::vector<std::string> Hdf5Reader::names() const {
  const auto lock = lock_hdf5();
  return DatasetNames(handle_, path_).all();
}

}  // namespace rehyat
