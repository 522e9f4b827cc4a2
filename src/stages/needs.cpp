#include "stages/needs.h"

#include <algorithm>
#include <utility>

#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "stages/config.h"

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

/// "1.2 EFLOP, 1 h 10 min of one GPU".
std::string work_text(const Work& work) {
  return cat(human_flop(work.tflops), ", ", human_seconds(3600 * work.gpu_hours), " of one GPU");
}

std::string of_machine(std::int64_t bytes, const std::string& what) {
  return cat(" of the ", human_bytes(bytes), " that ", what, " has");
}

void add_model(TextList& list, const Needs& needs) {
  if (needs.model_parameters) {
    list.add("model", cat(needs.model ? *needs.model + ", " : "", human_count(*needs.model_parameters), " parameters"));
  }
  if (needs.phi_parameters) list.add("feature maps", cat(human_count(*needs.phi_parameters), " parameters"));
  if (needs.form) {
    list.add("form", cat(*needs.form, needs.constant_memory.value_or(false)
                                          ? ", chunk by chunk, in memory that does not grow with the video"
                                          : ", step by step"));
  }
  if (needs.videos) list.add("videos", cat(*needs.videos));
  if (needs.control_complete)
    list.add("control", *needs.control_complete ? "there, to compare with" : "not there: nothing to compare with");
}

void add_work_lines(TextList& list, const Needs& needs) {
  if (needs.prompts) list.add("prompts", human_count(*needs.prompts));
  if (needs.steps) {
    list.add("steps", cat(human_count(*needs.steps),
                          needs.tflops_per_step ? cat(" of ", human_flop(*needs.tflops_per_step)) : std::string()));
  }
  if (needs.steps_per_video) list.add("steps", cat(human_count(*needs.steps_per_video), " a video"));
  if (needs.work) list.add("work", work_text(*needs.work));
  if (needs.work_per_prompt) list.add("", cat(work_text(*needs.work_per_prompt), ", a prompt"));
  if (needs.work_per_video) list.add("", cat(work_text(*needs.work_per_video), ", a video"));
}

void add_disk(TextList& list, const Needs& needs, const Machine& machine) {
  if (needs.disk_bytes) {
    list.add("disk", cat(human_bytes(*needs.disk_bytes),
                         machine.disk_free ? cat(" of ", human_bytes(*machine.disk_free), " free") : std::string()));
  }
  if (needs.disk_bytes_per_prompt)
    list.add(needs.disk_bytes ? "" : "disk", human_bytes(*needs.disk_bytes_per_prompt) + " a prompt");
  if (needs.disk_bytes_per_window && needs.buckets.empty())
    list.add("disk", human_bytes(*needs.disk_bytes_per_window) + " a window");
  for (const BucketNeeds& bucket : needs.buckets) {
    list.add("disk", cat(human_bytes(bucket.disk_bytes_per_window), " a window of ", bucket.frames, " frames at ",
                         bucket.size[0], " x ", bucket.size[1]));
  }
  if (needs.quota_bytes) {
    list.add("quota",
             cat(human_bytes(*needs.quota_bytes),
                 needs.quota_prompts ? cat(", for ", human_count(*needs.quota_prompts), " prompts") : std::string()));
  }
}

void add_memory(TextList& list, const Needs& needs, const Machine& machine) {
  const std::string of = of_machine(machine.device_memory, machine.device);
  if (needs.memory_per_gpu) {
    const MemoryNeeds& m = *needs.memory_per_gpu;
    list.add("memory", cat("about ", human_bytes(m.total), of));
    list.add("", cat("weights ", human_bytes(m.weights), ", gradients ", human_bytes(m.gradients), ", optimizer ",
                     human_bytes(m.optimizer), ", activations ", human_bytes(m.activations)));
    if (needs.recompute == "full") {
      list.add("", "blocks are run again in the backward pass");
    } else if (needs.recompute == "selective") {
      list.add("", "blocks without their attention are run again in the backward pass");
    } else if (needs.recompute && needs.recompute != "none") {
      list.add("", cat("blocks are run again in the backward pass: ", *needs.recompute));
    }
  } else if (needs.memory() > 0) {
    list.add("memory", cat("at least ", human_bytes(needs.memory()), of));
    if (needs.state_and_ring_bytes)
      list.add("", cat("weights ", human_bytes(needs.model_bytes.value_or(0)), ", states and rings ",
                       human_bytes(*needs.state_and_ring_bytes), ", of the texts ",
                       human_bytes(needs.text_bytes.value_or(0))));
  }
  if (needs.memory_of_points) list.add("points", cat(human_bytes(*needs.memory_of_points), " over all ranks"));
  if (needs.host_memory_bytes)
    list.add("memory",
             cat("about ", human_bytes(*needs.host_memory_bytes), of_machine(machine.host_memory, "this machine")));
}

}  // namespace

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
  if (!warnings.empty()) f.add("warnings", warnings, "what would not fit");
  add_if_there(f, "model", model, "of the run");
  add_if_there(f, "model_parameters", model_parameters, "with feature maps");
  add_if_there(f, "phi_parameters", phi_parameters, "of the feature maps");
  add_if_there(f, "form", form, "of the hybrid attention");
  add_if_there(f, "constant_memory", constant_memory, "whether videos are sampled chunk by chunk");
  add_if_there(f, "videos", videos, "that are sampled");
  add_if_there(f, "control_complete", control_complete, "whether there is a control to compare with");
  add_if_there(f, "prompts", prompts, "that the teacher is run on");
  add_if_there(f, "steps", steps, "as the log counts them");
  add_if_there(f, "steps_per_video", steps_per_video, "as the log counts them");
  add_if_there(f, "tflops_per_step", tflops_per_step, "10^12 FLOP, over all ranks");
  add_if_there(f, "disk_bytes", disk_bytes, "bytes");
  add_if_there(f, "disk_bytes_per_window", disk_bytes_per_window, "bytes");
  add_if_there(f, "disk_bytes_per_prompt", disk_bytes_per_prompt, "bytes");
  if (!buckets.empty()) f.list("buckets", buckets, "of windows");
  add_if_there(f, "quota_bytes", quota_bytes, "bytes that the stage may write at most");
  add_if_there(f, "quota_prompts", quota_prompts, "prompts whose points fit in the quota");
  if (memory_per_gpu) f.section("memory_per_gpu", *memory_per_gpu, "bytes");
  add_if_there(
      f, "recompute", recompute,
      "what blocks run again in the backward pass: none, selective or full, and in how many of the last another");
  add_if_there(f, "model_bytes", model_bytes, "of weights that are only run");
  add_if_there(f, "state_and_ring_bytes", state_and_ring_bytes, "of chunk-by-chunk sampling");
  add_if_there(f, "text_bytes", text_bytes, "of sampling, what depends on its texts alone");
  add_if_there(f, "memory_of_points", memory_of_points, "bytes, over all ranks");
  add_if_there(f, "host_memory_bytes", host_memory_bytes, "bytes");
  add_work(f, "", work);
  add_work(f, "_per_prompt", work_per_prompt);
  add_work(f, "_per_video", work_per_video);
}

std::int64_t Needs::memory() const {
  if (memory_per_gpu) return memory_per_gpu->total;
  return model_bytes.value_or(0) + state_and_ring_bytes.value_or(0) + text_bytes.value_or(0);
}

void Needs::tell(TextList& list, const Machine& machine) const {
  for (const std::string& warning : warnings) list.add("warning", warning);
  add_model(list, *this);
  add_work_lines(list, *this);
  add_disk(list, *this, machine);
  add_memory(list, *this, machine);
}

Work work_of(double tflops, const RunConfig& run) {
  return {tflops, tflops / run.gpu_tflops / 3600};
}

void compare(Needs& needs, const Machine& machine, const std::string& stage, std::optional<std::int64_t> disk_before) {
  const auto lower = [](const std::string& settings) { return settings.empty() ? "" : "; lower " + settings; };
  const std::int64_t sharing = machine.gpu ? 1 : machine.ranks;
  if (sharing * needs.memory() > machine.device_memory) {
    needs.warn(cat(stage, ": needs about ", human_bytes(needs.memory()), " of memory",
                   sharing > 1 ? cat(" on each of ", sharing, " ranks") : std::string(), ", but ", machine.device,
                   " has ", human_bytes(machine.device_memory), lower(needs.smaller_memory)));
  }
  if (needs.host_memory_bytes.value_or(0) > machine.host_memory) {
    needs.warn(cat(stage, ": needs about ", human_bytes(*needs.host_memory_bytes), " of memory, but this machine has ",
                   human_bytes(machine.host_memory)));
  }
  const std::int64_t own = needs.disk_bytes.value_or(0);
  if (!disk_before || !machine.disk_free || own == 0 || *disk_before + own <= *machine.disk_free) return;
  if (*disk_before > *machine.disk_free) return;  // of a stage before, which has said so
  needs.warn(cat(stage, ": needs ", human_bytes(own), " on the disk",
                 *disk_before > 0 ? cat(", the stages before it ", human_bytes(*disk_before)) : std::string(),
                 ", but only ", human_bytes(*machine.disk_free), " are free for run.dir",
                 needs.smaller_disk.empty() ? "; name a folder with more room" : lower(needs.smaller_disk)));
}

}  // namespace rehyat::stages
