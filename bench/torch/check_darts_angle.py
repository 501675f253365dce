#!/usr/bin/env python3
"""Compares angles of DARTS codes with those of the published RLNAS or AngleNAS code, run unchanged on the CPU.

Get the reference first, outside this repository:
  git clone https://github.com/megvii-model/RLNAS DIR         (darts_search_space/*/rlnas/evolution_search is read)
  git clone https://github.com/megvii-model/AngleNAS DIR      (DARTS/shrinking is read; rules `anglenas`)
Prints the largest difference in radians against the published code in float32 (as published) and in float64. Both files are
loaded strictly, so they must hold every tensor of the published networks, num_batches_tracked too.
Exit status: 0 if the float64 difference is within --tolerance, 1 if not, 77 if PyTorch is missing."""
import argparse
import functools
import importlib
import json
import os
import sys
import types

try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import safetensors_io

FOLDERS = {"rlnas-cifar10": "darts_search_space/cifar10/rlnas/evolution_search",
           "rlnas-imagenet": "darts_search_space/imagenet/rlnas/evolution_search", "anglenas": "DARTS/shrinking"}


def stand_in(name, **members):
    """A module that the code imports without need here."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[name] = module


def load_reference(root, rules, layers):
    """Returns (angle of two networks and 28 numbers, network factory) of the published code."""
    folder = os.path.join(root, FOLDERS[rules])
    if not os.path.isdir(folder):
        raise SystemExit(f"{folder}: no such folder; --reference is a checkout for the rules {rules}")
    torch.Tensor.cuda = lambda self, *a, **k: self  # the code asks for a GPU without need
    torch.nn.Module.cuda = lambda self, *a, **k: self
    sys.path.insert(0, folder)
    config = importlib.import_module("config").config
    config.layers = layers
    if rules == "anglenas":
        network = importlib.import_module("super_model").Network_ImageNet
        angle = importlib.import_module("angle").get_angle

        def of(initial, trained, code):  # one cell for all
            if code[:14] != code[14:]:
                raise SystemExit("AngleNAS's code knows one cell alone: give codes whose two cells are alike")
            return angle(initial, trained, np.tile(code[:14], layers)).item()

        return of, network
    for name in ("ntools", "ntools.utils", "torchvision", "torchvision.datasets", "torchvision.transforms"):
        stand_in(name)
    stand_in("ntools.utils.misc", natural_sort=sorted)
    stand_in("mq_server_base", MessageQueueServerBase=object, MessageQueueClientBase=object)
    server = importlib.import_module("test_server").TestServer
    caller = types.SimpleNamespace(device="cpu")
    caller.get_arch_vector = functools.partial(server.get_arch_vector, caller)
    models = importlib.import_module("super_model")
    network = models.NetworkImageNet if rules == "rlnas-imagenet" else models.Network
    return lambda initial, trained, code: server.get_angle(caller, initial, trained, list(code)), network


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--init", required=True, help="safetensors checkpoint of the initial weights, PyTorch names and layout")
    p.add_argument("--final", required=True, help="the same after training")
    p.add_argument("--reference", required=True, help="checkout of the RLNAS or AngleNAS repository")
    p.add_argument("--angles", required=True, help="what `rlnas angles --json` prints of the same files")
    p.add_argument("--tolerance", type=float, default=1e-6, help="radians, for the float64 comparison")
    args = p.parse_args()

    with open(args.angles) as f:
        result = json.load(f)
    rows, rules = result["angles"], result["rules"]
    codes = [[int(n) for n in r["code"].replace("|", " ").split()] for r in rows]
    given = np.array([r["angle"] for r in rows], np.float64)
    states = [safetensors_io.load(f)[0] for f in (args.init, args.final)]
    layers = 1 + max(int(k.split(".")[1]) for k in states[0] if k.startswith("cells."))
    angle, network = load_reference(args.reference, rules, layers)
    channels = states[0]["cells.0.preprocess1.op.1.weight"].shape[0]
    print(f"{len(rows)} codes by the rules {rules}, {layers} cells of {channels} channels, angles {given.min():.6f} to "
          f"{given.max():.6f} rad")
    worst = {}
    for name, dtype in (("published float32", torch.float32), ("published float64", torch.float64)):
        torch.set_default_dtype(dtype)  # the code makes its constants in the default type
        nets = []
        for state in states:
            net = network(channels, len(state["classifier.bias"]), layers).to(dtype)
            net.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}, strict=True)
            nets.append(net)
        with torch.no_grad():
            found = np.array([angle(*nets, code) for code in codes])
        gap = np.abs(found - given)
        i = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))  # a NaN counts as the worst
        worst[name] = gap[i]
        print(f"{name}: largest difference {gap[i]:.3e} rad ({given[i]:.12f} given, {found[i]:.12f} expected, "
              f"{rows[i]['code']}), {int(np.isnan(gap).sum())} NaN")
    ok = worst["published float64"] <= args.tolerance
    print("agrees" if ok else f"DIFFERS by more than {args.tolerance} rad")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
