#include "stages/teacher.h"

#include <algorithm>
#include <memory>

#include "data/dataset/text_table.h"
#include "stages/setting_sides.h"

namespace rehyat::stages {

nlohmann::ordered_json trajectory_settings(Run& run) {
  nlohmann::ordered_json settings = deciding("cache", config::to_json(run.config().cache));
  if (!run.config().cache.prompts.empty()) settings["prompts"] = run.prompts().of_cache();
  return settings;
}

std::vector<std::string> prompts_come_from(Run& run) {
  if (!run.config().cache.prompts.empty()) return {};
  return {"prepare"};
}

std::pair<std::string, std::string> prompts_identity(Run& run) {
  if (!run.config().cache.prompts.empty()) return {"text encoder", run.encoders().text->fingerprint()};
  return {"prepare", run.folder("prepare").fingerprint()};
}

std::size_t prompt_count(Run& run) {
  const distill::CacheConfig& config = run.config().cache;
  const std::size_t all = config.prompts.empty()
                              ? run.dataset().open(run.folder("prepare")).captions(data::Split::train).size()
                              : run.prompts().of_cache().size();
  const auto most = static_cast<std::size_t>(config.max_prompts);
  const std::size_t count = most > 0 ? std::min(all, most) : all;
  distill::check_prompts(config, count);
  return count;
}

distill::Prompts teacher_prompts(Run& run, const StageFolder& folder, const std::string& command) {
  const comm::Communicator& world = run.world();
  std::size_t count = 0;
  std::vector<std::string> texts;
  world.all_or_none([&] {
    count = prompt_count(run);
    if (run.config().cache.prompts.empty()) return;
    texts = run.prompts().of_cache();
    texts.resize(count);
  });
  if (texts.empty()) {
    const data::LatentDataset& dataset = run.dataset().open(run.folder("prepare"));
    return {count,
            [&dataset, numbers = dataset.captions(data::Split::train)](std::size_t i) {
              return dataset.text(numbers.at(i));
            },
            dataset.empty_text()};
  }
  texts.insert(texts.begin(), "");
  const nlohmann::ordered_json entry =
      data::write_text_table(texts, {*run.encoders().text, folder.folder(), command, {}}, world);
  // They may be larger than the teacher, which comes next.
  run.encoders().release();
  std::shared_ptr<data::TextTable> table;
  world.all_or_none([&] {
    if (world.rank() == 0) data::remove_text_parts(folder.folder());
    table = std::make_shared<data::TextTable>(folder.folder(), entry, command);
  });
  return {count, [table](std::size_t i) { return table->at(i + 1); }, table->at(0)};
}

distill::TeacherWalk teacher_walk(Run& run, const models::VideoTransformer& teacher, distill::Prompts prompts) {
  return {teacher,
          run.config().cache,
          run.models().converted(),
          run.models().latent(),
          std::move(prompts),
          run.config().run.seed};
}

}  // namespace rehyat::stages
