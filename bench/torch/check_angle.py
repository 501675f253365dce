#!/usr/bin/env python3
"""Compares angles of NAS-Bench-201 architectures with those of the published RLNAS code, run unchanged on the CPU.

Get the reference first, outside this repository:
  git clone https://github.com/megvii-model/RLNAS DIR        (only DIR/nas_bench_201 is read)
Prints the largest difference in radians against the published code in float32 (as published) and in float64, and against
the NumPy code in angle.py. Exit status: 0 if the float64 difference is within --tolerance, 1 if not, 77 if PyTorch is
missing."""
import argparse
import json
import os
import sys

try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import angle
import nb201
import safetensors_io


def load_reference(folder):
    """Returns (get_arch_angle, model factory, architecture factory, op names) of the published code."""
    root = os.path.join(folder, "nas_bench_201")
    if not os.path.exists(os.path.join(root, "exps", "algos", "weight_angle.py")):
        root = folder
    sys.path[:0] = [os.path.join(root, "lib"), os.path.join(root, "exps", "algos")]
    torch.Tensor.cuda = lambda self, *a, **k: self  # the code asks for a GPU without need
    torch.nn.Module.cuda = lambda self, *a, **k: self
    from models import get_search_spaces
    from models.cell_searchs.genotypes import Structure
    from models.cell_searchs.search_model_spos import TinyNetworkSPOS
    from weight_angle import get_arch_angle
    ops = get_search_spaces("cell", "nas-bench-102")
    assert tuple(ops) == nb201.OPS, ops

    def make_arch(arch):
        return Structure([tuple((ops[arch[e]], j) for e, (i, j) in enumerate(nb201.EDGES) if i == node)
                          for node in (1, 2, 3)])

    def make_model(state, affine):
        net = TinyNetworkSPOS(16, 5, 4, state["classifier.weight"].shape[0], ops, affine, True)
        own = net.state_dict()
        absent = [k for k in own if k not in state and k != "arch_parameters" and not k.endswith("num_batches_tracked")]
        if absent:
            raise SystemExit(f"the checkpoint lacks {len(absent)} tensors, first {absent[0]}")
        own.update({k: torch.from_numpy(v) for k, v in state.items() if k in own})
        net.load_state_dict(own)
        return net

    return get_arch_angle, make_model, make_arch, ops


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--init", required=True, help="safetensors checkpoint of the initial weights, PyTorch names and layout")
    p.add_argument("--final", required=True, help="the same after training")
    p.add_argument("--reference", required=True, help="checkout of the RLNAS repository")
    p.add_argument("--angles", help='JSON list of {"arch": string or six op indices, "angle": radians}; '
                                    "without it the NumPy angles of --count random architectures are checked")
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--tolerance", type=float, default=1e-6, help="radians, for the float64 comparison")
    args = p.parse_args()

    init, final = (safetensors_io.load(f)[0] for f in (args.init, args.final))
    if args.angles:
        with open(args.angles) as f:
            rows = json.load(f)
        rows = rows["angles"] if isinstance(rows, dict) else rows
        archs = np.array([angle.parse_arch(r["arch"]) for r in rows])
        given = np.array([r["angle"] for r in rows], np.float64)
    else:
        archs = angle.ARCHS[np.random.RandomState(args.seed).permutation(len(angle.ARCHS))[:args.count]]
        given = angle.angles(init, final, archs)
    if not len(archs):
        raise SystemExit(f"{args.angles}: no architectures")

    get_arch_angle, make_model, make_arch, ops = load_reference(args.reference)
    affine = "cells.0.edges.1<-0.2.op.2.weight" in init
    print(f"{len(archs)} architectures, {int((given == 0).sum())} blocked, angles {given[given != 0].min():.6f} to "
          f"{given.max():.6f} rad")
    names, worst = [angle.arch_string(a) for a in archs], {}

    def report(name, other):
        gap = np.abs(other - given)
        i = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))  # a NaN counts as the worst
        worst[name] = gap[i]
        print(f"{name}: largest difference {gap[i]:.3e} rad ({given[i]:.9f} given, {other[i]:.9f} expected, {names[i]}), "
              f"{int(np.isnan(gap).sum())} NaN")

    report("NumPy float64", angle.angles(init, final, archs))
    for name, dtype in (("published float32", torch.float32), ("published float64", torch.float64)):
        torch.set_default_dtype(dtype)  # the code makes its pooling constants in the default type
        nets = [make_model(s, affine).to(dtype) for s in (init, final)]
        with torch.no_grad():
            report(name, np.array([get_arch_angle(*nets, make_arch(a), ops) for a in archs]))
    ok = worst["published float64"] <= args.tolerance
    print("agrees" if ok else f"DIFFERS by more than {args.tolerance} rad")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
