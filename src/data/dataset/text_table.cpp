#include "data/dataset/text_table.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "comm/root.h"
#include "comm/work_queue.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "data/dataset/manifest.h"
#include "files/atomic_file.h"
#include "tensor/hdf5_file.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kBatch = 32;
constexpr std::size_t kBytesInMemory = std::size_t{128} << 20;
constexpr const char *kFile = "text.h5", *kTextPart = "text-part-";

/// [L,D] without the zero rows at its end, but for the first row.
at::Tensor trimmed(const at::Tensor& embedding) {
  const at::Tensor used = embedding.ne(0).any(1).nonzero();
  const std::int64_t rows = used.numel() == 0 ? 1 : used[-1].item<std::int64_t>() + 1;
  return embedding.narrow(0, 0, rows).contiguous();
}

at::Tensor padded(const at::Tensor& rows, std::int64_t length) {
  if (rows.size(0) >= length) return rows;
  at::Tensor out = at::zeros({length, rows.size(1)}, rows.options());
  out.narrow(0, 0, rows.size(0)).copy_(rows);
  return out;
}

/// Whether the file is there and was made of these captions, which change when an unusable clip is mended.
bool is_of(const std::filesystem::path& path, const std::string& captions) {
  if (!std::filesystem::exists(path)) return false;
  try {
    return Hdf5Reader(path).attribute("captions") == captions;
  } catch (const UserError&) {
    return false;
  }
}

class TextParts {
 public:
  TextParts(const std::vector<std::string>& captions, const std::filesystem::path& folder)
      : captions_(captions), folder_(folder) {}

  std::size_t count() const { return (captions_.size() + kBatch - 1) / kBatch; }
  std::size_t captions_in(std::size_t part) const { return batch(part).size(); }
  bool done(std::size_t part) const { return is_of(path(part), key(batch(part))); }
  bool joined() const { return is_of(folder_ / kFile, key(captions_)); }

  void write(std::size_t part, models::TextEncoder& encoder) const {
    const std::vector<std::string> texts = batch(part);
    const at::Tensor embeddings = encoder.encode(texts);
    Hdf5Writer file(path(part));
    for (std::size_t i = 0; i < texts.size(); ++i)
      file.write(cat("text/", i), trimmed(embeddings[static_cast<std::int64_t>(i)]));
    file.attribute("length", std::to_string(embeddings.size(1)));
    file.attribute("captions", key(texts));
    file.commit();
  }

  void join() const {
    Hdf5Writer file(folder_ / kFile);
    for (std::size_t part = 0; part < count(); ++part) {
      const Hdf5Reader from(path(part));
      const std::size_t rows = captions_in(part);
      for (std::size_t i = 0; i < rows; ++i) file.write(cat("text/", part * kBatch + i), from.read(cat("text/", i)));
      if (part == 0) file.attribute("length", from.attribute("length"));
    }
    file.attribute("captions", key(captions_));
    file.commit();
  }

  json entry() const {
    json entry = file_entry(folder_, kFile);
    entry["length"] = std::stoll(Hdf5Reader(folder_ / kFile).attribute("length"));
    return entry;
  }

 private:
  static std::string key(const std::vector<std::string>& captions) { return hash_text(json(captions).dump()); }

  std::filesystem::path path(std::size_t part) const {
    char name[40];
    std::snprintf(name, sizeof name, "%s%05zu.h5", kTextPart, part);
    return folder_ / name;
  }

  std::vector<std::string> batch(std::size_t part) const {
    const auto at = [&](std::size_t i) {
      return captions_.begin() + static_cast<std::ptrdiff_t>(std::min(i, captions_.size()));
    };
    return {at(part * kBatch), at((part + 1) * kBatch)};
  }

  const std::vector<std::string>& captions_;
  const std::filesystem::path& folder_;
};

void encode_parts(const TextParts& parts, std::size_t captions, const TextTableJob& job,
                  const comm::Communicator& world) {
  comm::WorkQueue queue(world, static_cast<std::int64_t>(parts.count()));
  const auto encode = [&] {
    Progress progress(job.command + ", captions", static_cast<std::int64_t>(captions), "captions");
    std::int64_t shown = 0;
    while (const auto next = queue.next()) {
      world.poll();
      if (stop_requested())
        throw Stopped(job.command + " stopped; start the same command again to go on with the captions that are left");
      const auto start = Clock::now();
      const auto part = static_cast<std::size_t>(*next);
      if (!parts.done(part)) parts.write(part, job.encoder);
      if (job.spent) job.spent(std::chrono::duration<double>(Clock::now() - start).count());
      // The parts are handed out in order: those before this one are done or nearly so.
      const auto done = static_cast<std::int64_t>(part * kBatch + parts.captions_in(part));
      progress.advance(done - std::exchange(shown, done));
    }
    progress.finish();
  };
  world.all_or_none(encode, comm::Communicator::Length::lengthy);
}

}  // namespace

void remove_text_parts(const std::filesystem::path& folder) {
  remove_files(folder, kTextPart);
}

json write_text_table(const std::vector<std::string>& captions, const TextTableJob& job,
                      const comm::Communicator& world) {
  const TextParts parts(captions, job.folder);
  const bool joined = comm::from_root<bool>(world, [&] { return parts.joined(); });
  if (!joined) encode_parts(parts, captions.size(), job, world);
  return comm::from_root<json>(world, [&] {
    if (!joined) parts.join();
    return parts.entry();
  });
}

TextTable::TextTable(const std::filesystem::path& folder, const json& entry, const std::string& command)
    : file_(folder, {{entry.at("file"), entry.at("bytes")}}, command), length_(entry.value("length", 0)) {}

at::Tensor TextTable::at(std::size_t i) const {
  const auto found = in_memory_.find(i);
  if (found != in_memory_.end()) return padded(found->second, length_);
  const at::Tensor rows = file_.at(0).read(cat("text/", i));
  if (bytes_ + rows.nbytes() > kBytesInMemory) {
    in_memory_.clear();
    bytes_ = 0;
  }
  bytes_ += rows.nbytes();
  return padded(in_memory_.emplace(i, rows).first->second, length_);
}

}  // namespace rehyat::data
