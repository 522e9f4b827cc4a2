#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rehyat::report {

/// `text` for use in an element or a quoted attribute; control characters that HTML forbids are dropped.
std::string escape_html(std::string_view text);

/// RFC 4648 with padding.
std::string base64(std::string_view bytes);

/// `value` with `digits` significant digits, whatever the locale; "–" where it is not finite.
std::string number(double value, int digits = 4);

/// The same with the zeros at the end, so that the numbers of a column show how exactly they are told: "4.300".
std::string significant(double value, int digits = 4);

/// `value` with `decimals` digits after the point; for coordinates and tick labels.
std::string fixed(double value, int decimals);

/// Writes HTML and inline SVG. Text and attribute values are escaped here and nowhere else, and what is opened is
/// closed in order, so a page cannot be broken by what it shows.
class Markup {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

  Markup& open(std::string_view name, Attributes attributes = {});
  Markup& close();
  Markup& text(std::string_view text);
  /// open, text, close.
  Markup& element(std::string_view name, Attributes attributes, std::string_view text = {});
  /// An HTML element that has no end tag: meta, img.
  Markup& empty(std::string_view name, Attributes attributes);
  /// Our own constants only: nothing is escaped.
  Markup& raw(std::string_view trusted);

  /// The text; every element must have been closed.
  std::string finish();

 private:
  void start_tag(std::string_view name, Attributes attributes);

  std::string out_;
  std::vector<std::string> open_;
};

}  // namespace rehyat::report
