"""What the checks of angles against the published programs share: RLNAS's and AngleNAS's code, run unchanged on the CPU,
outside this repository:
  git clone https://github.com/megvii-model/RLNAS DIR
  git clone https://github.com/megvii-model/AngleNAS DIR      (rules `anglenas`)"""
import argparse
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


def stand_in(name, **members):
    """A module that the code imports without need here."""
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[name] = module


def enter(root, folder, rules):
    """Makes the modules of a checkout's folder importable, on the CPU."""
    folder = os.path.join(root, folder)
    if not os.path.isdir(folder):
        raise SystemExit(f"{folder}: no such folder; --reference is a checkout for the rules {rules}")
    torch.Tensor.cuda = lambda self, *a, **k: self  # the code asks for a GPU without need
    torch.nn.Module.cuda = lambda self, *a, **k: self
    sys.path.insert(0, folder)
    stand_in("mq_server_base", MessageQueueServerBase=object, MessageQueueClientBase=object)


def compare(description, arch_of, load_reference):
    """The whole check. arch_of(row) is the architecture of a row of `rlnas angles --json`;
    load_reference(root, rules, state, archs) gives (angle of two networks and an architecture, a new network, words about
    the networks). Prints the largest difference in radians against the published code in float32 (as published) and in
    float64. Both files are loaded strictly, so they must hold every tensor of the published networks, num_batches_tracked too.
    Returns the exit status: 0 if the float64 difference is within --tolerance, 1 if not."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--init", required=True, help="safetensors checkpoint of the initial weights, PyTorch names and layout")
    p.add_argument("--final", required=True, help="the same after training")
    p.add_argument("--reference", required=True, help="checkout of the RLNAS or AngleNAS repository")
    p.add_argument("--angles", required=True, help="what `rlnas angles --json` prints of the same files")
    p.add_argument("--tolerance", type=float, default=1e-6, help="radians, for the float64 comparison")
    args = p.parse_args()

    with open(args.angles) as f:
        result = json.load(f)
    rows, rules = result["angles"], result["rules"]
    archs = [arch_of(r) for r in rows]
    given = np.array([r["angle"] for r in rows], np.float64)
    states = [safetensors_io.load(f)[0] for f in (args.init, args.final)]
    angle, network, words = load_reference(args.reference, rules, states[0], archs)
    print(f"{len(rows)} architectures by the rules {rules}, {words}, angles {given.min():.6f} to {given.max():.6f} rad")
    worst = {}
    for name, dtype in (("published float32", torch.float32), ("published float64", torch.float64)):
        torch.set_default_dtype(dtype)  # the code makes its constants in the default type
        nets = []
        for state in states:
            net = network().to(dtype)
            net.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}, strict=True)
            nets.append(net)
        with torch.no_grad():
            found = np.array([angle(*nets, arch) for arch in archs])
        gap = np.abs(found - given)
        i = int(np.argmax(np.where(np.isnan(gap), np.inf, gap)))  # a NaN counts as the worst
        worst[name] = gap[i]
        print(f"{name}: largest difference {gap[i]:.3e} rad ({given[i]:.12f} given, {found[i]:.12f} expected, "
              f"{archs[i]}), {int(np.isnan(gap).sum())} NaN")
    ok = worst["published float64"] <= args.tolerance
    print("agrees" if ok else f"DIFFERS by more than {args.tolerance} rad")
    return 0 if ok else 1
