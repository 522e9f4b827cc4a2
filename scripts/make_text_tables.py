#!/usr/bin/env python3
"""Writes src/text/tables/*.cpp: the tables of characters that text cleaning needs, from Python's html.entities and
unicodedata and from the character sets and patterns of ftfy 6.3.1 (Apache-2.0), read out of its compiled expressions.

Usage: scripts/make_text_tables.py [--check]      (needs ftfy==6.3.1; --check only says whether the files are current)
"""
import html
import html.entities
import pathlib
import sys
import unicodedata

try:
    from re import _constants as rc, _parser as rp
except ImportError:  # Python before 3.11
    import sre_constants as rc
    import sre_parse as rp

import ftfy
import ftfy.badness
import ftfy.chardata
import re

FTFY = "6.3.1"
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "src/text/tables"
ALL = range(0x110000)


def members(item):
    """The code points that one element of an expression matches."""
    kind, value = item
    if kind is rc.LITERAL:
        return frozenset([value])
    if kind is rc.NOT_LITERAL:
        return frozenset(ALL) - {value}
    if kind is rc.ANY:
        return frozenset(ALL) - {10}
    if kind is rc.CATEGORY:
        letter = {rc.CATEGORY_SPACE: r"\s", rc.CATEGORY_WORD: r"\w", rc.CATEGORY_DIGIT: r"\d"}[value]
        return frozenset(c for c in ALL if re.match(letter, chr(c)))
    if kind is rc.RANGE:
        return frozenset(range(value[0], value[1] + 1))
    assert kind is rc.IN, item
    negate = value[0][0] is rc.NEGATE
    found = frozenset().union(*(members(v) for v in value[negate:]))
    return frozenset(ALL) - found if negate else found


def sequences(items):
    """Every fixed sequence of sets that a part of an expression stands for, as (anchored, [set, ...])."""
    done = [(False, [])]
    for item in items:
        kind, value = item
        if kind is rc.BRANCH:
            choices = [s for branch in value[1] for s in sequences(branch)]
        elif kind is rc.SUBPATTERN:
            choices = sequences(value[3])
        elif kind is rc.MAX_REPEAT:
            low, high, inner = value
            assert high <= 4, item
            single = sequences(inner)
            assert len(single) == 1
            choices = [(False, single[0][1] * n) for n in range(low, high + 1)]
        elif kind is rc.AT:
            assert value is rc.AT_BEGINNING
            choices = [(True, [])]
        else:
            choices = [(False, [members(item)])]
        done = [(a or b, left + right) for a, left in done for b, right in choices]
    return done


def ranges(points):
    out = []
    for c in sorted(points):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def rows(cells):
    """Cells in lines of at most 118 columns."""
    line, out = "   ", []
    for cell in cells:
        if len(line) + len(cell) + 1 > 118:
            out.append(line)
            line = "   "
        line += " " + cell
    return "\n".join(out + [line])


def code(c):
    return f"0x{c:X}"


def text(value):
    return 'U"' + "".join(f"\\U{ord(c):08X}" for c in value) + '"'


def table(kind, name, cells):
    function = name[1].lower() + re.sub("[A-Z]", lambda m: "_" + m.group().lower(), name[2:])
    return (f"static constexpr std::array<{kind}, {len(cells)}> {name} = {{{{\n{rows([c + ',' for c in cells])}\n}}}};\n"
            f"std::span<const {kind}> {function}() {{\n  return {name};\n}}\n")


def entities():
    named = {k[:-1]: v for k, v in html.entities.html5.items() if k.endswith(";")}
    bare = {k for k in html.entities.html5 if not k.endswith(";")}
    assert all(named[k] == html.entities.html5[k] for k in bare)
    cells = []
    for name in sorted(named):
        points = [ord(c) for c in named[name]] + [0]
        cells.append(f'{{"{name}", {code(points[0])}, {code(points[1])}, {str(name in bare).lower()}}}')
    return table("Entity", "kEntities", cells)


def upper_entities():
    extra = {k[1:-1]: v for k, v in ftfy.chardata.HTML_ENTITIES.items() if k[1:] not in html.entities.html5}
    return table("Replacement", "kUpperEntities",
                 [f'{{"{name}", {text(value)}}}' for name, value in sorted(extra.items())])


def encodings():
    out = []
    for name in ftfy.chardata.CHARMAP_ENCODINGS:
        high = bytes(range(0x80, 0x100)).decode(name)
        low = bytes(range(0x80)).decode(name)
        sloppy = low[0x1A] == "\ufffd"
        assert len(high) == len(set(high)) == 128
        assert all(ord(c) == i for i, c in enumerate(low) if i != 0x1A)
        out.append(f'{{"{name}", {str(sloppy).lower()}, {{\n{rows([code(ord(c)) + "," for c in high])}\n}}}}')
    return table("ByteEncoding", "kByteEncodings", out)


def invalid_references():
    cells = [f"{{{code(k)}, {code(ord(v))}}}" for k, v in sorted(html._invalid_charrefs.items())]
    dropped = ranges(html._invalid_codepoints)
    return (table("Mapping", "kReplacedReferences", cells) +
            table("Range", "kDroppedReferences", [f"{{{code(a)}, {code(b)}}}" for a, b in dropped]))


def character_maps():
    width = [f"{{{code(k)}, {text(v)}}}" for k, v in sorted(ftfy.chardata.WIDTH_MAP.items())]
    ligatures = [f"{{{code(k)}, {text(v)}}}" for k, v in sorted(ftfy.chardata.LIGATURES.items())]
    return table("Expansion", "kWidths", width) + table("Expansion", "kLigatures", ligatures)


def pattern_tables():
    bad = sequences(rp.parse(ftfy.badness.BADNESS_RE.pattern, ftfy.badness.BADNESS_RE.flags))
    detector = rp.parse(ftfy.chardata.UTF8_DETECTOR_RE.pattern, ftfy.chardata.UTF8_DETECTOR_RE.flags)
    (behind_kind, behind), (repeat_kind, repeat) = detector[0], detector[1]
    assert behind_kind is rc.ASSERT_NOT and behind[0] == -1 and repeat_kind is rc.MAX_REPEAT and len(detector) == 2
    assert repeat[0] == 1 and repeat[1] is rc.MAXREPEAT
    not_after = members(behind[1][0])
    utf8 = [s for _, s in sequences(repeat[2])]
    space = members((rc.CATEGORY, rc.CATEGORY_SPACE))
    digit = members((rc.CATEGORY, rc.CATEGORY_DIGIT))

    sets = [space, digit, not_after]
    for _, sequence in bad:
        sets += sequence
    for sequence in utf8:
        sets += sequence
    unique = list(dict.fromkeys(sets))
    assert len(unique) <= 128, len(unique)
    masks = [0] * 0x110000
    for bit, points in enumerate(unique):
        for c in points:
            masks[c] |= 1 << bit
    runs, begin = [], 0
    for c in range(1, 0x110001):
        if c == 0x110000 or masks[c] != masks[begin]:
            low, high = masks[begin] & (1 << 64) - 1, masks[begin] >> 64
            runs.append(f"{{{code(begin)}, {{0x{low:X}, 0x{high:X}}}}}")
            begin = c
    number = {points: bit for bit, points in enumerate(unique)}

    def cell(anchored, sequence):
        places = ", ".join(str(number[s]) for s in sequence)
        return f"{{{str(anchored).lower()}, {len(sequence)}, {{{places}}}}}"

    return (table("SetRun", "kSetRuns", runs) +
            table("SetPattern", "kBadPatterns", [cell(a, s) for a, s in bad]) +
            table("SetPattern", "kUtf8Patterns", [cell(False, s) for s in utf8]))


def source(tables):
    return f"""// Written by scripts/make_text_tables.py from Python's html.entities, unicodedata {unicodedata.unidata_version} and ftfy
// {FTFY} (Robyn Speer, https://github.com/rspeer/python-ftfy, Apache-2.0), whose characters and sequences of character
// sets are listed here as code points: change the script, not this file.
// clang-format off
#include "text/tables.h"

namespace rehyat::text {{

""" + "\n".join(tables) + "\n}  // namespace rehyat::text\n"


def main():
    if ftfy.__version__ != FTFY:
        sys.exit(f"make_text_tables: found ftfy {ftfy.__version__}, expected {FTFY}")
    files = {"html.cpp": [entities(), upper_entities(), invalid_references()],
             "characters.cpp": [encodings(), character_maps()],
             "mojibake.cpp": [pattern_tables()]}
    for name, tables in files.items():
        target, out = FOLDER / name, source(tables)
        if "--check" not in sys.argv[1:]:
            target.write_text(out)
            print(f"make_text_tables: {target}, {len(out.splitlines())} lines")
        elif not target.exists() or target.read_text() != out:
            sys.exit(f"make_text_tables: {target} is not what the script writes")


if __name__ == "__main__":
    main()
