#include "tensor/tensor_source.h"

#include <map>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat {
namespace {

class SafetensorsSource : public TensorSource {
 public:
  SafetensorsSource(const std::vector<std::filesystem::path>& files, std::string path) : path_(std::move(path)) {
    for (const auto& file : files) readers_.emplace_back(file);
    for (const auto& reader : readers_) {
      for (const auto& info : reader.tensors()) {
        const auto [place, fresh] = places_.emplace(info.name, Place{&reader, &info});
        require(fresh, [&] {
          return cat(reader.path().string(), ": found the tensor '", info.name, "' of ",
                     place->second.reader->path().filename().string(), " again, expected it once");
        });
      }
    }
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& item : places_) out.push_back(item.first);
    return out;
  }
  bool contains(const std::string& name) const override { return places_.contains(name); }
  std::vector<std::int64_t> shape(const std::string& name) const override { return place(name).info->shape; }
  at::ScalarType type(const std::string& name) const override {
    return type_of(*place(name).reader, *place(name).info);
  }
  at::Tensor read(const std::string& name) const override {
    const Place& found = place(name);
    return read_tensor(*found.reader, *found.info);
  }
  std::string where(const std::string& name) const override { return place(name).reader->path().string(); }
  std::string path() const override { return path_; }
  void release(const std::string& name) const override {
    const Place& found = place(name);
    found.reader->release(*found.info);
  }

 private:
  struct Place {
    const safetensors::Reader* reader;
    const safetensors::TensorInfo* info;
  };
  const Place& place(const std::string& name) const {
    const auto found = places_.find(name);
    if (found != places_.end()) return found->second;
    const std::string near = nearest(name, names());
    throw UserError({path_, cat("no tensor '", name, "'"), "one of that name",
                     near.empty() ? "" : "the nearest is '" + near + "'"});
  }

  std::string path_;
  std::vector<safetensors::Reader> readers_;
  std::map<std::string, Place> places_;
};

class RenamedSource : public TensorSource {
 public:
  RenamedSource(std::unique_ptr<TensorSource> source, const std::function<std::string(const std::string&)>& rename)
      : source_(std::move(source)) {
    for (const std::string& old : source_->names()) {
      const std::string name = rename(old);
      if (name.empty()) continue;
      const auto [place, fresh] = old_.emplace(name, old);
      require(fresh, [&] {
        return cat(source_->where(old), ": found the tensors '", place->second, "' and '", old, "', which both mean '",
                   name, "', expected one of them");
      });
    }
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& item : old_) out.push_back(item.first);
    return out;
  }
  bool contains(const std::string& name) const override { return old_.contains(name); }
  std::vector<std::int64_t> shape(const std::string& name) const override { return source_->shape(old(name)); }
  at::ScalarType type(const std::string& name) const override { return source_->type(old(name)); }
  at::Tensor read(const std::string& name) const override { return source_->read(old(name)); }
  std::string where(const std::string& name) const override { return source_->where(old(name)); }
  std::string path() const override { return source_->path(); }
  void release(const std::string& name) const override { source_->release(old(name)); }

 private:
  std::string old(const std::string& name) const {
    const auto found = old_.find(name);
    return found == old_.end() ? name : found->second;
  }

  std::unique_ptr<TensorSource> source_;
  std::map<std::string, std::string> old_;
};

}  // namespace

std::unique_ptr<TensorSource> open_safetensors(const std::vector<std::filesystem::path>& files,
                                               const std::string& path) {
  return std::make_unique<SafetensorsSource>(files, path);
}

std::unique_ptr<TensorSource> renamed(std::unique_ptr<TensorSource> source,
                                      const std::function<std::string(const std::string&)>& rename) {
  return std::make_unique<RenamedSource>(std::move(source), rename);
}

void require_as_large(double numbers, const TensorSource& source, const std::string& where) {
  double held = 0;
  for (const std::string& name : source.names()) {
    double one = 1;
    for (const std::int64_t size : source.shape(name)) one *= static_cast<double>(size);
    held += one;
  }
  constexpr double kSmall = 1e6;  // what is missing from a small file is named tensor by tensor
  require(numbers <= 2 * held + kSmall, [&] {
    return cat(where, ": found sizes of a model of ", numbers, " numbers, expected those of the ", held, " in ",
               source.path(), "; is it another model's?");
  });
}

namespace {

/// Hands every target its tensor, after the checks that assign_exactly promises.
void match_exactly(
    const NamedTensors& targets, const TensorSource& source, const std::set<std::string>& ignored,
    const std::function<void(at::Tensor& target, const std::string& name, const at::Tensor& value)>& take) {
  std::map<std::string, at::Tensor> open(targets.begin(), targets.end());
  std::vector<std::string> known;
  for (const auto& item : targets) known.push_back(item.first);
  // Types first: quantized weights bring tensors along that the model lacks, which would be told in place of the
  // reason.
  for (const std::string& name : source.names())
    if (!ignored.contains(name)) source.type(name);
  for (const std::string& name : source.names()) {
    if (ignored.contains(name)) continue;
    const auto target = open.find(name);
    if (target == open.end()) {
      const std::string near = nearest(name, known);
      throw UserError({source.where(name), "the tensor '" + name + "'", "only tensors of the model",
                       near.empty() ? "" : "the nearest name is '" + near + "'"});
    }
    const std::string where = cat(source.where(name), ": tensor '", name, "'");
    require(at::IntArrayRef(source.shape(name)) == target->second.sizes(), [&] {
      return cat(where, ": found shape ", shape_string(source.shape(name)), ", expected ",
                 shape_string(target->second.sizes().vec()));
    });
    require(at::isFloatingType(source.type(name)),
            [&] { return cat(where, ": found type ", at::toString(source.type(name)), ", expected a floating type"); });
    const at::Tensor tensor = source.read(name);
    require_finite(tensor, where);
    take(target->second, name, tensor);
    open.erase(target);
  }
  require(open.empty(), [&] {
    return cat(source.path(), ": found no tensor '", open.begin()->first, "', expected it (", open.size(), " of ",
               targets.size(), " are missing)");
  });
}

}  // namespace

void assign_exactly(const NamedTensors& targets, const TensorSource& source, const std::set<std::string>& ignored) {
  const at::NoGradGuard no_grad;
  match_exactly(targets, source, ignored, [&](at::Tensor& target, const std::string& name, const at::Tensor& value) {
    target.copy_(value);
    source.release(name);
  });
}

void place_exactly(const NamedTensors& targets, const TensorSource& source, std::optional<at::ScalarType> type,
                   at::Device device, const std::set<std::string>& ignored) {
  const at::NoGradGuard no_grad;
  match_exactly(targets, source, ignored, [&](at::Tensor& target, const std::string& name, const at::Tensor& value) {
    if (!type && device.is_cpu()) {
      target.set_data(value);
      return;
    }
    at::Tensor moved = value.to(device, type.value_or(value.scalar_type()));
    if (moved.is_same(value)) moved = value.clone();
    target.set_data(moved);
    source.release(name);
  });
}

}  // namespace rehyat
