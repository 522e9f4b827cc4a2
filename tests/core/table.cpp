#include "core/table.h"

#include <gtest/gtest.h>

#include "core/readable.h"

namespace rehyat {
namespace {

using json = nlohmann::ordered_json;

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  TextTable table({{"block"}, {"bytes", true}});
  table.row({"café", "1"}).row({"a", "12,345"});
  EXPECT_EQ(table.text("> "),
            "> block   bytes\n"
            "> café        1\n"
            "> a      12,345\n");
  EXPECT_EQ(TextTable({{"", true}, {""}}).row({"5", ""}).text(), "5\n");
}

TEST(Table, AListNamesItsValues) {
  EXPECT_EQ(TextList().add("disk", "1 GB").add("a step", "2 s").text("  "),
            "  disk    1 GB\n"
            "  a step  2 s\n");
}

TEST(Table, CharactersAreCountedNotBytes) {
  EXPECT_EQ(character_count("ϕ é x"), 5u);
  EXPECT_EQ(character_count("\xff\xfe"), 2u);
  EXPECT_EQ(padded("é", 3, true), "  é");
  EXPECT_EQ(padded("long", 2), "long");
}

TEST(Readable, NamesSayTheUnits) {
  EXPECT_EQ(readable_value("disk_bytes", 1'500'000), "1.5 MB");
  EXPECT_EQ(readable_value("disk_bytes_per_window", 2000), "2.0 kB");
  EXPECT_EQ(readable_value("seconds", 750.4), "12 min 30 s");
  EXPECT_EQ(readable_value("feature_map_parameters", 2'371'584), "2,371,584");
  EXPECT_EQ(readable_value("decode_share", 0.0509), "5.1 %");
  EXPECT_EQ(readable_value("tflops", 4.3), "4.30 TFLOP");
  EXPECT_EQ(readable_value("gpu_hours_per_video", 1.5), "1 h 30 min");
  EXPECT_EQ(readable_value("loss", 1.97984778881073), "1.97985");
  EXPECT_EQ(readable_value("step", 12'345), "12345");
  EXPECT_EQ(readable_value("whole", true), "yes");
  EXPECT_EQ(readable_value("time", nullptr), "-");
  EXPECT_EQ(readable_value("size", json({240, 416})), "[240, 416]");
}

TEST(Readable, ObjectsListsAndTables) {
  const json value = {{"type", "run"},
                      {"stages", {{{"stage", "cache-1"}, {"bytes", 12'000}}, {{"stage", "b"}, {"bytes", nullptr}}}},
                      {"nested", {{"a", 1}, {"long name", {"x", "y"}}}},
                      {"complete", false}};
  EXPECT_EQ(readable(value),
            "type      run\n"
            "stages\n"
            "  stage      bytes\n"
            "  cache-1  12.0 kB\n"
            "  b              -\n"
            "nested\n"
            "  a          1\n"
            "  long name  [x, y]\n"
            "complete  no");
  EXPECT_EQ(readable(json("text")), "text");
  EXPECT_EQ(readable(json{{"a\x1b[2J", "b\n\x1b[31m"}}), "a\\x1B[2J  b\\x0A\\x1B[31m");
  EXPECT_EQ(readable(json::object()), "");
}

}  // namespace
}  // namespace rehyat
