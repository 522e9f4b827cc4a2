#include "stages/needs.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/strings.h"
#include "core/units.h"
#include "stages/config.h"
#include "stages/device.h"

namespace rehyat::stages {
namespace {

/// A field that is left out where it is absent.
template <typename T>
void add_if_there(config::Fields& f, const char* name, std::optional<T>& value, const char* doc) {
  if (value) f.add(name, *value, doc);
}

void add_work(config::Fields& f, const std::string& of, std::optional<Work>& work) {
  if (!work) return;
  f.add("tflops" + of, work->tflops, "10^12 FLOP, 2 a multiply-add");
  f.add("gpu_hours" + of, work->gpu_hours, "hours of one GPU at run.gpu_tflops");
}

}  // namespace

std::int64_t memory_of(const RunConfig& run) {
  if (wants_gpu(run.device)) return run.gpu_memory;
  return static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE);
}

MemoryNeeds::MemoryNeeds(const analysis::MemoryEstimate& estimate)
    : weights(estimate.weights),
      gradients(estimate.gradients),
      optimizer(estimate.optimizer),
      activations(estimate.activations),
      total(estimate.total()) {}

void MemoryNeeds::fields(config::Fields& f) {
  f.add("weights", weights, "bytes");
  f.add("gradients", gradients, "bytes");
  f.add("optimizer", optimizer, "bytes");
  f.add("activations", activations, "bytes, an estimate");
  f.add("total", total, "bytes");
}

void BucketNeeds::fields(config::Fields& f) {
  f.add("size", size, "height, width");
  f.add("frames", frames, "of one window");
  f.add("disk_bytes_per_window", disk_bytes_per_window, "bytes");
}

void Needs::fields(config::Fields& f) {
  add_if_there(f, "model", model, "of the run");
  add_if_there(f, "model_parameters", model_parameters, "with feature maps");
  add_if_there(f, "phi_parameters", phi_parameters, "of the feature maps");
  add_if_there(f, "form", form, "of the hybrid attention");
  add_if_there(f, "constant_memory", constant_memory, "whether videos are sampled chunk by chunk");
  add_if_there(f, "videos", videos, "that are sampled");
  add_if_there(f, "control_complete", control_complete, "whether there is a control to compare with");
  add_if_there(f, "disk_bytes", disk_bytes, "bytes");
  add_if_there(f, "disk_bytes_per_window", disk_bytes_per_window, "bytes");
  add_if_there(f, "disk_bytes_per_prompt", disk_bytes_per_prompt, "bytes");
  if (!buckets.empty()) f.list("buckets", buckets, "of windows");
  add_if_there(f, "quota_bytes", quota_bytes, "bytes that the stage may write at most");
  if (memory_per_gpu) f.section("memory_per_gpu", *memory_per_gpu, "bytes");
  add_if_there(f, "recompute", recompute, "whether blocks are run again in the backward pass: none or full");
  add_if_there(f, "state_and_ring_bytes", state_and_ring_bytes, "of chunk-by-chunk sampling");
  add_if_there(f, "memory_of_points", memory_of_points, "bytes, over all ranks");
  add_if_there(f, "host_memory_bytes", host_memory_bytes, "bytes");
  add_work(f, "", work);
  add_work(f, "_per_prompt", work_per_prompt);
  add_work(f, "_per_video", work_per_video);
  if (!warning.empty()) f.add("warning", warning, "what would not fit");
}

void Needs::warn(const std::string& text) {
  warning += (warning.empty() ? "" : "; ") + text;
}

std::int64_t Needs::memory() const {
  if (memory_per_gpu) return memory_per_gpu->total;
  if (state_and_ring_bytes) return *state_and_ring_bytes + 4 * model_parameters.value_or(0);
  return 0;
}

Work work_of(double tflops, const RunConfig& run) {
  return {tflops, tflops / run.gpu_tflops / 3600};
}

void warn_about_memory(Needs& needs, const RunConfig& run, const std::string& stage) {
  const std::int64_t limit = memory_of(run);
  const char* whose = wants_gpu(run.device) ? "one GPU (run.gpu_memory)" : "this machine";
  if (needs.memory() <= limit) return;
  needs.warn(cat(stage, ": needs about ", human_bytes(needs.memory()), " of memory, but ", whose, " has ",
                 human_bytes(limit)));
}

}  // namespace rehyat::stages
