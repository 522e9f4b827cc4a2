#!/usr/bin/env python3
"""The same finetuning in bf16 and in float32, and how far their loss curves are apart.

    python scripts/precision_curves.py --rehyat build/release/bin/rehyat [--config configs/demo.yaml] [--steps 2000]
                                       [--out TABLE.md] [KEY=VALUE ...]

What finetuning reads (dataset, teacher, feature maps) is made first where it is not there, in float32; then both trainings run
side by side on the same clips, noise and levels, so that nothing but rounding differs. KEY=VALUE are settings of the config.
Exit code 1: the smoothed curves, or the held-out losses, are further apart than --tolerance. Under a minute on an H100."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

TYPES = ("f32", "bf16")
POINTS = 12  # rows of the table
BARS = "▁▂▃▄▅▆▇█"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehyat", required=True, help="the program")
    parser.add_argument("--config", default=str(pathlib.Path(__file__).resolve().parents[1] / "configs/demo.yaml"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--window", type=int, default=100, help="steps that a smoothed value is the mean of")
    parser.add_argument("--tolerance", type=float, default=0.02, help="of the smoothed curves, relative")
    parser.add_argument("--out", help="the table, Markdown")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    return parser.parse_args()


class Runs:
    def __init__(self, args):
        self.args = args
        first = [f"{section}.precision=f32" for section in ("pretrain", "cache", "distill")]
        last = [f"finetune.iterations={args.steps}", f"finetune.checkpoint_every={10**6}", "finetune.log_every=1"]
        self.common = ["-c", args.config, f"run.device={args.device}", *first, *last, *args.settings]

    def start(self, stage, *words):
        # Two programs side by side, of which each would take all cores, hinder one another.
        few = {"OMP_NUM_THREADS": str(max(1, min(4, (os.cpu_count() or 2) // 2)))}
        return subprocess.Popen([self.args.rehyat, stage, *self.common, *words, "--json"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env={**few, **os.environ})

    @staticmethod
    def result(process, stage):
        out, said = process.communicate()
        if process.returncode != 0:
            lines = said.strip().splitlines()
            sys.exit(f"precision_curves: rehyat {stage}: {lines[-1] if lines else 'it said nothing'}")
        return json.loads(out)

    def curves(self):
        """By type: the loss of each step, and the result of the stage."""
        plan = self.result(self.start("pretrain", "--dry-run"), "pretrain")  # a dataset is found without its videos
        for stage in ("prepare", "pretrain", "cache", "distill"):
            if stage == "prepare" and plan.get("reads", {}).get("prepare"):
                continue
            began = time.time()
            self.result(self.start(stage), stage)
            print(f"-- {stage}: {time.time() - began:.0f} s", flush=True)
        started = {name: self.start("finetune", f"finetune.precision={name}") for name in TYPES}
        out = {}
        for name, process in started.items():
            result = self.result(process, "finetune")
            lines = (pathlib.Path(result["folder"]) / "metrics.jsonl").read_text().splitlines()
            losses = {line["step"]: line["loss"] for line in map(json.loads, lines) if "loss" in line and "ms" in line}
            if len(losses) != self.args.steps:
                sys.exit(f"precision_curves: {result['folder']}: found {len(losses)} steps, expected {self.args.steps}")
            out[name] = ([losses[step] for step in sorted(losses)], result)
        return out


def smoothed(losses, window):
    """The mean of each stretch of so many steps, without overlap."""
    return [sum(losses[i : i + window]) / window for i in range(0, len(losses) - window + 1, window)]


def line_of(values):
    least, most = min(values), max(values)
    return "".join(BARS[int((value - least) / (most - least or 1) * (len(BARS) - 1))] for value in values)


def held_out(result):
    """The first loss on held-out points that a result tells, by any name."""
    for key, value in result.items():
        if isinstance(value, (int, float)) and "loss" in key:
            return key, value
    return None, None


def main():
    args = arguments()
    if args.steps < 2 * args.window:
        sys.exit(f"precision_curves: --steps: found {args.steps}, expected at least twice --window, {2 * args.window}")
    start = time.time()
    found = Runs(args).curves()
    curves = {name: smoothed(found[name][0], args.window) for name in TYPES}
    apart = [abs(b - a) / a for a, b in zip(curves["f32"], curves["bf16"])]
    each = sum(abs(b - a) / a for a, b in zip(found["f32"][0], found["bf16"][0])) / args.steps
    lines = [f"## {args.steps} finetuning steps of {pathlib.Path(args.config).name} in bf16 and float32", "",
             f"By `scripts/precision_curves.py` on {args.device} in {time.time() - start:.0f} s; means of {args.window} steps each.",
             "", "| step | float32 | bf16 | apart |", "|---|---|---|---|"]
    for i in sorted({round(k * (len(apart) - 1) / (POINTS - 1)) for k in range(POINTS)}):
        lines.append(f"| {(i + 1) * args.window} | {curves['f32'][i]:.5f} | {curves['bf16'][i]:.5f} | {100 * apart[i]:.2f} % |")
    lines += ["", f"float32 `{line_of(curves['f32'])}`, bf16 `{line_of(curves['bf16'])}`.",
              f"Apart at most {100 * max(apart):.2f} %, in the mean {100 * sum(apart) / len(apart):.2f} %; single steps "
              f"{100 * each:.2f} % in the mean."]
    worst = max(apart)
    key, plain = held_out(found["f32"][1])
    if key:
        half = found["bf16"][1][key]
        worst = max(worst, abs(half - plain) / plain)
        lines.append(f"Held-out `{key}`: float32 {plain:.5f}, bf16 {half:.5f}, {100 * abs(half - plain) / plain:.2f} % apart.")
    text = "\n".join(lines) + "\n"
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(text)
    if not worst <= args.tolerance:
        sys.exit(f"precision_curves: found {100 * worst:.2f} % between the curves, expected at most {100 * args.tolerance:.2g} %")


if __name__ == "__main__":
    main()
