#include "data/text_table.h"

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/error.h"
#include "core/hash.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/hdf5_file.h"
#include "data/manifest.h"
#include "dist/work_queue.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 32;

class TextParts {
 public:
  TextParts(const std::vector<std::string>& captions, const std::filesystem::path& folder)
      : captions_(captions), folder_(folder) {}

  std::size_t count() const { return (captions_.size() + kBatch - 1) / kBatch; }

  std::filesystem::path path(std::size_t part) const {
    char name[40];
    std::snprintf(name, sizeof name, "text-part-%05zu.h5", part);
    return folder_ / name;
  }

  std::vector<std::string> batch(std::size_t part) const {
    const auto at = [&](std::size_t i) {
      return captions_.begin() + static_cast<std::ptrdiff_t>(std::min(i, captions_.size()));
    };
    return {at(part * kBatch), at((part + 1) * kBatch)};
  }

  /// Whether the part is there and of these captions: they change when a clip that was set aside is mended.
  bool done(std::size_t part) const {
    if (!std::filesystem::exists(path(part))) return false;
    try {
      return Hdf5Reader(path(part)).attribute("captions") == key(part);
    } catch (const UserError&) {
      return false;
    }
  }

  void write(std::size_t part, TextEncoder& encoder) const {
    const std::vector<std::string> texts = batch(part);
    const at::Tensor rows = encoder.encode(texts);
    Hdf5Writer file(path(part));
    for (std::size_t i = 0; i < texts.size(); ++i) file.write(cat("text/", i), rows[static_cast<std::int64_t>(i)]);
    file.attribute("captions", key(part));
    file.commit();
  }

  json join() const {
    Hdf5Writer file(folder_ / "text.h5");
    for (std::size_t part = 0; part < count(); ++part) {
      const Hdf5Reader from(path(part));
      const std::size_t rows = batch(part).size();
      for (std::size_t i = 0; i < rows; ++i) file.write(cat("text/", part * kBatch + i), from.read(cat("text/", i)));
    }
    file.commit();
    return file_entry(folder_, "text.h5");
  }

 private:
  std::string key(std::size_t part) const { return hash_text(json(batch(part)).dump()); }

  const std::vector<std::string>& captions_;
  const std::filesystem::path& folder_;
};

}  // namespace

void remove_text_parts(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> parts;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with("text-part-")) parts.push_back(entry.path());
  for (const auto& part : parts) std::filesystem::remove(part);
}

json write_text_table(const std::vector<std::string>& captions, TextEncoder& encoder,
                      const std::filesystem::path& folder, Throughput& throughput, const dist::Communicator& world) {
  const TextParts parts(captions, folder);
  dist::WorkQueue queue(world, static_cast<std::int64_t>(parts.count()));
  const auto encode = [&] {
    while (const auto part = queue.next()) {
      world.poll();
      if (stop_requested())
        throw Stopped("prepare stopped; start the same command again to go on with the captions that are left");
      const auto start = Clock::now();
      if (!parts.done(static_cast<std::size_t>(*part))) parts.write(static_cast<std::size_t>(*part), encoder);
      throughput.text_encoded(std::chrono::duration<double>(Clock::now() - start).count());
    }
  };
  world.together(encode, dist::Communicator::Length::lengthy);
  json entry;
  world.together([&] {
    if (world.rank() == 0) entry = parts.join();
  });
  return entry;
}

}  // namespace rehyat::data
