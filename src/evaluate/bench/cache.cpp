#include "core/progress.h"
#include "core/strings.h"
#include "core/units.h"
#include "evaluate/bench/cache_io.h"
#include "evaluate/bench/mode.h"
#include "tensor/peak_memory.h"

namespace rehyat::evaluate {
namespace {

/// The best of the raw rates is what the disk can do: a slow try is another program's.
Measure disk_row(const char* name, const CacheTimes& times, const std::vector<double>& seconds,
                 const std::vector<double>& raw) {
  Measure row{.name = name, .seconds = seconds, .peak_bytes = peak_memory(at::kCPU)};
  row.work.bytes = static_cast<double>(times.bytes);
  row.least_seconds = raw.front();
  const double share = raw.front() / row.median();
  row.own = {{"share_of_disk", share}};
  row.note = cat(human_bytes(static_cast<std::int64_t>(row.work.bytes / row.median())), "/s");
  return row;
}

BenchResult run_cache(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings&) {
  const BenchSubject& subject = request.subject;
  const models::Architecture sizes = subject.architecture(families);
  const std::int64_t blocks = subject.layers.value_or(sizes.layers);
  const at::Tensor input = spread_numbers({subject.video().tokens(sizes), sizes.dim}, 1.7,
                                          at::TensorOptions().dtype(subject.compute).device(subject.device));
  BenchResult out;
  Progress progress("bench cache", request.repeats, "repeats");
  const CacheTimes times =
      measure_cache(request.folder, input, request.points, blocks, request.repeats, [&] { progress.advance(1); });
  progress.finish();
  out.rows = {disk_row("write", times, times.write, times.raw_write),
              disk_row("read", times, times.read, times.raw_read),
              disk_row("one plain file, write", times, times.raw_write, times.raw_write),
              disk_row("one plain file, read", times, times.raw_read, times.raw_read)};
  out.own = {{"points", request.points},
             {"blocks", blocks},
             {"cache_bytes", times.bytes},
             {"folder", request.folder.string()}};
  out.notes = {{"cache", cat("two trajectories of ", request.points, " points of ", blocks, " blocks, ",
                             human_bytes(times.bytes), " in ", request.folder.string())}};
  return out;
}

}  // namespace

BenchMode cache_bench() {
  return {.name = "cache",
          .summary =
              "writing and reading a cache of activations, beside one plain file of as many bytes on the same "
              "disk",
          .options = {"--layers", "--points", "--folder"},
          .warmup = 0,
          .repeats = 3,
          .run = run_cache};
}

}  // namespace rehyat::evaluate
