#include "core/system_reason.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace rehyat {
namespace {

TEST(SystemReason, SaysTheSystemsWordsAndHowToMendThem) {
  EXPECT_EQ(system_reason(ENOSPC, Access::write), "No space left on device; free some space or choose another folder");
  EXPECT_NE(system_reason(EACCES, Access::write).find("may be written to"), std::string::npos);
  EXPECT_NE(system_reason(EACCES, Access::read).find("check the rights"), std::string::npos);
  EXPECT_EQ(system_reason(EACCES, Access::read).find("written"), std::string::npos);
}

TEST(SystemReason, AnUnknownNumberIsToldAsItIs) {
  EXPECT_EQ(system_reason(9999, Access::read), "Unknown error 9999");
  EXPECT_NE(system_reason(524, Access::read).find("not supported (error 524)"), std::string::npos);
}

TEST(SystemReason, TheNumbersOfFileSystemsWithoutLocks) {
  for (const int error : {37, 38, 95, 524}) EXPECT_TRUE(means_no_locks(error)) << error;
  for (const int error : {EACCES, EWOULDBLOCK, EIO}) EXPECT_FALSE(means_no_locks(error)) << error;
}

}  // namespace
}  // namespace rehyat
