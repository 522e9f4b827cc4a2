#include "stages/published_model.h"

#include "core/strings.h"
#include "diffusion/scheduler_config.h"

namespace rehyat::stages {
namespace {

void add_part(config::Fields& f, const std::string& name, models::PartCost& part) {
  f.add(name + "_parameters", part.parameters, "of this part");
  f.add(name + "_macs_per_token", part.macs_per_token, "of each video token");
  f.add(name + "_macs_per_video", part.macs_per_video, "whatever the number of tokens");
}

void add_numbers(config::Fields& f, const std::string& name, models::HeldNumbers& numbers) {
  f.add(name + "_compute", numbers.compute, "numbers a token in the type of the matrix products");
  f.add(name + "_wide", numbers.wide, "numbers a token in float32");
}

PublishedModel read_published(const std::filesystem::path& weights, const models::ModelRegistry& families) {
  PublishedModel out;
  out.files = families.find(weights);
  out.architecture = families.read_architecture(out.files.transformer);
  if (!out.files.scheduler.empty()) out.sampler = diffusion::read_scheduler_config(out.files.scheduler);
  return out;
}

bool is_there(const std::filesystem::path& weights) {
  std::error_code ignored;
  return std::filesystem::exists(weights, ignored) &&
         !(std::filesystem::is_directory(weights, ignored) && std::filesystem::is_empty(weights, ignored));
}

}  // namespace

void PublishedModel::fields(config::Fields& f) {
  f.add("transformer", files.transformer, "folder or file");
  f.add("vae", files.vae, "folder or file; empty: none");
  f.add("text", files.text, "folder of text encoder and tokenizer; empty: none");
  f.add("scheduler", files.scheduler, "a scheduler_config.json; empty: none");
  models::Architecture& a = architecture;
  f.add("family", a.family, "of the model");
  f.add("dim", a.dim, "of the residual stream");
  f.add("layers", a.layers, "blocks");
  f.add("heads", a.heads, "of each self-attention");
  f.add("text_width", a.text_width, "of an embedding");
  f.add("text_tokens", a.text_tokens, "of a prompt");
  f.add("channels", a.channels, "of the latent, in");
  f.add("out_channels", a.out_channels, "of the latent, out");
  f.add("patch_slices", a.patch[0], "latent slices of a token");
  f.add("patch_rows", a.patch[1], "latent rows of a token");
  f.add("patch_columns", a.patch[2], "latent columns of a token");
  add_part(f, "block", a.block);
  add_part(f, "outside", a.outside);
  add_numbers(f, "saved_by_block", a.saved_by_block);
  add_numbers(f, "saved_outside", a.saved_outside);
  add_numbers(f, "backward_working", a.backward_working);
  f.section("sampler", sampler, "of the model's scheduler");
}

std::optional<PublishedModel> published_model(const std::filesystem::path& weights,
                                              const models::ModelRegistry& families, InputNotes& notes) {
  if (weights.empty()) return std::nullopt;
  std::optional<PublishedModel> read;
  const auto said = notes.said({"model", full_path(weights), weights, is_there(weights)}, [&] {
    read = read_published(weights, families);
    PublishedModel note = *read;
    for (std::filesystem::path* path :
         {&note.files.transformer, &note.files.vae, &note.files.text, &note.files.scheduler})
      *path = full_path(*path);
    return config::to_json(note);
  });
  return read ? read : config::from_json<PublishedModel>(said, cat("the note of ", weights.string()));
}

}  // namespace rehyat::stages
