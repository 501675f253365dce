#!/usr/bin/env python3
"""Prints the entry `imagenet_K2_C8_L4` of pcdarts.json: PC-DARTS's search network for ImageNet, as its published code
describes it, in PyTorch in float64 on four pictures of 64 x 64. Weights, pictures, alphas and betas follow the files'
rule (bench/torch/check_darts.py).

It has no running statistics: the published network evaluates each mixed op twice per forward, which moves them twice.
Exit status 77: PyTorch is missing."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import check_darts  # noqa: E402
import darts  # noqa: E402


def edge_weights(betas):
    return torch.cat([torch.softmax(part, 0) for part in betas.split([2, 3, 4, 5])])


def genes(weights):
    """Of each node the two edges with the largest operator that is not `none`, and that operator."""
    chosen, first = [], 0
    for node in range(4):
        rows = weights[first:first + 2 + node, 1:]
        best = sorted(range(2 + node), key=lambda e: -rows[e].max().item())[:2]
        chosen += [(darts.OPS[1 + int(rows[e].argmax())], e) for e in best]
        first += 2 + node
    return chosen


def main():
    net = darts.Network(8, 4, partial=2, imagenet=True).double()
    check_darts.fill(net)
    found, _ = check_darts.check_search(net, {})
    entry = {k: v.detach().flatten().tolist() for k, v in found.items() if v is not None}
    for name in ("loss", "wgrad_norm", "nparams"):
        entry[name] = entry[name][0]
    ends = ("normal", "reduce")
    edges = [edge_weights(b.detach()) for b in net.alphas[2:]]
    entry.update({f"edge_weights_{end}": e.tolist() for end, e in zip(ends, edges)})
    cells = [genes(torch.softmax(a.detach(), 1) * e[:, None]) for a, e in zip(net.alphas, edges)]
    entry["genotype"] = "Genotype({})".format(
        ", ".join(f"{end}={cell}, {end}_concat=range(2, 6)" for end, cell in zip(ends, cells)))
    json.dump({"imagenet_K2_C8_L4": entry}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
