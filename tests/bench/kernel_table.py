#!/usr/bin/env python3
"""A table, by group of kernels, of where a GPU's time went, from what Nsight Compute printed.

    ncu --csv --clock-control none --metrics gpu__time_duration.sum COMMAND > run.csv
    python tests/bench/kernel_table.py run.csv [--before older.csv] [--passes 3] [--title TEXT] [--kernels 5]

Prints Markdown: milliseconds and launches of each group, and of the longest kernels of it. `--passes` divides by the number of
passes that were profiled; `--before` shows an older file beside it."""
import argparse
import collections
import csv
import pathlib
import re
import sys

# The first that fits; by what the libraries and this project call their kernels.
GROUPS = [
    ("convolutions", r"implicit_(con|gemm)|xmma_(fprop|dgrad|wgrad)|_conv|conv(2d|3d)|im2col|nchwToNhwc|nhwcToNchw"),
    ("softmax attention", r"cudnn|flash_(fwd|bwd)|fmha|sdpa|row_maxima"),
    ("feature maps", r"MapRows|HopperWeight|features_of|::gradients_of|shares_of|of_shares|feature_map"),
    ("products", r"gemm|gemv|nvjet|cutlass|cublas|splitk|xmma"),
    ("linear branch and blend",
     r"blend|upstream|value_columns|fold_keys|sum_states|key_gradients|query_side|query_gradients|key_side"),
    ("norms, gates and activations of a block",
     r"stream_(forward|backward)|head_norm|gelu|modulated|gated|norm_rope|rms_norm|layer_norm|rope|channel_norm|biased_sum"
     r"|doubled_frames"),
    ("optimizer, loss and norms", r"adam|multi_tensor|lp_norm|NormTwo|distances|scale_packs"),
    ("copies and casts", r"copy|cat_?array|transpose|fill|memcpy|memset|cast"),
    ("other elementwise work and sums", r"."),
]
UNITS = {"nsecond": 1e-6, "ns": 1e-6, "usecond": 1e-3, "us": 1e-3, "msecond": 1.0, "ms": 1.0, "second": 1e3, "s": 1e3}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--before", help="the same of an older program")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--passes-before", type=int, help="of the older file (default: --passes)")
    parser.add_argument("--title", default="Where the time goes, by kernel")
    parser.add_argument("--kernels", type=int, default=3, help="longest kernels that are named of each group")
    return parser.parse_args()


def group_of(kernel):
    return next(name for name, pattern in GROUPS if re.search(pattern, kernel, re.IGNORECASE))


def short_name(kernel):
    """The name without the types of its arguments."""
    name = re.sub(r"^void ", "", kernel.strip())
    name = re.sub(r"\(.*", "", name) if "(anonymous" not in name else name.replace("(anonymous namespace)::", "")
    name = re.sub(r"<unnamed>::|at::native::|rehyat::(ops::)?|cuda::", "", re.sub(r"\(.*", "", name))
    name = re.sub(r"<.*", "", name) or name
    return name[:60]


def kernels_of(path):
    """(name, milliseconds) of every launch. Throws SystemExit where the file is not of ncu."""
    lines = pathlib.Path(path).read_text(errors="replace").splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        sys.exit(f"kernel_table: {path}: found no line of titles, expected what ncu --csv prints")
    rows, out = csv.DictReader(lines[start:]), []
    for row in rows:
        if row.get("Metric Name") == "gpu__time_duration.sum":
            value, unit = row["Metric Value"], row["Metric Unit"]
        elif row.get("gpu__time_duration.sum"):  # --page raw: a column a metric
            value, unit = row["gpu__time_duration.sum"], "ns"
        else:
            continue
        try:
            out.append((row["Kernel Name"], float(value.replace(",", "")) * UNITS[unit]))
        except (ValueError, KeyError):
            continue  # the line of units of --page raw
    if not out:
        sys.exit(f"kernel_table: {path}: found no gpu__time_duration.sum, expected --metrics gpu__time_duration.sum")
    return out


def sums_of(path, passes):
    """Of each group: milliseconds and launches a pass, and milliseconds by kernel."""
    groups = {name: [0.0, 0.0, collections.Counter()] for name, _ in GROUPS}
    for kernel, milliseconds in kernels_of(path):
        group = groups[group_of(kernel)]
        group[0] += milliseconds / passes
        group[1] += 1 / passes
        group[2][short_name(kernel)] += milliseconds / passes
    return groups


def main():
    args = arguments()
    now = sums_of(args.file, args.passes)
    before = sums_of(args.before, args.passes_before or args.passes) if args.before else None
    titles = ["", "ms", "share", "launches", *(["ms before"] if before else []), "longest, ms"]
    print(f"## {args.title}\n")
    print("| " + " | ".join(titles) + " |\n" + "|" + "---|" * len(titles))
    total = sum(group[0] for group in now.values())
    for name, (milliseconds, launches, kernels) in now.items():
        if not launches and not (before and before[name][1]):
            continue
        longest = ", ".join(f"`{kernel}` {time:.3g}" for kernel, time in kernels.most_common(args.kernels))
        cells = [name, f"{milliseconds:.3g}", f"{100 * milliseconds / total:.0f} %", f"{launches:.0f}",
                 *([f"{before[name][0]:.3g}"] if before else []), longest]
        print("| " + " | ".join(cells) + " |")
    cells = ["all", f"{total:.4g}", "100 %", f"{sum(group[1] for group in now.values()):.0f}",
             *([f"{sum(group[0] for group in before.values()):.4g}"] if before else []), ""]
    print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
