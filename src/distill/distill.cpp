#include "distill/distill.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "comm/idle_ranks.h"
#include "comm/root.h"
#include "comm/work_queue.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/strings.h"
#include "core/units.h"
#include "distill/block_task.h"
#include "files/atomic_file.h"
#include "files/elapsed.h"
#include "files/json.h"
#include "files/marked_folder.h"
#include "tensor/error_text.h"
#include "tensor/tensor_source.h"
#include "train/checkpoint.h"
#include "train/loop.h"

namespace rehyat::distill {
namespace {

using json = nlohmann::ordered_json;

/// The feature maps of a block by their names in the whole model, sorted.
NamedTensors feature_maps(const models::VideoTransformer& model, std::int64_t block) {
  NamedTensors out;
  const std::string prefix = model->attention_name(block) + ".";
  for (const auto& item : model->tensors(models::Weights::feature_maps)) {
    if (item.first.starts_with(prefix)) out.push_back(item);
  }
  return out;
}

/// What all blocks share.
struct Work : Distillation {
  PointSource& source;

  std::filesystem::path folder_of(std::int64_t block) const { return folder / block_name(block); }
  std::string fingerprint_of(std::int64_t block) const { return fingerprint + block_name(block); }
};

/// One block's student. The teacher itself stays as it is.
Student student_of(const Work& work, std::int64_t block) {
  const auto& size = work.source.latent();
  const std::array<std::int64_t, 3> latent = {size[0], size[1], size[2]};
  const models::Architecture& sizes = work.teacher->architecture();
  const models::BlockAttention& attention = work.blocks.at(block);
  Student student{block, models::softmax_copy(work.teacher->attention(block)), work.teacher->rope(latent),
                  sizes.grid(latent)[0]};
  student.attention->convert(attention, work.seed, block, models::window_tokens(sizes, latent, attention.spec));
  return student;
}

/// A block's checkpoints and errors; marked once its maps, which lie beside the folder, are whole.
MarkedFolder block_folder(const std::filesystem::path& folder, std::int64_t block, const std::string& fingerprint) {
  const std::string name = block_name(block);
  return {folder / name,
          nullptr,
          {.marker = kBlockMarker,
           .what = cat("the distillation of block ", block),
           .first = "run `rehyat distill` with this config first",
           .again = cat("remove ", (folder / name).string(), " and run `rehyat distill` again"),
           .names = {},
           .beside = true},
          fingerprint + name};
}

/// Held-out errors with the maps as they start: measured once and written, since a training that goes on has them no
/// more.
json errors_before(BlockTask& task, const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "before.json";
  if (!std::filesystem::exists(path)) {
    const double window = task.window_only_error(), untrained = task.error();
    require(std::isfinite(window) && std::isfinite(untrained), [&] {
      return cat("found a held-out error of ", untrained, " before the first step (window alone ", window,
                 "), expected finite numbers; the teacher's activations of this block overflow or are damaged");
    });
    write_file_atomic(path, json({{"window_only", window}, {"untrained", untrained}}).dump() + "\n");
  }
  const json before = read_json_object(path);
  for (const char* key : {"window_only", "untrained"}) {
    require(before.contains(key) && is_value_of<double>(before[key]), [&] {
      return cat(path.string(), ": found no number \"", key, "\", expected one; remove the folder ", folder.string(),
                 " and run `rehyat distill` again");
    });
  }
  return before;
}

/// The settings with numbers for what was left to the memory that is free now.
DistillConfig with_budget(const Work& work, const Student& student) {
  DistillConfig config = work.config;
  const at::Tensor& tables = student.rope.cos;
  const models::Architecture& sizes = work.teacher->architecture();
  const auto& latent = work.source.latent();
  const auto grid = sizes.grid({latent[0], latent[1], latent[2]});
  const std::int64_t input_bytes =
      grid[0] * grid[1] * grid[2] * sizes.dim *
      static_cast<std::int64_t>(c10::elementSize(compute_type(config.precision, tables.device())));
  if (!config.keep_on_device) config.keep_on_device = free_for_points(tables.device(), input_bytes);
  return config;
}

/// Trains one block up to step `until`; at the end of its training writes its file and its result, last. `poll` is
/// called while a step waits for its point.
void run_block(const Work& work, std::int64_t block, std::int64_t until, const std::function<void()>& on_step,
               const std::function<void()>& poll) {
  const std::filesystem::path folder = work.folder_of(block);
  make_folder(folder);
  auto time = std::make_unique<ElapsedTime>(folder / "elapsed.json");
  const Student student = student_of(work, block);
  BlockTask task(student, work.source, with_budget(work, student), work.seed, poll);
  const json before = errors_before(task, folder);
  train::Training training{cat("distill block ", block), folder, work.fingerprint_of(block), true,
                           [&](std::int64_t) { on_step(); }};
  training.pause_after = until;
  // A map without weights (elu) is as it is.
  const json after = task.parameters().empty() ? task.validate()
                                               : train::train(task, work.config.train, training, comm::Communicator());
  if (until < work.config.train.iterations) return;
  NamedTensors named;
  const std::string prefix = work.teacher->attention_name(block) + ".";
  for (const auto& [name, tensor] : models::tensors_of(*student.attention, models::Weights::feature_maps))
    named.emplace_back(prefix + name, tensor.detach());
  const std::string file = block_name(block) + ".safetensors";
  write_tensors(work.folder / file, named, {{"attention", config::to_json(work.blocks.at(block)).dump()}});
  BlockResult result{block, before.at("window_only"), before.at("untrained"), after.at("error"), time->seconds()};
  time.reset();  // nothing is written in the folder once it is marked
  block_folder(work.folder, block, work.fingerprint)
      .finish(config::to_json(result), {std::filesystem::path("..") / file});
}

BlockResult read_result(const std::filesystem::path& folder, std::int64_t block, const std::string& fingerprint) {
  const MarkedFolder marked = block_folder(folder, block, fingerprint);
  return config::from_json<BlockResult>(marked.content(), (marked.path() / kBlockMarker).string());
}

/// This rank's part of the work, and what went wrong in it.
class Worker {
 public:
  Worker(const Work& work, Progress& progress, const comm::Communicator& world)
      : work_(work), progress_(progress), world_(world) {}

  /// False once a stop was asked for.
  bool run(std::int64_t block, std::int64_t until) {
    try {
      const auto poll = [&] { world_.poll(); };  // the others' jobs are counted on rank 0
      run_block(
          work_, block, until,
          [&] {
            progress_.advance(1, cat("block ", block));
            poll();
          },
          poll);
      if (until < work_.config.train.iterations) return true;
      const BlockResult r = read_result(work_.folder, block, work_.fingerprint);
      log::info("distill block ", block, ": error ", r.untrained, " -> ", r.distilled, " (window alone ", r.window_only,
                "), ", human_seconds(r.seconds));
    } catch (const Stopped&) {
      stopped = true;
    } catch (const std::exception& error) {
      failed.insert(block);
      failures += cat(failures.empty() ? "" : "; ", "block ", block, " failed: ", message_of(error));
      log::error("distill block ", block, ": ", message_of(error));
    }
    return !stopped;
  }

  bool stopped = false;
  std::set<std::int64_t> failed;
  std::string failures;

 private:
  const Work& work_;
  Progress& progress_;
  const comm::Communicator& world_;
};

/// Blocks go to whoever is free, each from its first step to its last.
void run_whole_blocks(const Work& work, const std::vector<std::int64_t>& open, Worker& worker,
                      const comm::Communicator& world) {
  comm::WorkQueue queue(world, static_cast<std::int64_t>(open.size()));
  while (const auto job = queue.next()) {
    if (!worker.run(open[static_cast<std::size_t>(*job)], work.config.train.iterations)) break;
  }
}

/// Steps that the first r rounds take.
std::int64_t steps_before(const Work& work, std::int64_t round) {
  return work.config.train.iterations * round / work.source.rounds();
}

/// The same round for all blocks; a round is begun again from its seed by a run that is started again.
void run_in_rounds(const Work& work, const std::vector<std::int64_t>& open, std::int64_t done, Worker& worker,
                   const comm::Communicator& world) {
  const std::int64_t rounds = work.source.rounds();
  std::int64_t round = 0;
  while (round + 1 < rounds && steps_before(work, round + 1) <= done) ++round;
  for (; round < rounds; ++round) {
    std::vector<std::int64_t> mine;
    for (std::size_t i = static_cast<std::size_t>(world.rank()); i < open.size();
         i += static_cast<std::size_t>(world.size())) {
      if (!worker.failed.contains(open[i])) mine.push_back(open[i]);
    }
    if (world.any(worker.stopped) || !world.any(!mine.empty())) return;
    work.source.begin_round(round);
    for (const std::int64_t block : mine) {
      if (!worker.run(block, steps_before(work, round + 1))) break;
    }
  }
}

/// Raises on all ranks what any of them met.
void report_failures(const Worker& worker, const comm::Communicator& world) {
  if (world.any(worker.stopped)) throw Stopped("distill stopped; start the same command again to go on");
  std::string every;
  for (const std::string& text : world.all_gather(worker.failures)) {
    if (!text.empty()) every += cat(every.empty() ? "" : "; ", text);
  }
  require(every.empty(), [&] {
    return cat("[distill] ", every,
               "; the other blocks are kept, and the same command runs only the failed ones again");
  });
}

/// How far an earlier start of this distillation came.
struct Begun {
  std::vector<std::int64_t> open;  ///< blocks without a result
  std::int64_t steps_of_each = 0;  ///< that every one of them has done
  std::int64_t steps_of_all = 0;   ///< that they have done between them

  void fields(config::Fields& f) {
    f.add("open", open, "blocks without a result");
    f.add("steps_of_each", steps_of_each, "that every one of them has done");
    f.add("steps_of_all", steps_of_all, "that they have done between them");
  }
};

/// Throws UserError on a block of which the source has no activations.
Begun begun_before(const Work& work) {
  Begun out;
  out.steps_of_each = work.config.train.iterations;
  for (const auto& item : work.blocks) {
    const std::int64_t block = item.first;
    require(
        std::find(work.source.blocks().begin(), work.source.blocks().end(), block) != work.source.blocks().end(), [&] {
          return cat("[distill] block ", block,
                     ": found no activations of it in the cache, expected some; run `rehyat cache` for these blocks");
        });
    if (block_folder(work.folder, block, work.fingerprint).complete()) continue;
    out.open.push_back(block);
    const auto checkpoint =
        train::CheckpointFolder(work.folder_of(block) / "checkpoints", work.fingerprint_of(block)).newest();
    const std::int64_t step = checkpoint ? checkpoint->step : 0;
    out.steps_of_each = std::min(out.steps_of_each, step);
    out.steps_of_all += step;
  }
  return out;
}

}  // namespace

void BlockResult::fields(config::Fields& f) {
  f.add("block", block, "number");
  f.add("window_only", window_only, "error with the linear branch off");
  f.add("untrained", untrained, "error with phi as it starts");
  f.add("distilled", distilled, "error after training");
  f.add("seconds", seconds, "over all starts");
}

std::string block_name(std::int64_t block) {
  char name[24];
  std::snprintf(name, sizeof name, "phi-%05lld", static_cast<long long>(block));
  return name;
}

std::vector<BlockResult> distill(const Distillation& distillation, PointSource& source,
                                 const comm::Communicator& world) {
  const Work work{distillation, source};
  const DistillConfig& config = work.config;
  const Begun begun = comm::from_root<Begun>(world, [&] { return begun_before(work); });
  if (work.teacher->parameters().front().is_cpu()) at::set_num_threads(static_cast<int>(config.threads));
  comm::warn_of_idle_ranks({"[distill]", std::ssize(begun.open), "blocks to distil", ""}, world);
  source.share_out(begun.open);
  {
    // Rank 0 cannot see the others' steps; its bar counts its own part of the work.
    Progress progress(cat("distill (", begun.open.size(), " blocks on ", world.size(), " ranks)"),
                      (std::ssize(begun.open) + world.size() - 1) / world.size() * config.train.iterations, "steps",
                      begun.steps_of_all / world.size());
    Worker worker(work, progress, world);
    source.readable_everywhere() ? run_whole_blocks(work, begun.open, worker, world)
                                 : run_in_rounds(work, begun.open, begun.steps_of_each, worker, world);
    progress.finish();
    report_failures(worker, world);
  }
  std::vector<BlockResult> results;
  world.all_or_none([&] {
    for (const auto& item : work.blocks) results.push_back(read_result(work.folder, item.first, work.fingerprint));
  });
  return results;
}

void load_feature_maps(const models::VideoTransformer& model, const models::BlockMap& blocks,
                       const std::filesystem::path& folder, const std::string& fingerprint) {
  for (const auto& item : blocks) {
    block_folder(folder, item.first, fingerprint).require_intact();
    const std::filesystem::path path = folder / (block_name(item.first) + ".safetensors");
    assign_exactly(feature_maps(model, item.first), *open_safetensors({path}, path.string()));
  }
}

}  // namespace rehyat::distill
