#!/usr/bin/env python3
"""Compares angles of DARTS codes with those of the published RLNAS or AngleNAS code, run unchanged on the CPU.

Get the reference first, outside this repository:
  git clone https://github.com/megvii-model/RLNAS DIR         (darts_search_space/*/rlnas/evolution_search is read)
  git clone https://github.com/megvii-model/AngleNAS DIR      (DARTS/shrinking is read; rules `anglenas`)
Exit status: 0 if the float64 difference is within --tolerance, 1 if not, 77 if PyTorch is missing."""
import functools
import importlib
import sys
import types

import published_angle  # exits if PyTorch is missing
from published_angle import stand_in

FOLDERS = {"rlnas-cifar10": "darts_search_space/cifar10/rlnas/evolution_search",
           "rlnas-imagenet": "darts_search_space/imagenet/rlnas/evolution_search", "anglenas": "DARTS/shrinking"}


def code_of(row):
    return [int(n) for n in row["code"].replace("|", " ").split()]


def published(rules, layers):
    """Angle of two networks and 28 numbers, and the network's class."""
    if rules == "anglenas":
        network = importlib.import_module("super_model").Network_ImageNet
        angle = importlib.import_module("angle").get_angle

        def of(initial, trained, code):  # one cell for all
            if code[:14] != code[14:]:
                raise SystemExit("AngleNAS's code knows one cell alone: give codes whose two cells are alike")
            return angle(initial, trained, published_angle.np.tile(code[:14], layers)).item()

        return of, network
    for name in ("ntools", "ntools.utils", "torchvision", "torchvision.datasets", "torchvision.transforms"):
        stand_in(name)
    stand_in("ntools.utils.misc", natural_sort=sorted)
    server = importlib.import_module("test_server").TestServer
    caller = types.SimpleNamespace(device="cpu")
    caller.get_arch_vector = functools.partial(server.get_arch_vector, caller)
    models = importlib.import_module("super_model")
    network = models.NetworkImageNet if rules == "rlnas-imagenet" else models.Network
    return lambda initial, trained, code: server.get_angle(caller, initial, trained, list(code)), network


def load_reference(root, rules, state, codes):
    layers = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("cells."))
    channels = state["cells.0.preprocess1.op.1.weight"].shape[0]
    published_angle.enter(root, FOLDERS[rules], rules)
    importlib.import_module("config").config.layers = layers
    angle, network = published(rules, layers)
    return (angle, lambda: network(channels, len(state["classifier.bias"]), layers),
            f"{layers} cells of {channels} channels")


if __name__ == "__main__":
    sys.exit(published_angle.compare(__doc__, code_of, load_reference))
