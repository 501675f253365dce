"""The DARTS search network in plain PyTorch (1.13 and newer), with the state-dict names of the original.

Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; with partial > 1 the network of Xu et al.,
"PC-DARTS", ICLR 2020: operators see one channel in `partial`, and edges have weights too."""
import torch
from torch import nn

import bilevel

OPS = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3",
       "dil_conv_5x5")
NODES = 4
EDGES = tuple((2 + i, j) for i in range(NODES) for j in range(2 + i))  # (state, source), 14 of them


def norm(c, affine=False):
    return nn.BatchNorm2d(c, affine=affine)


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, ::self.stride, ::self.stride].mul(0.0)


class Op(nn.Module):
    """A sequence under the name `op`."""

    def __init__(self, *layers):
        super().__init__()
        self.op = nn.Sequential(*layers)

    def forward(self, x):
        return self.op(x)


def separable(c, kernel, stride, dilation=1, affine=False):
    """ReLU, depthwise, pointwise, BN."""
    pad = dilation * (kernel - 1) // 2
    return (nn.ReLU(), nn.Conv2d(c, c, kernel, stride, pad, dilation, groups=c, bias=False),
            nn.Conv2d(c, c, 1, bias=False), norm(c, affine))


class FactorizedReduce(nn.Module):
    """Halves the map: half of the channels from the even pixels, half from the odd ones. Even sizes only."""

    def __init__(self, c_in, c_out, affine=False):
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.bn = norm(c_out, affine)

    def forward(self, x):
        x = torch.relu(x)
        return self.bn(torch.cat((self.conv_1(x), self.conv_2(x[:, :, 1:, 1:])), 1))


def make_op(name, c, stride, affine=False):
    if name == "none":
        return Zero(stride)
    if name == "max_pool_3x3":
        return nn.Sequential(nn.MaxPool2d(3, stride, 1), norm(c, affine))
    if name == "avg_pool_3x3":
        return nn.Sequential(nn.AvgPool2d(3, stride, 1, count_include_pad=False), norm(c, affine))
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c, affine)
    kernel = int(name[-1])
    if name.startswith("dil"):
        return Op(*separable(c, kernel, stride, 2, affine=affine))
    return Op(*separable(c, kernel, stride, affine=affine), *separable(c, kernel, 1, affine=affine))


def preprocessing(c_before, c_in, c, reduction_before, affine=False):
    """Those of a cell's two inputs."""
    def pointwise(c_from):
        return Op(nn.ReLU(), nn.Conv2d(c_from, c, 1, bias=False), norm(c, affine))

    return FactorizedReduce(c_before, c, affine) if reduction_before else pointwise(c_before), pointwise(c_in)


class MixedOp(nn.Module):
    """All ops on one edge, weighed. tuned: `none` is left out."""

    def __init__(self, c, stride, tuned, partial, ops):
        super().__init__()
        self._ops = nn.ModuleList(make_op(name, c // partial, stride) for name in ops)
        self.first = int(tuned and ops[0] == "none")
        self.tuned = tuned
        self.stride, self.partial = stride, partial

    def forward(self, x, weights):
        """weights: (8)"""
        if self.partial == 1:
            return self.mix(x, weights)
        seen = x.shape[1] // self.partial
        around = x[:, seen:]
        if self.stride == 2:
            around = torch.nn.functional.max_pool2d(around, 2, 2)
        y = torch.cat((self.mix(x[:, :seen], weights), around), 1)
        n, c, h, w = y.shape
        return y.view(n, self.partial, c // self.partial, h, w).transpose(1, 2).reshape(n, c, h, w)

    def mix(self, x, weights):
        if self.tuned:
            return bilevel.add(w * op(x) for w, op in zip(weights[self.first:], self._ops[self.first:]))
        return sum(w * op(x) for w, op in zip(weights, self._ops))


class Cell(nn.Module):
    """Two preprocessed inputs, four nodes that sum their edges, and the nodes' channels side by side."""

    def __init__(self, c_before, c_in, c, reduction, reduction_before, tuned, partial, ops):
        super().__init__()
        self.reduction, self.tuned = reduction, tuned
        self.preprocess0, self.preprocess1 = preprocessing(c_before, c_in, c, reduction_before)
        self._ops = nn.ModuleList(MixedOp(c, 2 if reduction and j < 2 else 1, tuned, partial, ops) for _, j in EDGES)

    def forward(self, before, x, weights, edges=None):
        """weights: (14, 8), edges: (14) or None"""
        def on_edge(e, state):
            y = self._ops[e](state, weights[e])
            return y if edges is None else edges[e] * y

        states, total = [self.preprocess0(before), self.preprocess1(x)], bilevel.add if self.tuned else sum
        for node in range(2, 2 + NODES):
            states.append(total(on_edge(e, states[j]) for e, (i, j) in enumerate(EDGES) if i == node))
        return torch.cat(states[2:], 1)


class Network(bilevel.WithAlphas):
    """alphas: those of normal and of reduction cells, (14, ops) each; with `betas` those too, (14) each.

    tuned=False sums and multiplies by zero as the published network does. True, at the same result: the op `none` keeps
    its share of the softmax but is not computed, and no sum starts from 0."""

    def __init__(self, channels=16, layers=8, classes=10, tuned=False, partial=1, imagenet=False, ops=OPS,
                 betas=False, weigh=bilevel.softmax):
        super().__init__()
        self.weigh = weigh
        c, c_before, c_in, reduction_before = channels, 3 * channels, 3 * channels, imagenet
        if imagenet:  # three halvings
            half = {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False}
            self.stem0 = nn.Sequential(nn.Conv2d(3, c_in // 2, **half), nn.BatchNorm2d(c_in // 2), nn.ReLU(),
                                       nn.Conv2d(c_in // 2, c_in, **half), nn.BatchNorm2d(c_in))
            self.stem1 = nn.Sequential(nn.ReLU(), nn.Conv2d(c_in, c_in, **half), nn.BatchNorm2d(c_in))
        else:
            self.stem = nn.Sequential(nn.Conv2d(3, c_in, 3, padding=1, bias=False), nn.BatchNorm2d(c_in))
        self.imagenet = imagenet
        self.cells = nn.ModuleList()
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            c *= 2 if reduction else 1
            self.cells.append(Cell(c_before, c_in, c, reduction, reduction_before, tuned, partial, ops))
            c_before, c_in, reduction_before = c_in, NODES * c, reduction
        self.classifier = nn.Linear(c_in, classes)
        self.make_alphas(*[(len(EDGES), len(ops))] * 2, *[(len(EDGES),)] * (2 if betas else 0))

    def forward(self, x):
        """x: (n, 3, h, w), h and w multiples of four, with the stems of ImageNet of 32. Returns logits."""
        weights = [self.weigh(a) for a in self.alphas[:2]]
        nodes = [2 + i for i in range(NODES)]  # edges into each
        edges = [torch.cat([torch.softmax(part, 0) for part in b.split(nodes)]) for b in self.alphas[2:]] or [None] * 2
        if self.imagenet:
            before = self.stem0(x)
            x = self.stem1(before)
        else:
            before = x = self.stem(x)
        for cell in self.cells:
            before, x = x, cell(before, x, weights[cell.reduction], edges[cell.reduction])
        return self.classifier(x.mean((2, 3)))
