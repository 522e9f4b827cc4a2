#!/usr/bin/env python3
"""Weights of Wan2.1's transformer that mean nothing, in diffusers' layout, to measure whole stages at the real size without a
download: 2.8 GB of bf16 for the 1.3B, in seconds. Needs nothing but Python.

    python scripts/random_wan.py FOLDER [--dim 1536 --heads 12 --ffn-dim 8960 --layers 30 --text-dim 4096]"""
import argparse
import json
import math
import pathlib
import random
import struct

PERIOD = 65521  # prime, so that no row of a matrix repeats the one before


def shapes_of(sizes):
    """(name, shape) of every tensor, as diffusers' WanTransformer3DModel has them."""
    dim, inner, text = sizes.dim, sizes.ffn_dim, sizes.text_dim

    def linear(name, to, of):
        return [(f"{name}.weight", [to, of]), (f"{name}.bias", [to])]

    def attention(name):
        return [pair for part in ("to_q", "to_k", "to_v", "to_out.0") for pair in linear(f"{name}.{part}", dim, dim)] + [
            (f"{name}.norm_q.weight", [dim]), (f"{name}.norm_k.weight", [dim])]

    out = [("patch_embedding.weight", [dim, 16, 1, 2, 2]), ("patch_embedding.bias", [dim])]
    embedder = "condition_embedder"
    out += linear(f"{embedder}.time_embedder.linear_1", dim, 256) + linear(f"{embedder}.time_embedder.linear_2", dim, dim)
    out += linear(f"{embedder}.time_proj", 6 * dim, dim)
    out += linear(f"{embedder}.text_embedder.linear_1", dim, text) + linear(f"{embedder}.text_embedder.linear_2", dim, dim)
    for i in range(sizes.layers):
        block = f"blocks.{i}"
        out += [(f"{block}.scale_shift_table", [1, 6, dim])] + attention(f"{block}.attn1") + attention(f"{block}.attn2")
        out += [(f"{block}.norm2.weight", [dim]), (f"{block}.norm2.bias", [dim])]
        out += linear(f"{block}.ffn.net.0.proj", inner, dim) + linear(f"{block}.ffn.net.2", dim, inner)
    return out + linear("proj_out", 64, dim) + [("scale_shift_table", [1, 2, dim])]


def bf16(value):
    return struct.pack("<f", value)[2:]


def spread(count, scale, table):
    """The bytes of `count` numbers, which are those of the table again and again."""
    numbers = b"".join(bf16(scale * value) for value in table)
    whole, rest = divmod(count, PERIOD)
    return numbers * whole + numbers[: 2 * rest]


def write(folder, sizes):
    """The config and one safetensors file; returns its bytes."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(1)
    table = [draw.gauss(0, 1) for _ in range(PERIOD)]
    config = {"_class_name": "WanTransformer3DModel", "patch_size": [1, 2, 2], "num_attention_heads": sizes.heads,
              "attention_head_dim": sizes.dim // sizes.heads, "in_channels": 16, "out_channels": 16,
              "text_dim": sizes.text_dim, "freq_dim": 256, "ffn_dim": sizes.ffn_dim, "num_layers": sizes.layers,
              "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "eps": 1e-6, "rope_max_seq_len": 1024,
              "added_kv_proj_dim": None, "image_dim": None, "pos_embed_seq_len": None}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    header, at, shapes = {}, 0, shapes_of(sizes)
    for name, shape in shapes:
        end = at + 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, end]}
        at = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    made = {}
    with open(folder / "diffusion_pytorch_model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for name, shape in shapes:
            count = math.prod(shape)
            if name.endswith("norm_q.weight") or name.endswith("norm_k.weight") or name.endswith("norm2.weight"):
                file.write(bf16(1.0) * count)
                continue
            scale = 1 / math.sqrt(math.prod(shape[1:])) if name.endswith(".weight") else 0.02
            if (count, scale) not in made:
                made[count, scale] = spread(count, scale, table)
            file.write(made[count, scale])
    return at


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    for name, value in (("dim", 1536), ("heads", 12), ("ffn_dim", 8960), ("layers", 30), ("text_dim", 4096)):
        parser.add_argument("--" + name.replace("_", "-"), dest=name, type=int, default=value)
    sizes = parser.parse_args()
    print(f"{write(sizes.folder, sizes) / 1e9:.2f} GB in {sizes.folder}")


if __name__ == "__main__":
    main()
