"""Angles of all NAS-Bench-201 architectures between two checkpoints, and Kendall's tau, in NumPy (float64).

The angle (Hu et al., "Angle-based search space shrinking", ECCV 2020; RLNAS, CVPR 2021) is the arc cosine of the cosine
similarity of two long vectors: fixed blocks once, and per search cell the weights along each of the paths 0-3, 0-2-3,
0-1-2-3, 0-1-3 that has no `none` on it. So every op counts as often as surviving paths run over it.
"""
import itertools

import numpy as np

from nb201 import EDGES, OPS

ARCHS = np.array(list(itertools.product(range(len(OPS)), repeat=len(EDGES))))  # (15625, 6), first edge slowest
PATHS = ((3,), (1, 5), (0, 2, 5), (0, 4))  # edge indices of the four paths


def arch_string(arch):
    a = [OPS[i] for i in arch]
    return f"|{a[0]}~0|+|{a[1]}~0|{a[2]}~1|+|{a[3]}~0|{a[4]}~1|{a[5]}~2|"


def parse_arch(arch):
    """A string, or six op indices, to a tuple of six op indices."""
    if not isinstance(arch, str):
        return tuple(int(i) for i in arch)
    return tuple(OPS.index(t.split("~")[0]) for t in arch.replace("+", "").split("|") if t)


def angles(init, final, archs=ARCHS):
    """init, final: {name: array} in PyTorch layout; archs: (n, 6). Returns (n) radians; 0 where every path is blocked.

    A pool on C channels is C*9 constants of 1/9 on both sides, hence adds C/9 to the dot product and to both norms.
    """
    def sums(names):
        pairs = [(np.float64(init[k]).ravel(), np.float64(final[k]).ravel()) for k in names]
        return np.array([[a @ b, a @ a, b @ b] for a, b in pairs]).sum(0)

    cells = sorted({int(k.split(".")[1]) for k in init if ".edges." in k})
    fixed = [k for k in init if ".edges." not in k and k.split(".")[-1] in ("weight", "bias")]
    assert len(fixed) == 3 + 2 * 7 + 4, fixed
    table = np.zeros((len(EDGES), len(OPS), 3))  # (dot, norm of init, norm of final)^2 summed over cells
    for e, (i, j) in enumerate(EDGES):
        for o in (2, 3):
            table[e, o] = sums([f"cells.{c}.edges.{i}<-{j}.{o}.op.1.weight" for c in cells])
        table[e, 4] = sum(init[f"cells.{c}.edges.{i}<-{j}.3.op.1.weight"].shape[0] for c in cells) / 9.0
    archs = np.asarray(archs)
    alive = np.stack([(archs[:, p] != 0).all(1) for p in PATHS], 1)  # (n, 4)
    total = np.tile(sums(fixed), (len(archs), 1))
    for k, path in enumerate(PATHS):
        for e in path:
            total += alive[:, k, None] * table[e, archs[:, e]]
    cosine = total[:, 0] / np.sqrt(np.maximum(total[:, 1] * total[:, 2], 1e-16))
    return np.where(alive.any(1), np.arccos(np.clip(cosine, -1.0, 1.0)), 0.0)


def descending(values):
    """Indices by falling value, equal values in their given order."""
    return np.argsort(-np.asarray(values), kind="stable")


def ordinal_tau(x, y):
    """Kendall's tau of the ordinal ranks of x and y, ties ranked in their given order on both sides, as RLNAS does."""
    rank = np.empty(len(x), np.int64)
    rank[descending(x)] = np.arange(len(x))
    r = rank[descending(y)]
    discordant = sum(int((r[i + 1:] < r[i]).sum()) for i in range(len(r)))
    return 1.0 - 4.0 * discordant / (len(r) * (len(r) - 1))


def tau_b(x, y):
    """Kendall's tau-b of the raw values, ties corrected for."""
    x, y = (np.unique(v, return_inverse=True)[1] for v in (np.asarray(x), np.asarray(y)))
    balance = sum(int((np.sign(x[i + 1:] - x[i]) * np.sign(y[i + 1:] - y[i])).sum()) for i in range(len(x)))
    pairs = len(x) * (len(x) - 1) // 2
    ties = [sum(int(c) * (int(c) - 1) // 2 for c in np.bincount(v)) for v in (x, y)]
    return balance / np.sqrt(float(pairs - ties[0]) * float(pairs - ties[1]))
