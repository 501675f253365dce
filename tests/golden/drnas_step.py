#!/usr/bin/env python3
"""Loss and gradients of the networks that bench/torch/drnas_step.py times, in float64, for comparison with another
implementation.

--in: a safetensors file with every parameter under its PyTorch name and in PyTorch layout, "input" (n, 3, h, w), "labels"
(n) int64, and "draw/0", ... (edges, ops): what weighs the mixed ops, in the place of a Dirichlet draw.

--out: a safetensors file with MODE/loss, MODE/logits, MODE/grad/NAME and MODE/draw/I, the gradients of the draws; MODE is
plain or tuned, the benchmark's two ways.
Exit status 77: PyTorch is missing.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import drnas_step  # noqa: E402
import safetensors_io  # noqa: E402


def step(given, args, tuned):
    """Forward and backward in training mode; {name: array}."""
    net = drnas_step.network(args.space, tuned, lambda draw: draw, args.channels, args.depth).double().train()
    own = dict(net.named_parameters())
    weights = {k: v for k, v in given.items() if k not in ("input", "labels") and not k.startswith("draw/")}
    if own.keys() != weights.keys():
        sys.exit(f"these parameters are on one side alone: {sorted(own.keys() ^ weights.keys())}")
    for name, value in weights.items():
        if tuple(own[name].shape) != value.shape:
            sys.exit(f"{name}: {tuple(own[name].shape)} here, {value.shape} there")
        own[name].data.copy_(torch.from_numpy(value))
    for i, draw in enumerate(net.alphas):
        draw.data.copy_(torch.from_numpy(given[f"draw/{i}"]))
    logits = net(torch.from_numpy(given["input"]))
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(given["labels"]))
    loss.backward()
    out = {"loss": loss.detach(), "logits": logits.detach(), **{f"grad/{k}": p.grad for k, p in own.items()},
           **{f"draw/{i}": a.grad for i, a in enumerate(net.alphas)}}
    return {f"{'tuned' if tuned else 'plain'}/{k}": np.ascontiguousarray(v.numpy()) for k, v in out.items()}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--in", dest="source", required=True)
    p.add_argument("--out", dest="target", required=True)
    p.add_argument("--space", choices=("nb201", "nb201-partial", "cifar"), required=True)
    p.add_argument("--channels", type=int, required=True)
    p.add_argument("--depth", type=int, required=True)
    args = p.parse_args()
    given = safetensors_io.load(args.source)[0]
    safetensors_io.save(args.target, {**step(given, args, False), **step(given, args, True)})


if __name__ == "__main__":
    main()
