#!/usr/bin/env python3
"""One forward pass of Wan2.1 1.3B's shape with arbitrary weights: diffusers, eager and compiled, and
`rehyat bench forward`, in one run on one device.

    python tests/bench/forward_peers.py --rehyat build/release/bin/rehyat [--json FILE]

Needs torch and diffusers 0.42 (pure Python: PYTHONPATH may name the unpacked wheel). Prints the median seconds, the peak
memory that was allocated, and the ratio to diffusers eager. A peer that fails is a row that says why."""
import argparse
import json
import statistics
import subprocess
import time

import torch


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehyat", required=True, help="the program")
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out, which takes a minute")
    parser.add_argument("--json", help="also write the rows to this file")
    return parser.parse_args()


def wait(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(run, args, device):
    for _ in range(args.warmup):
        run()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(args.repeats):
        wait(device)
        start = time.perf_counter()
        run()
        wait(device)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "least": min(seconds), "most": max(seconds),
            "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else None}


def diffusers_rows(args, device):
    from diffusers import WanTransformer3DModel
    from torch.nn.attention import SDPBackend, sdpa_kernel

    half = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device(device):
        model = WanTransformer3DModel(patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128,
                                      in_channels=16, out_channels=16, text_dim=4096, freq_dim=256, ffn_dim=8960,
                                      num_layers=args.layers).to(half).eval()
    latents = torch.randn(1, 16, 1 + (args.frames - 1) // 4, args.height // 8, args.width // 8, device=device,
                          dtype=half)
    text = torch.randn(1, 512, 4096, device=device, dtype=half)
    timestep = torch.tensor([500.0], device=device)
    # The fastest attention that PyTorch has on these cards; left to itself it may take another.
    backends = [SDPBackend.CUDNN_ATTENTION] if device == "cuda" else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
    with torch.no_grad(), sdpa_kernel(backends):
        yield "diffusers, eager", timed(lambda: model(latents, timestep, text, return_dict=False)[0], args, device)
        if args.no_compile:
            return
        compiled = torch.compile(model)
        yield "diffusers, compiled", timed(lambda: compiled(latents, timestep, text, return_dict=False)[0], args, device)


def rehyat_row(args, device, extra):
    command = [args.rehyat, "bench", "forward", "--json", "--device", device, "--layers", str(args.layers), "--frames",
               str(args.frames), "--height", str(args.height), "--width", str(args.width), "--repeats",
               str(args.repeats), "--warmup", str(args.warmup), *extra]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout)
    return {"seconds": found["seconds_median"], "least": found["seconds_min"], "most": found["seconds_max"],
            "peak_bytes": found["peak_bytes"] if device == "cuda" else None}


def rows(args, device):
    peers = diffusers_rows(args, device)
    while True:
        try:
            yield next(peers)
        except StopIteration:
            break
        except Exception as error:  # a row of the table, not the end of it
            yield "diffusers", {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
            break
    del peers
    if device == "cuda":
        torch.cuda.empty_cache()
    hybrid = ["--attention", "rehyat", "--tc", "3", "--to", "1"]
    for label, extra in (("rehyat, softmax", []), ("rehyat, rehyat(3,1)", hybrid),
                         ("rehyat, rehyat(3,1), recurrent", [*hybrid, "--form", "recurrent"])):
        try:
            yield label, rehyat_row(args, device, extra)
        except (RuntimeError, OSError) as error:
            yield label, {"error": str(error)}


def main():
    args = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}, torch {torch.__version__}; {args.layers} layers, {args.frames} frames at {args.height} x "
          f"{args.width}, {'bf16' if device == 'cuda' else 'f32'}; median of {args.repeats} after {args.warmup}")
    print(f"{'':<32} {'seconds':>9} {'to eager':>9} {'peak GB':>9}")
    all_rows, eager = {}, None
    for label, row in rows(args, device):
        all_rows[label] = row
        if "error" in row:
            print(f"{label:<32} {row['error']}", flush=True)
            continue
        eager = eager or row["seconds"] if label == "diffusers, eager" else eager
        ratio = f"{row['seconds'] / eager:9.2f}" if eager else f"{'-':>9}"
        peak = f"{row['peak_bytes'] / 1e9:9.1f}" if row["peak_bytes"] else f"{'-':>9}"
        print(f"{label:<32} {row['seconds']:9.3f} {ratio} {peak}", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump({"device": name, "settings": vars(args), "rows": all_rows}, file, indent=1)


if __name__ == "__main__":
    main()
