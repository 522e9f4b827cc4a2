#include "core/units.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/expect_error.h"

namespace rehyat {
namespace {

TEST(Units, NumbersForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999'950), "1.0 MB");
  EXPECT_EQ(human_bytes(604'000'000'000), "604 GB");
  EXPECT_EQ(human_seconds(0.25), "0.2 s");
  EXPECT_EQ(human_seconds(9.99), "10.0 s");
  EXPECT_EQ(human_seconds(59.6), "1 min 0 s");
  EXPECT_EQ(human_seconds(750), "12 min 30 s");
  EXPECT_EQ(human_seconds(3600), "1 h 0 min");
  EXPECT_EQ(human_seconds(90'000), "1 d 1 h");
  EXPECT_EQ(human_seconds(-1), "?");
  EXPECT_EQ(human_seconds(1e300), "?");
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(1'418'996'800), "1,418,996,800");
  EXPECT_EQ(human_count(-1234), "-1,234");
  EXPECT_EQ(human_count(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(Units, SizesAreParsedWithTheirUnit) {
  EXPECT_EQ(parse_bytes("1000", "quota"), 1000);
  EXPECT_EQ(parse_bytes("500GB", "quota"), 500'000'000'000);
  EXPECT_EQ(parse_bytes(" 64 MiB ", "quota"), 64 << 20);
  EXPECT_EQ(parse_bytes("1.5k", "quota"), 1500);
  EXPECT_EQ(parse_bytes("0", "quota"), 0);
  for (const char* bad : {"", "GB", "-1", "1 XB", "1 GBB", "1e99", "nan", "inf", "1 GB extra", "10000000 TB"}) {
    testing::expect_error<UserError>([&] { parse_bytes(bad, "quota"); }, {"quota", "500GB"});
  }
}

TEST(Units, OperationsSharesAndDigits) {
  EXPECT_EQ(human_flop(0), "0 FLOP");
  EXPECT_EQ(human_flop(4.3), "4.30 TFLOP");
  EXPECT_EQ(human_flop(0.000021), "21.0 MFLOP");
  EXPECT_EQ(human_flop(99.96), "100 TFLOP");
  EXPECT_EQ(human_flop(123'456), "123 PFLOP");
  EXPECT_EQ(human_flop(3e9), "3000 EFLOP");
  EXPECT_EQ(human_flop(NAN), "-");
  EXPECT_EQ(human_share(0.0509), "5.1 %");
  EXPECT_EQ(human_share(1), "100 %");
  EXPECT_EQ(human_number(0.53208485), "0.5321");
  EXPECT_EQ(human_number(1e-9), "1e-09");
  EXPECT_EQ(human_number(INFINITY), "-");
}

}  // namespace
}  // namespace rehyat
