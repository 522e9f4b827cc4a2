#!/usr/bin/env python3
"""What peers.py measures of other programs, one piece of work a process: what libraries offer for it in PyTorch.

    python tests/bench/peer_work.py attention [--quick] [--frames 81 --height 480 --width 832 --layers 30]

Prints one JSON object a row, {"name", "seconds", "least", "most", "peak_bytes"} or {"name", "error"}, as soon as it is
there. Needs torch; `forward` and `step` also diffusers 0.42."""
import argparse
import json
import math
import statistics
import time

import torch
import torch.nn.functional as functional

HEADS, WIDTH, FEATURES = 12, 128, 256  # of Wan2.1 1.3B and its feature maps


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=WORK)
    parser.add_argument("--quick", action="store_true", help="fewer patterns, and nothing that compiles for a minute")
    parser.add_argument("--frames", type=int, default=81)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--width", type=int, default=832)
    parser.add_argument("--layers", type=int, default=30)
    return parser.parse_args()


def on_gpu():
    return torch.cuda.is_available()


def device():
    return "cuda" if on_gpu() else "cpu"


def half():
    return torch.bfloat16 if on_gpu() else torch.float32


def wait():
    if on_gpu():
        torch.cuda.synchronize()


def show(name, **found):
    print(json.dumps({"name": name, **found}), flush=True)


def timed(name, run, repeats=5, warmup=2, shortest=0.02):
    """One row. A repeat of short work is as many runs as take 20 ms together, as in `rehyat bench`."""
    try:
        last = shortest
        for _ in range(warmup):
            wait()
            start = time.perf_counter()
            run()
            wait()
            last = time.perf_counter() - start
        if on_gpu():
            torch.cuda.reset_peak_memory_stats()
        runs, seconds = max(1, min(200, int(shortest / last))), []
        for _ in range(repeats):
            wait()
            start = time.perf_counter()
            for _ in range(runs):
                run()
            wait()
            seconds.append((time.perf_counter() - start) / runs)
        show(name, seconds=statistics.median(seconds), least=min(seconds), most=max(seconds),
             peak_bytes=torch.cuda.max_memory_allocated() if on_gpu() else None)
    except Exception as error:  # a row of the table, not the end of it
        show(name, error=reason(error))


def reason(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]


def slices_and_tokens(args):
    return 1 + (args.frames - 1) // 4, (args.height // 16) * (args.width // 16)


def numbers(*shape, gradient=False, scale=1.0):
    return (torch.randn(*shape, device=device(), dtype=half()) * scale).requires_grad_(gradient)


def both(name, forward, gradient, alone=True):
    """A row of the forward pass, where it is wanted alone too, and one with all gradients."""
    def without():
        with torch.no_grad():
            forward()

    if alone:  # to compile it for a pass without gradients takes as long again
        timed(f"{name}, forward", without)
    timed(f"{name}, forward + backward", lambda: forward().backward(gradient), warmup=3)


def feature_map(x, first, second):
    """phi of the paper: an MLP a head, made positive, the second half squared."""
    hidden = functional.gelu(torch.matmul(x, first))
    positive = functional.softplus(torch.matmul(hidden, second))
    return torch.cat([positive[..., : FEATURES // 2], positive[..., FEATURES // 2 :] ** 2], -1)


def map_weights():
    return [numbers(HEADS, n, FEATURES, gradient=True, scale=0.5 / math.sqrt(n)) for n in (WIDTH, FEATURES)]


def softmax_backend():
    from torch.nn.attention import SDPBackend, sdpa_kernel

    # The fastest attention that PyTorch has on these cards; left to itself it may take another.
    return sdpa_kernel([SDPBackend.CUDNN_ATTENTION] if on_gpu() else [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])


def composed_hybrid(slices, tokens, chunk, overlap, maps_q, maps_k):
    """Softmax over a chunk and its overlap by FlexAttention, the older keys by states, and one joint denominator."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def window(batch, head, query, key):
        own, slice_of_key = (query // tokens) // chunk, key // tokens
        return (slice_of_key >= own * chunk - overlap) & (slice_of_key < (own + 1) * chunk)

    mask = create_block_mask(window, None, None, slices * tokens, slices * tokens, device=device())

    def run(q, k, v):
        softmax, log_sum = flex_attention(q, k, v, block_mask=mask, return_lse=True)
        phi_q, phi_k = feature_map(q, *maps_q), feature_map(k, *maps_k)
        state = torch.zeros(1, HEADS, FEATURES, WIDTH, device=q.device)
        total = torch.zeros(1, HEADS, FEATURES, 1, device=q.device)
        values, weights, taken = [], [], 0
        for begin in range(0, slices, chunk):
            first = max(0, begin - overlap)
            if first > taken:
                old = slice(taken * tokens, first * tokens)
                state = state + (phi_k[:, :, old].transpose(-1, -2) @ v[:, :, old]).float()
                total = total + phi_k[:, :, old].float().sum(2).unsqueeze(-1)
                taken = first
            queries = phi_q[:, :, begin * tokens : min(slices, begin + chunk) * tokens]
            values.append(queries @ state.to(q.dtype))
            weights.append(queries @ total.to(q.dtype))
        linear, weight = torch.cat(values, 2).float(), torch.cat(weights, 2).float()
        # exp(lse) may overflow: both branches are scaled by the larger exponent of the row.
        share = torch.sigmoid(log_sum.unsqueeze(-1) - torch.log(weight.clamp_min(1e-30)))
        return (share * softmax.float() + (1 - share) * linear / weight.clamp_min(1e-30)).to(q.dtype)

    return torch.compile(run)


def attention(args):
    slices, tokens = slices_and_tokens(args)
    shape = (1, HEADS, slices * tokens, WIDTH)
    q, k, v = (numbers(*shape, gradient=True) for _ in range(3))
    dy = numbers(*shape)
    with softmax_backend():
        both("full softmax, cuDNN", lambda: functional.scaled_dot_product_attention(q, k, v), dy)
    maps_q, maps_k = map_weights(), map_weights()
    for chunk, overlap in [(3, 1)] if args.quick else [(3, 1), (1, 1), (5, 1)]:
        name = f"FlexAttention ({chunk}, {overlap}), compiled"
        try:
            hybrid = composed_hybrid(slices, tokens, chunk, overlap, maps_q, maps_k)
        except Exception as error:
            show(name, error=reason(error))
            continue
        both(name, lambda: hybrid(q, k, v), dy, alone=not args.quick)
        torch.compiler.reset()  # the patterns share their code, of which only so many compilations are kept


def phi(args):
    slices, tokens = slices_and_tokens(args)
    x = numbers(1, HEADS, slices * tokens, WIDTH, gradient=True)
    weights, dy = map_weights(), numbers(1, HEADS, slices * tokens, FEATURES)
    both("eager PyTorch", lambda: feature_map(x, *weights), dy)
    compiled = torch.compile(feature_map)
    both("torch.compile", lambda: compiled(x, *weights), dy, alone=not args.quick)


def wan_model(args, dtype):
    from diffusers import WanTransformer3DModel

    with torch.device(device()):
        return WanTransformer3DModel(patch_size=(1, 2, 2), num_attention_heads=HEADS, attention_head_dim=WIDTH,
                                     in_channels=16, out_channels=16, text_dim=4096, freq_dim=256, ffn_dim=8960,
                                     num_layers=args.layers).to(dtype)


def wan_inputs(args, dtype):
    latent = (1, 16, 1 + (args.frames - 1) // 4, args.height // 8, args.width // 8)
    return (torch.randn(*latent, device=device(), dtype=dtype), torch.tensor([500.0], device=device()),
            torch.randn(1, 512, 4096, device=device(), dtype=dtype))


def forward(args):
    try:
        model, inputs = wan_model(args, half()).eval(), wan_inputs(args, half())
    except ImportError as error:
        return show("diffusers", error=reason(error))
    with torch.no_grad(), softmax_backend():
        timed("diffusers, eager", lambda: model(*inputs, return_dict=False)[0])
        if not args.quick:
            compiled = torch.compile(model)
            timed("diffusers, compiled", lambda: compiled(*inputs, return_dict=False)[0])


def step(args):
    try:
        model, inputs = wan_model(args, torch.float32).train(), wan_inputs(args, torch.float32)
    except ImportError as error:
        return show("diffusers", error=reason(error))
    model.enable_gradient_checkpointing()
    target = torch.randn_like(inputs[0])

    def passes():
        with torch.autocast(device(), dtype=torch.bfloat16):
            velocity = model(*inputs, return_dict=False)[0]
            loss = (velocity.float() - target).square().mean()
        loss.backward()

    repeats = 1 if args.quick else 2
    with softmax_backend():
        timed("diffusers, forward + backward", passes, repeats=repeats, warmup=1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=on_gpu())

        def whole():
            optimizer.zero_grad()
            passes()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

        timed("diffusers, step with AdamW", whole, repeats=repeats, warmup=1)


WORK = {"attention": attention, "phi": phi, "forward": forward, "step": step}


def main():
    args = arguments()
    torch.manual_seed(0)
    show("torch", version=torch.__version__, device=torch.cuda.get_device_name() if on_gpu() else "CPU")
    WORK[args.work](args)


if __name__ == "__main__":
    main()
