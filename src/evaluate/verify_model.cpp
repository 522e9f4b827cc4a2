#include "evaluate/verify_model.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/strings.h"
#include "models/hybrid.h"
#include "tensor/random.h"

namespace rehyat::evaluate {
namespace {

using models::AttentionForm;

constexpr std::int64_t kSlices = 23;  // a remainder for every chunk size above 1
constexpr std::int64_t kPatches = 4;  // along height and width, at most
constexpr std::int64_t kWords = 16;   // of the text, at most
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A folder of our own in the system's place for temporary files, removed in the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rehyat-verify-XXXXXX").string();
    require(::mkdtemp(pattern.data()) != nullptr, [&] {
      return cat(pattern, ": found no right to make a folder there, expected a place for temporary files; set TMPDIR");
    });
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A NaN on either side counts as infinitely far.
double relative(const at::Tensor& found, const at::Tensor& expected) {
  const double largest = expected.abs().max().item<double>(),
               difference = (found - expected).abs().max().item<double>();
  if (!std::isfinite(difference) || !std::isfinite(largest)) return kInfinity;
  return largest > 0 ? difference / largest : difference;
}

bool same_after_reload(const models::VideoTransformer& model, const models::ModelRegistry& families) {
  const TemporaryFolder folder;
  const auto expected = model->tensors(models::Weights::all);
  std::uint64_t bytes = 1 << 20;
  for (const auto& item : expected) bytes += static_cast<std::uint64_t>(item.second.numel()) * 4;
  require_space(folder.path(), bytes, "a copy of the model to read back (set TMPDIR to another place)");
  families.save(folder.path() / "model", model);
  const models::VideoTransformer again = families.load(folder.path() / "model");
  const auto found = again->tensors(models::Weights::all);
  return models::block_map_of(model) == models::block_map_of(again) &&
         std::equal(expected.begin(), expected.end(), found.begin(), found.end(), [](const auto& a, const auto& b) {
           return a.first == b.first && at::equal(a.second.to(at::kCPU), b.second);
         });
}

/// Why the model cannot show that its forms are equal; empty where it can.
struct Obstacles {
  std::string recurrent, chunk_by_chunk;
};

Obstacles obstacles_of(const models::VideoTransformer& model) {
  Obstacles out;
  const std::vector<ops::AttentionSpec> blocks = model->attention_specs();
  const auto is = [&](std::size_t i) { return cat("block ", i, " is ", ops::to_string(blocks[i])); };
  bool converted = false;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    converted = converted || blocks[i].converted();
    if (blocks[i].converted() && !blocks[i].recurrent() && out.recurrent.empty())
      out.recurrent = is(i) + ", which has no recurrent form";
  }
  if (!converted) out.recurrent = "no block is converted, so that every form is the same";
  const ops::ChunkByChunk way = ops::chunk_by_chunk(blocks);
  if (way.unable) {
    out.chunk_by_chunk =
        cat(is(*way.unable), "; chunk by chunk needs ", ops::recurrent_kinds(), " attention in every block");
  } else if (!way.possible()) {
    out.chunk_by_chunk = "the blocks differ in chunk size";
  }
  return out;
}

struct Inputs {
  at::Tensor x, time, text;
};

at::Tensor run_by_chunks(const models::VideoTransformer& model, const Inputs& in, std::int64_t tc) {
  auto states = model->make_states(in.x.size(3), in.x.size(4));
  std::vector<at::Tensor> chunks;
  const std::int64_t thickness = model->architecture().patch[0];
  for (const ops::Chunk& chunk : ops::chunks_of(in.x.size(2) / thickness, tc, 0)) {
    models::ForwardOptions options;
    options.states = &states;
    options.first_slice = chunk.queries.begin;
    chunks.push_back(model->forward(in.x.narrow(2, chunk.queries.begin * thickness, chunk.queries.size() * thickness),
                                    in.time, in.text, options));
  }
  return at::cat(chunks, 2);
}

/// All comparisons of the attention that the blocks have now, into `row`.
void compare_forms(const models::VideoTransformer& model, const Inputs& in, FormErrors& row, VerifyResult& result,
                   Progress& progress) {
  const Obstacles obstacles = obstacles_of(model);
  const auto run = [&](AttentionForm form) {
    models::ForwardOptions options;
    options.form = form;
    return model->forward(in.x, in.time, in.text, options);
  };
  const at::Tensor expected = run(AttentionForm::parallel);
  const auto compared = [&](bool applies, const std::function<at::Tensor()>& other) {
    std::optional<double> out;
    if (applies) out = result.take(relative(other(), expected));
    progress.advance();
    return out;
  };
  row.chunked_vs_reference = compared(true, [&] { return run(AttentionForm::reference); });
  row.recurrent_vs_parallel = compared(obstacles.recurrent.empty(), [&] { return run(AttentionForm::recurrent); });
  row.chunk_by_chunk_vs_parallel = compared(obstacles.chunk_by_chunk.empty(), [&] {
    return run_by_chunks(model, in, model->attention(0)->attention().spec.recurrence()->chunk);
  });
}

bool has_pattern(const ops::AttentionSpec& spec) {
  return spec.value("tc") && spec.value("to");
}

/// Another pattern for every block that has one; whether there is any.
bool set_pattern(const models::VideoTransformer& model, std::int64_t tc, std::int64_t to) {
  bool any = false;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    ops::AttentionSpec spec = model->attention(i)->attention().spec;
    if (!has_pattern(spec)) continue;
    spec.tc = tc;
    spec.to = to;
    model->attention(i)->set_spec(spec);
    any = true;
  }
  return any;
}

/// tc and to of the checkpoint, where its blocks agree on them.
FormErrors own_pattern(const models::VideoTransformer& model) {
  std::set<std::pair<std::int64_t, std::int64_t>> patterns;
  for (const auto& item : models::block_map_of(model)) {
    if (has_pattern(item.second.spec)) patterns.emplace(item.second.spec.tc, item.second.spec.to);
  }
  FormErrors row;
  row.own = true;
  if (patterns.size() == 1) {
    row.tc = patterns.begin()->first;
    row.to = patterns.begin()->second;
  }
  return row;
}

}  // namespace

VerifyResult verify_model(const models::VideoTransformer& model, const models::ModelRegistry& families,
                          std::array<std::int64_t, 2> latent_size, std::uint64_t seed) {
  const at::NoGradGuard no_grad;
  log::info("verify: reading back what is saved");
  VerifyResult result;
  result.reload_equal = same_after_reload(model, families);
  if (!result.reload_equal) result.take(kInfinity);

  const models::Architecture& sizes = model->architecture();
  const std::int64_t slices = kSlices * sizes.patch[0], height = std::min(latent_size[0], kPatches * sizes.patch[1]),
                     width = std::min(latent_size[1], kPatches * sizes.patch[2]);
  model->to(at::kDouble);
  const auto device = model->tensors(models::Weights::teacher).front().second.device();
  Rng rng(seed, "verify");
  Inputs in;
  in.x = randn(rng, {1, sizes.channels, slices, height, width}).to(device, at::kDouble);
  in.text = randn(rng, {1, std::min(sizes.text_tokens, kWords), sizes.text_width}).to(device, at::kDouble);
  in.time = at::full({1}, 500.0, in.x.options().dtype(at::kFloat));

  const Obstacles obstacles = obstacles_of(model);
  const models::BlockMap own = models::block_map_of(model);
  const std::vector<std::pair<std::int64_t, std::int64_t>> patterns = {{1, 0}, {2, 1}, {3, 1}, {5, 3}, {3, 4}};
  const bool has_patterns =
      std::any_of(own.begin(), own.end(), [](const auto& item) { return has_pattern(item.second.spec); });
  Progress progress("verify", 3 * static_cast<std::int64_t>(1 + (has_patterns ? patterns.size() : 0)), "comparisons");
  const auto add = [&](FormErrors row) {
    row.slices = kSlices;
    compare_forms(model, in, row, result, progress);
    result.forms.push_back(row);
  };
  add(own_pattern(model));
  for (const auto& [tc, to] : patterns) {
    if (!set_pattern(model, tc, to)) continue;
    FormErrors row;
    row.tc = tc;
    row.to = to;
    add(row);
  }
  progress.finish();
  for (const auto& [block, attention] : own) model->attention(block)->set_spec(attention.spec);

  result.latent = {slices, height, width};
  if (!obstacles.recurrent.empty()) result.not_applicable.recurrent_vs_parallel = obstacles.recurrent;
  if (!obstacles.chunk_by_chunk.empty()) result.not_applicable.chunk_by_chunk_vs_parallel = obstacles.chunk_by_chunk;
  if (!has_patterns) result.not_applicable.other_patterns = "no block has an attention with tc and to";
  return result;
}

VerifyResult verify_folder(const std::filesystem::path& path, const models::ModelRegistry& families, at::Device device,
                           double tolerance) {
  const models::VideoTransformer model = families.load(path, {.device = device});
  const auto most = std::numeric_limits<std::int64_t>::max();  // the check's own
  VerifyResult result = verify_model(model, families, {most, most}, 0);
  result.model = path.string();
  result.tolerance = tolerance;
  return result;
}

}  // namespace rehyat::evaluate
