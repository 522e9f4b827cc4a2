#!/usr/bin/env python3
"""The Wan2.1 video VAE with random weights: diffusers' AutoencoderKLWan beside `bench_vae`, encode and decode of one video,
in one run on one device.

    python tests/bench/vae_peers.py --bench build/release/bin/bench_vae [--json FILE]

Needs torch and diffusers 0.42 (pure Python: PYTHONPATH may name the unpacked wheel). Prints the median seconds, the peak
memory that was allocated, and the ratio to diffusers with the same type and tiles. A peer that fails is a row that says
why."""
import argparse
import json
import statistics
import subprocess
import time

import torch

# Name of a row in bench_vae: type, whether its products are rounded to tf32, tiles.
ROWS = {"bf16": (torch.bfloat16, True, False), "tf32": (torch.float32, True, False),
        "f32": (torch.float32, False, False), "bf16_tiled": (torch.bfloat16, True, True)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the program bench_vae")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--json", help="also write the rows to this file")
    return parser.parse_args()


def timed(run, passes, device):
    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    run()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(passes):
        wait()
        start = time.perf_counter()
        run()
        wait()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "least": min(seconds), "most": max(seconds),
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None}


def diffusers_row(args, device, row, work):
    from diffusers import AutoencoderKLWan

    dtype, tf32, tiled = ROWS[row]
    torch.backends.cudnn.allow_tf32 = tf32
    with torch.device(device):
        vae = AutoencoderKLWan().to(dtype).eval()
    if tiled:
        vae.enable_tiling()
    with torch.no_grad():
        if work == "encode":
            video = torch.rand(1, 3, args.frames, args.height, args.width, device=device).to(dtype) * 2 - 1
            return timed(lambda: vae.encode(video), args.passes, device)
        latents = torch.randn(1, 16, 1 + (args.frames - 1) // 4, args.height // 8, args.width // 8, device=device)
        latents = latents.to(dtype)
        return timed(lambda: vae.decode(latents, return_dict=False), args.passes, device)


def ours_rows(args):
    command = [args.bench, f"--frames={args.frames}", f"--height={args.height}", f"--width={args.width}",
               f"--passes={args.passes}", f"--benchmark_filter=/({'|'.join(args.rows)})/", "--benchmark_format=json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    out = {}
    for found in json.loads(done.stdout)["benchmarks"]:
        work, row = found["name"].split("/")[:2]
        out[work, row] = {"error": found["error_message"]} if found.get("error_occurred") else {
            "seconds": found["real_time"] / 1e3, "least": found["least"], "most": found["most"],
            "peak_bytes": found["peak_bytes"]}
    return out


def guarded(run):
    try:
        return run()
    except Exception as error:  # a row of the table, not the end of it
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}


def main():
    args = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}; {args.frames} frames at {args.height} x {args.width}; median of "
          f"{args.passes} after 1")
    print(f"{'':<30} {'seconds':>9} {'to diffusers':>13} {'peak GB':>9}")
    rows, peers = {}, {}

    def show(label, row, base):
        rows[label] = row
        if "error" in row:
            print(f"{label:<30} {row['error']}", flush=True)
            return
        ratio = f"{row['seconds'] / base['seconds']:13.2f}" if base and "error" not in base else f"{'-':>13}"
        peak = f"{row['peak_bytes'] / 1e9:9.1f}" if row["peak_bytes"] else f"{'-':>9}"
        print(f"{label:<30} {row['seconds']:9.3f} {ratio} {peak}", flush=True)

    for row in args.rows:
        for work in ("encode", "decode"):
            peers[work, row] = guarded(lambda: diffusers_row(args, device, row, work))
            show(f"diffusers, {work} {row}", peers[work, row], peers[work, row])
    if device == "cuda":
        torch.cuda.empty_cache()
    ours = guarded(lambda: ours_rows(args))
    if "error" in ours:
        show("bench_vae", ours, None)
    else:
        for (work, row), found in ours.items():
            show(f"rehyat, {work} {row}", found, peers.get((work, row)))
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"device": name, "settings": vars(args), "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
