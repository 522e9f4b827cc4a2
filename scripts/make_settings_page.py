#!/usr/bin/env python3
"""Writes docs/configuration.md: every key of a config with its default and meaning, as `rehyat run --help` tells them.

    python3 scripts/make_settings_page.py --rehyat build/release/bin/rehyat
    python3 scripts/make_settings_page.py --rehyat build/release/bin/rehyat --check   # exit code 1 where it is another
"""
import argparse
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs/configuration.md"
HEAD = """# Settings

Every key that a config may have, with its default. A key that is not here is refused, with the nearest one that is; so is
one that has no effect beside the others. Paths are relative to the folder in which the program is started; `~` is the home,
and a `$` is refused, for nothing would replace it. Sizes are bytes, which may be given as "500GB". A run's folder tells in
`resolved.yaml` what each key was in the end. On the command line keys are joined by dots:
`rehyat distill -c FILE.yaml distill.lr=3e-3`.

The keys of `model.architecture` are those of the family, for `wan`: `dim`, `layers`, `heads`, `ffn_dim`, `freq_dim`, `text_dim`,
`text_length`, `in_channels`, `out_channels`, `patch` and `eps`.

This page is written by `python3 scripts/make_settings_page.py --rehyat build/release/bin/rehyat`, from `rehyat run --help`.
"""


def settings(text):
    """(name, default, meaning) of each line of the help; a section has no default."""
    lines = text.split("Settings:\n")[1].split("\nExample:")[0].splitlines()
    lines = [line for line in lines if line.strip()]
    width = max(len(line.split()[0]) for line in lines) + 4
    for line in lines:
        rest = line[width:]
        value, meaning = "", rest.strip()
        if not rest.startswith(" "):
            value, meaning = (re.split(r" {2,}", rest, maxsplit=1) + [""])[:2]
        yield line.split()[0], value, meaning


def page(text):
    out = [HEAD]
    cell = lambda words: words.replace("|", "\\|").replace("<", "&lt;")
    for name, value, meaning in settings(text):
        top, _, rest = name.partition(".")
        if not rest:
            out.append(f"\n## {top}\n\n{meaning[:1].upper()}{meaning[1:]}.\n\n")
            out.append("| key | default | meaning |\n|---|---|---|\n")
            continue
        out.append(f"| `{rest}` | {f'`{cell(value)}`' if value else ''} | {cell(meaning)} |\n")
    return "".join(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehyat", required=True, help="the program")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where the page is another")
    arguments = parser.parse_args()
    text = page(subprocess.run([arguments.rehyat, "run", "--help"], check=True, capture_output=True, text=True).stdout)
    if not arguments.check:
        PAGE.write_text(text, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != text:
        old, new = PAGE.read_text(encoding="utf-8").splitlines(), text.splitlines()
        print("\n".join([f"-{line}" for line in old if line not in new] + [f"+{line}" for line in new if line not in old]))
        sys.exit(f"{PAGE.name} is not what the program says; run scripts/make_settings_page.py without --check")


if __name__ == "__main__":
    main()
