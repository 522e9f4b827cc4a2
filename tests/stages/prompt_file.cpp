#include "stages/prompt_file.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::stages {
namespace {

TEST(PromptFile, PromptsOfEveryEditorAreTheSame) {
  const testing::TempFolder folder;
  const std::vector<std::string> expected = {"a red cat", "a blue dog"};
  for (const char* content : {"a red cat\na blue dog\n",
                              "\xEF\xBB\xBF"
                              "a red cat\r\na blue dog\r\n"}) {
    write_file_atomic(folder / "prompts.txt", content);
    EXPECT_EQ(read_prompts(folder / "prompts.txt"), expected);
  }
  write_file_atomic(folder / "prompts.txt", std::string("\xFF\xFE"
                                                        "a\0 \0r\0e\0d\0\n\0",
                                                        14));
  testing::expect_error<UserError>([&] { read_prompts(folder / "prompts.txt"); },
                                   {"prompts.txt: found text in UTF-16", "iconv -f UTF-16 -t UTF-8"});
}

}  // namespace
}  // namespace rehyat::stages
