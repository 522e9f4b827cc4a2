#!/usr/bin/env python3
"""Makes the fixtures of the parity tests with the original libraries, or compares with them on larger models.

    python -m pip install torch==2.11.0 diffusers==0.42.1 transformers==5.24.0 ftfy==6.3.1 sentencepiece==0.2.3 \
        safetensors==0.8.0 accelerate protobuf
    python scripts/make_fixtures.py [NAME ...]                    # writes tests/fixtures/NAME; all without a name
    python scripts/make_fixtures.py --compare --rehyat build/release/bin/rehyat [NAME ...]

Each name is a module of scripts/fixtures with make(folder) and compare(rehyat, workdir). --compare prints a table of
every case with its largest relative difference and exits with 1 when one is above its tolerance."""
import argparse
import importlib
import importlib.metadata
import pathlib
import sys
import tempfile

VERSIONS = {"torch": "2.11.0", "diffusers": "0.42.1", "transformers": "5.24.0", "ftfy": "6.3.1",
            "sentencepiece": "0.2.3", "safetensors": "0.8.0"}
ROOT = pathlib.Path(__file__).resolve().parent.parent


def check_versions():
    for name, wanted in VERSIONS.items():
        try:
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != wanted:
            sys.exit(f"make_fixtures: {name}: found {found}, expected {wanted}; see the top of this file")


def modules(names):
    folder = pathlib.Path(__file__).resolve().parent / "fixtures"
    known = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
    for name in names:
        if name not in known:
            sys.exit(f"make_fixtures: found the name '{name}', expected some of {', '.join(known)}")
    sys.path.insert(0, str(folder.parent))
    return {name: importlib.import_module(f"fixtures.{name}") for name in names or known}


def compare(chosen, rehyat):
    missed = 0
    print(f"{'component':<12} {'case':<64} {'max rel':>10} {'max abs':>10} {'tolerance':>10}")
    for name, module in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            for row in module.compare(rehyat, pathlib.Path(folder)):
                missed += row["max_rel_error"] > row["tolerance"]
                absolute = row.get("max_abs_error", float("nan"))
                print(f"{name:<12} {row['case']:<64} {row['max_rel_error']:>10.2e} {absolute:>10.2e} "
                      f"{row['tolerance']:>10.1e}", flush=True)
    sys.exit(1 if missed else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="which components; all without one")
    parser.add_argument("--compare", action="store_true", help="compare larger random models instead")
    parser.add_argument("--rehyat", default="build/release/bin/rehyat", help="the program, for --compare")
    arguments = parser.parse_args()
    check_versions()
    chosen = modules(arguments.names)
    if arguments.compare:
        compare(chosen, arguments.rehyat)
    for name, module in chosen.items():
        target = ROOT / "tests" / "fixtures" / name
        target.mkdir(parents=True, exist_ok=True)
        module.make(target)
        print(f"{name}: written to {target.relative_to(ROOT)}", flush=True)


if __name__ == "__main__":
    main()
