#!/usr/bin/env python3
"""Compares angles of chains of the MobileNet space with those of the published RLNAS or AngleNAS code, run unchanged on
the CPU.

Get the reference first, outside this repository:
  git clone https://github.com/megvii-model/RLNAS DIR      (mobilenet_search_space/rlnas/evolution_search is read)
  git clone https://github.com/megvii-model/AngleNAS DIR   (SPOS/shrinking and utils are read; rules `anglenas`)
Exit status: 0 if the float64 difference is within --tolerance, 1 if not, 77 if PyTorch is missing."""
import importlib
import sys
import types

import published_angle  # exits if PyTorch is missing

FOLDERS = {"rlnas": "mobilenet_search_space/rlnas/evolution_search", "anglenas": "SPOS/shrinking"}


def chain_of(row):
    return [int(n) for n in row["arch"].strip("()").split(",")]


def published(rules):
    """Angle of two networks and a chain."""
    if rules == "anglenas":
        angle = importlib.import_module("shrinking").get_angle
        return lambda initial, trained, chain: angle(chain, initial, trained).item()
    server = importlib.import_module("test_server").TestServer
    caller = types.SimpleNamespace(get_arch_vector=lambda model, chain: server.get_arch_vector(None, model, chain))

    def of(initial, trained, chain):
        wrapped = [types.SimpleNamespace(module=net) for net in (initial, trained)]
        return server.get_angle(caller, *wrapped, chain)

    return of


def load_reference(root, rules, state, chains):
    classes = len(state["classifier.0.bias"])
    published_angle.enter(root, FOLDERS[rules], rules)
    published_angle.stand_in("utils")  # FLOPs tables and loaders
    network = importlib.import_module("super_model").SuperNetwork
    return (published(rules), lambda: network(n_class=classes),
            f"{sum(c.count(-1) for c in chains)} identities, {classes} classes")


if __name__ == "__main__":
    sys.exit(published_angle.compare(__doc__, chain_of, load_reference))
