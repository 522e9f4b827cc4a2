#pragma once

#include <string>
#include <string_view>

namespace rehyat::text {

/// Changes with every change of clean_prompt: part of the fingerprint of embeddings.
constexpr std::string_view kCleaningVersion = "ftfy-6.3.1-html-spaces-1";

/// What ftfy.fix_text does with its default settings (6.3.1): line by line entities (unless the text has a "<"), wrong
/// decodings, C1 controls, ligatures, widths, quotes, line breaks, surrogates, terminal escapes, control characters and
/// NFC, again and again until nothing changes.
std::u32string fix_text(std::u32string_view text);

/// A prompt as diffusers' WanPipeline reads it: fix_text, HTML unescaped twice, white space collapsed and trimmed.
/// Throws UserError if the text is no UTF-8.
std::string clean_prompt(std::string_view prompt);

}  // namespace rehyat::text
