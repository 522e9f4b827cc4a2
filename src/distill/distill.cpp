#include "distill/distill.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/strings.h"
#include "dist/work_queue.h"
#include "distill/block_task.h"
#include "models/wan/weights.h"
#include "tensor/error_text.h"
#include "train/loop.h"

namespace rehyat::distill {
namespace {

using json = nlohmann::ordered_json;

std::string block_name(std::int64_t block) {
  char name[24];
  std::snprintf(name, sizeof name, "phi-%05lld", static_cast<long long>(block));
  return name;
}

/// The feature maps of a block by their names in the whole model, sorted.
NamedTensors feature_maps(const models::WanTransformer& model, std::int64_t block) {
  NamedTensors out;
  const std::string prefix = cat("blocks.", block, ".");
  for (const auto& item : model->tensors(models::WanTransformerImpl::Which::phi)) {
    if (item.first.rfind(prefix, 0) == 0) out.push_back(item);
  }
  return out;
}

/// One block's student: the teacher's projections, new feature maps. The teacher itself stays as it is.
models::WanTransformer student_of(const models::WanTransformer& teacher, const models::BlockMap& blocks,
                                  std::int64_t block, std::uint64_t seed, const std::vector<std::int64_t>& latent) {
  models::WanConfig one = teacher->config();
  one.layers = 1;
  models::WanTransformer student(one);
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> source;
  for (const auto& [name, tensor] : teacher->tensors(models::WanTransformerImpl::Which::base)) source[name] = tensor;
  const std::string from = cat("blocks.", block, ".attn1.");
  for (auto& [name, tensor] : student->tensors(models::WanTransformerImpl::Which::base)) {
    if (name.rfind("blocks.0.attn1.", 0) == 0) tensor.copy_(source.at(from + name.substr(15)));
  }
  student->to(source.begin()->second.device());
  const std::int64_t patch = one.patch, per_slice = (latent[1] / patch) * (latent[2] / patch);
  const models::BlockAttention& attention = blocks.at(block);
  student->attention(0)->convert(attention, seed, block, models::window_tokens(attention.spec, latent[0], per_slice));
  return student;
}

/// Trains one block to its end and writes its file and its result, last.
void run_block(const models::WanTransformer& teacher, const models::BlockMap& blocks, std::int64_t block,
               const data::ActivationCache& cache, const DistillConfig& config, std::uint64_t seed,
               const std::string& fingerprint, const std::filesystem::path& folder,
               const std::function<void()>& on_step) {
  const auto start = std::chrono::steady_clock::now();
  models::WanTransformer student = student_of(teacher, blocks, block, seed, cache.latent());
  const auto& latent = cache.latent();
  BlockTask task(block, student->attention(0), student->rope({latent[0], latent[1], latent[2]}), cache, config, seed);
  const std::filesystem::path work = folder / block_name(block);
  make_folder(work);
  // Measured once and kept: a resumed training no longer has the untrained maps.
  const std::filesystem::path before = work / "before.json";
  if (!std::filesystem::exists(before))
    write_file_atomic(before,
                      json({{"window_only", task.window_only_error()}, {"untrained", task.error()}}).dump() + "\n");
  const json measured = read_json_object(before);
  std::int64_t reported = 0;
  train::Training training{cat("distill block ", block), work, fingerprint + block_name(block), true,
                           [&](std::int64_t step) {
                             for (; reported < step; ++reported) on_step();
                           }};
  const json after = train::train(task, config.train, training, dist::Communicator());
  NamedTensors named;
  for (const auto& [name, tensor] : feature_maps(student, 0))
    named.emplace_back(cat("blocks.", block, name.substr(8)), tensor.detach());
  write_tensors(folder / (block_name(block) + ".safetensors"), named,
                {{"attention", config::to_json(blocks.at(block)).dump()}});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const json result = {{"fingerprint", fingerprint},
                       {"window_only", measured.at("window_only")},
                       {"untrained", measured.at("untrained")},
                       {"distilled", after.at("error")},
                       {"seconds", seconds}};
  write_file_atomic(folder / (block_name(block) + ".json"), result.dump() + "\n");
}

BlockResult read_result(const std::filesystem::path& folder, std::int64_t block, const std::string& fingerprint) {
  const auto path = folder / (block_name(block) + ".json");
  JsonLimits limits;
  limits.hint = "remove the file to distil the block again";
  const json r = read_json_object(path, limits);
  const json found = r.value("fingerprint", json());
  require(found == fingerprint, [&] {
    return cat(path.string(), ": found a result of another distillation (", excerpt(found.dump()), "), expected ",
               fingerprint, "; remove the file to distil the block again");
  });
  try {
    return {block, r.at("window_only"), r.at("untrained"), r.at("distilled"), r.at("seconds")};
  } catch (const json::exception&) {
    throw UserError(path.string() + ": found a damaged result; remove the file to distil the block again");
  }
}

}  // namespace

std::vector<BlockResult> distill(const models::WanTransformer& teacher, const models::BlockMap& blocks,
                                 const data::ActivationCache& cache, const DistillConfig& config, std::uint64_t seed,
                                 const std::string& fingerprint, const std::filesystem::path& folder,
                                 const dist::Communicator& world) {
  std::vector<std::int64_t> open, all;
  world.together([&] {
    for (const auto& item : blocks) {
      all.push_back(item.first);
      require(std::find(cache.blocks().begin(), cache.blocks().end(), item.first) != cache.blocks().end(), [&] {
        return cat("[distill] block ", item.first,
                   ": found no activations of it in the cache, expected some; run `rehyat cache` for these blocks");
      });
      if (!std::filesystem::exists(folder / (block_name(item.first) + ".json"))) open.push_back(item.first);
    }
  });
  // Rank 0's view of the folder counts: all ranks must share the same list.
  open = parse_json(world.broadcast(json(open).dump(), 0), "distill").get<std::vector<std::int64_t>>();
  if (teacher->parameters().front().is_cpu()) at::set_num_threads(static_cast<int>(config.threads));
  dist::WorkQueue queue(world, static_cast<std::int64_t>(open.size()));
  std::string failures;
  bool stopped = false;
  // Rank 0 cannot see the others' steps; its bar counts its own part of the work.
  Progress progress(cat("distill (", open.size(), " blocks on ", world.size(), " ranks)"),
                    static_cast<std::int64_t>(open.size()) * config.train.iterations / world.size(), "steps");
  while (const auto job = queue.next()) {
    const std::int64_t block = open[static_cast<std::size_t>(*job)];
    try {
      run_block(teacher, blocks, block, cache, config, seed, fingerprint, folder, [&] {
        progress.advance(1, cat("block ", block));
        world.poll();  // the others' jobs are counted here, on rank 0
      });
      const BlockResult r = read_result(folder, block, fingerprint);
      log::info("distill block ", block, ": error ", r.untrained, " -> ", r.distilled, " (window alone ", r.window_only,
                "), ", human_seconds(r.seconds));
    } catch (const Stopped&) {
      stopped = true;
      break;
    } catch (const std::exception& error) {
      failures += cat(failures.empty() ? "" : "; ", "block ", block, " failed: ", message_of(error));
      log::error("distill block ", block, ": ", message_of(error));
    }
  }
  progress.finish();
  if (world.any(stopped)) throw Stopped("distill stopped; start the same command again to go on");
  std::string every;
  for (const std::string& text : world.all_gather(failures)) {
    if (!text.empty()) every += cat(every.empty() ? "" : "; ", text);
  }
  require(every.empty(), [&] {
    return cat("[distill] ", every,
               "; the other blocks are kept, and the same command runs only the failed ones again");
  });
  std::vector<BlockResult> results;
  world.together([&] {
    for (const std::int64_t block : all) results.push_back(read_result(folder, block, fingerprint));
  });
  return results;
}

void load_feature_maps(models::WanTransformer& model, const models::BlockMap& blocks,
                       const std::filesystem::path& folder, const std::string& fingerprint) {
  for (const auto& item : blocks) {
    read_result(folder, item.first, fingerprint);  // of this distillation
    const safetensors::Reader reader(folder / (block_name(item.first) + ".safetensors"));
    models::assign(feature_maps(model, item.first), reader);
  }
}

}  // namespace rehyat::distill
