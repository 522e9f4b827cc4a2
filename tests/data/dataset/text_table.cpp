#include "data/dataset/text_table.h"

#include <gtest/gtest.h>

#include <optional>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"

namespace rehyat::data {
namespace {

using testing::expect_error;
using testing::world;

constexpr std::int64_t kLength = 6, kWidth = 3;

/// As many rows as the prompt has letters, then zeros; counts what it is asked for.
class LetterEncoder : public models::TextEncoder {
 public:
  at::Tensor encode(const std::vector<std::string>& prompts) override {
    at::Tensor out = at::zeros({static_cast<std::int64_t>(prompts.size()), kLength, kWidth});
    for (std::size_t i = 0; i < prompts.size(); ++i) out[static_cast<std::int64_t>(i)].copy_(embedding(prompts[i]));
    asked += prompts.size();
    if (fails) throw UserError("the encoder's own failure");
    return out;
  }
  std::string fingerprint() const override { return "letters"; }

  static at::Tensor embedding(const std::string& prompt) {
    at::Tensor out = at::zeros({kLength, kWidth});
    for (std::size_t i = 0; i < prompt.size(); ++i) out[static_cast<std::int64_t>(i)].fill_(prompt[i]);
    return out;
  }

  std::size_t asked = 0;
  bool fails = false;
};

/// The empty prompt, every length up to the longest, a zero row between others, and more prompts than a batch holds.
std::vector<std::string> captions() {
  std::vector<std::string> out = {"", "a", "abcdef", std::string("a\0b", 3)};
  for (char c = 'A'; c <= 'Z'; ++c)
    for (const char* more : {"", "x", "xyz"}) out.push_back(std::string(1, c) + more);
  return out;
}

class TextTableTest : public ::testing::Test {
 protected:
  TextTableTest() {
    if (world().rank() == 0) folder_.emplace();
    path_ = world().broadcast(folder_ ? folder_->path().string() : "", 0);
  }
  void TearDown() override { world().barrier(); }

  nlohmann::ordered_json write(const std::vector<std::string>& captions) {
    return write_text_table(captions, {encoder_, path_, "prepare", {}}, world());
  }
  /// Captions that all ranks together have encoded since the last call.
  double asked() {
    double all = 0;
    for (const double of_rank : world().all_gather(static_cast<double>(encoder_.asked))) all += of_rank;
    encoder_.asked = 0;
    return all;
  }

  std::optional<testing::TempFolder> folder_;
  std::filesystem::path path_;
  LetterEncoder encoder_;
};

TEST_F(TextTableTest, ReadsBackEveryEmbeddingPadded) {
  const std::vector<std::string> texts = captions();
  const TextTable table(path_, write(texts), "prepare");
  for (const bool again : {false, true}) {
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_TRUE(at::equal(table.at(i), LetterEncoder::embedding(texts[i]))) << texts[i] << ' ' << again;
  }
  EXPECT_ANY_THROW(table.at(texts.size()));
}

TEST_F(TextTableTest, LeavesOutThePadding) {
  const std::vector<std::string> texts = captions();
  write(texts);
  const Hdf5Reader file(path_ / "text.h5");
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto rows = std::max<std::int64_t>(static_cast<std::int64_t>(texts[i].size()), 1);
    EXPECT_EQ(file.read("text/" + std::to_string(i)).sizes().vec(), (std::vector<std::int64_t>{rows, kWidth}));
  }
}

TEST_F(TextTableTest, OnlyWhatIsMissingIsEncodedAgain) {
  const std::vector<std::string> texts = captions();
  const auto entry = write(texts);
  EXPECT_EQ(asked(), static_cast<double>(texts.size()));
  EXPECT_EQ(write(texts), entry);
  EXPECT_EQ(asked(), 0);
  world().all_or_none([&] {
    if (world().rank() != 0) return;
    for (const char* name : {"text.h5", "text-part-00001.h5"}) std::filesystem::remove(path_ / name);
  });
  EXPECT_EQ(write(texts), entry);
  EXPECT_EQ(asked(), 32);
  world().all_or_none([&] {
    if (world().rank() == 0) remove_text_parts(path_);
  });
  EXPECT_EQ(write(texts), entry);
  EXPECT_EQ(asked(), 0);
  std::vector<std::string> other = texts;
  other.back() = "other";
  const TextTable table(path_, write(other), "prepare");
  EXPECT_EQ(asked(), static_cast<double>(texts.size()));
  EXPECT_TRUE(at::equal(table.at(other.size() - 1), LetterEncoder::embedding("other")));
}

TEST_F(TextTableTest, AFailureOfOneRankEndsAll) {
  encoder_.fails = true;
  const std::vector<std::string> texts = captions();
  EXPECT_THROW(write(texts), UserError);
  EXPECT_FALSE(std::filesystem::exists(path_ / "text.h5"));
}

TEST_F(TextTableTest, AnotherFileIsRefused) {
  auto entry = write(captions());
  entry["bytes"] = 7;
  expect_error<UserError>([&] { TextTable(path_, entry, "prepare"); },
                          {"text.h5", "expected 7 bytes", "rehyat prepare"});
}

}  // namespace
}  // namespace rehyat::data
