"""The NAS-Bench-201 supernet in plain PyTorch (1.13 and newer): of single paths, or of all ops weighed by alphas.

Space: Dong & Yang, "NAS-Bench-201", ICLR 2020. State-dict names are those of the published supernets
(stem.0.weight, cells.0.edges.1<-0.2.op.1.weight, cells.5.conv_a.op.2.bias, lastact.0.weight, classifier.bias, ...).
"""
import torch
from torch import nn

import bilevel

OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))  # (node, source) in gene order


class Zero(nn.Module):
    """x * 0, so that what feeds it gets a zero gradient (not none), as in the published supernets."""

    def forward(self, x):
        return x.mul(0.0)


class ReluConvBn(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride, affine):
        super().__init__()
        self.op = nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False),
                                nn.BatchNorm2d(c_out, affine=affine))

    def forward(self, x):
        return self.op(x)


class ResidualBlock(nn.Module):
    """Stride 2, always affine; no ReLU after the sum, no BN on the shortcut."""

    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv_a = ReluConvBn(c_in, c_out, 3, 2, True)
        self.conv_b = ReluConvBn(c_out, c_out, 3, 1, True)
        self.downsample = nn.Sequential(nn.AvgPool2d(2, 2), nn.Conv2d(c_in, c_out, 1, bias=False))

    def forward(self, x):
        return self.downsample(x) + self.conv_b(self.conv_a(x))


def make_op(name, c, affine):
    if name == "none":
        return Zero()
    if name == "skip_connect":
        return nn.Identity()
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return ReluConvBn(c, c, int(name[-1]), 1, affine)


class SearchCell(nn.Module):
    """partial: the ops see one channel in so many, the others go round them (only with weights)."""

    def __init__(self, c, affine, partial=1):
        super().__init__()
        self.partial = partial
        self.edges = nn.ModuleDict(
            {f"{i}<-{j}": nn.ModuleList(make_op(op, c // partial, affine) for op in OPS) for i, j in EDGES})

    def forward(self, x, path, cut_none=False, weights=None):
        """path: 6 op indices, or None for the sum of all five ops on every edge, times weights (6, 5) if there are any.
        cut_none: see Supernet."""
        nodes, total = [x], bilevel.add if cut_none and weights is not None else sum
        for i in (1, 2, 3):
            terms = []
            for e, (node, j) in enumerate(EDGES):
                if node != i:
                    continue
                ops = self.edges[f"{i}<-{j}"]
                chosen = range(len(OPS)) if path is None else (int(path[e]),)
                chosen = [o for o in chosen if not (cut_none and OPS[o] == "none")]
                x = nodes[j][:, :nodes[j].shape[1] // self.partial] if self.partial > 1 else nodes[j]
                outputs = (ops[o](x) if weights is None else ops[o](x) * weights[e, o] for o in chosen)
                terms += [self.beside(total(outputs), nodes[j])] if chosen else []
            nodes.append(total(terms) if terms else torch.zeros_like(nodes[0]))
        return nodes[3]

    def beside(self, seen, x):
        """`seen` and the channels of x that went round it, shuffled."""
        if self.partial == 1:
            return seen
        n, c, h, w = x.shape
        y = torch.cat((seen, x[:, c // self.partial:]), 1)
        return y.view(n, self.partial, c // self.partial, h, w).transpose(1, 2).reshape(n, c, h, w)


class Supernet(nn.Module):
    """channels C, cells N per stage: stem, N cells @C, block, N cells @2C, block, N cells @4C, BN-ReLU, pool, linear.

    cut_none=False: `none` multiplies by zero, and an op whose output meets only `none` edges gets a zero gradient
    (weight decay then still applies to it). True: a `none` edge is absent, and such an op gets no gradient at all.
    """

    def __init__(self, channels=16, cells=5, classes=10, affine=False, dtype=torch.float32, cut_none=False,
                 partial=1):
        super().__init__()
        c, n, self.cut_none = channels, cells, cut_none
        self.stem = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        layers = []
        for stage in range(3):
            if stage:
                layers.append(ResidualBlock(c, 2 * c))
                c *= 2
            layers += [SearchCell(c, affine, partial) for _ in range(n)]
        self.cells = nn.ModuleList(layers)
        self.search_cells = [i for i, layer in enumerate(layers) if isinstance(layer, SearchCell)]
        self.lastact = nn.Sequential(nn.BatchNorm2d(c), nn.ReLU())
        self.classifier = nn.Linear(c, classes)
        self.to(dtype)

    def forward(self, x, paths, weights=None):
        """x: (n, 3, h, w); paths: (search cells, 6) op indices, or None for all ops everywhere, times weights (6, 5) if
        there are any. Returns logits."""
        x, k = self.stem(x), 0
        for layer in self.cells:
            if isinstance(layer, SearchCell):
                x = layer(x, None if paths is None else paths[k], self.cut_none, weights)
                k += 1
            else:
                x = layer(x)
        return self.classifier(self.lastact(x).mean((2, 3)))

    def forward_all(self, x):
        return self.forward(x, None)


class MixedSupernet(bilevel.WithAlphas, Supernet):
    """All ops on every edge, weighed by weigh(`alphas`): one (6, 5) tensor for all cells."""

    def __init__(self, *args, weigh=bilevel.softmax, **kwargs):
        super().__init__(*args, **kwargs)
        self.weigh = weigh
        self.make_alphas((len(EDGES), len(OPS)))

    def forward(self, x):
        return super().forward(x, None, self.weigh(self.alphas[0]))


def sample_paths(rng, cells):
    """One path per search cell; the ops entering a node are redrawn together until one of them is not `none`."""
    paths = []
    for _ in range(cells):
        path = []
        for node in (1, 2, 3):
            ops = [0]
            while not any(ops):
                ops = [rng.randrange(len(OPS)) for _ in range(node)]
            path += ops
        paths.append(path)
    return paths


def from_state(state, dtype=torch.float64, cut_none=False):
    """Builds the net whose sizes fit `state` ({name: array or tensor}, extra names ignored) and loads it.

    Raises KeyError or RuntimeError if a parameter or a running statistic is missing (batch counters may be).
    """
    layers = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("cells."))
    net = Supernet(state["stem.0.weight"].shape[0], (layers - 2) // 3, state["classifier.weight"].shape[0],
                   "cells.0.edges.1<-0.2.op.2.weight" in state, dtype, cut_none)
    own = net.state_dict()
    for name, value in own.items():
        if name not in state and name.endswith("num_batches_tracked"):
            continue
        if tuple(state[name].shape) != tuple(value.shape):
            raise RuntimeError(f"{name}: shape {tuple(state[name].shape)}, expected {tuple(value.shape)}")
        own[name] = torch.as_tensor(state[name]).to(value.dtype)
    net.load_state_dict(own)
    return net
