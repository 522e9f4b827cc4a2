#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tensor/io.h"

namespace rehyat {

/// The tensors of a checkpoint by name, whatever its container: a safetensors file, several behind an index, a .pth.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  /// Names in ascending order, each once.
  virtual std::vector<std::string> names() const = 0;
  virtual bool contains(const std::string& name) const = 0;
  virtual std::vector<std::int64_t> shape(const std::string& name) const = 0;
  /// Throws UserError for a type that nothing is computed in, such as F8_E4M3.
  virtual at::ScalarType type(const std::string& name) const = 0;
  /// A view of the mapped file where possible; never write to it. Throws UserError with the nearest name when missing.
  virtual at::Tensor read(const std::string& name) const = 0;
  /// The file that holds the tensor, for messages.
  virtual std::string where(const std::string& name) const = 0;
  /// The file or folder that was opened, for messages.
  virtual std::string path() const = 0;
  /// To be called when the tensor has been copied and no view of it is used any more: its pages may leave memory.
  virtual void release(const std::string&) const {}
};

/// Safetensors files whose names are disjoint; throws UserError where a tensor comes twice.
std::unique_ptr<TensorSource> open_safetensors(const std::vector<std::filesystem::path>& files,
                                               const std::string& path);

/// The same tensors under other names: `rename(name)` is the new name, "" leaves the tensor out. Throws UserError when
/// two get the same name.
std::unique_ptr<TensorSource> renamed(std::unique_ptr<TensorSource> source,
                                      const std::function<std::string(const std::string&)>& rename);

/// Throws UserError naming `where` when a model of so many numbers, which is not built yet, is far larger than what the
/// source holds: building it takes the memory that its settings say, whatever the file has.
void require_as_large(double numbers, const TensorSource& source, const std::string& where);

/// Copies every target's tensor from the source, converting its type. Throws UserError, naming file and tensor, when
/// one is missing, is left over (unless `ignored` has it), has another shape, no floating type, or values that are not
/// finite.
void assign_exactly(const NamedTensors& targets, const TensorSource& source, const std::set<std::string>& ignored = {});

/// The same checks, but every target gets new storage on `device` in `type`, one tensor after the other, so that never
/// two copies of the whole exist. Without a type each tensor keeps the source's own type, on the CPU as a view of the
/// mapped file, which it keeps mapped.
void place_exactly(const NamedTensors& targets, const TensorSource& source, std::optional<at::ScalarType> type,
                   at::Device device, const std::set<std::string>& ignored = {});

}  // namespace rehyat
