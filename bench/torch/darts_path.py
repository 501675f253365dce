"""RLNAS's DARTS supernet on CIFAR-10 in plain PyTorch (1.13 and newer), with the state-dict names of the original: all
batch norms affine, also behind the pools; a forward computes one op an edge, the same in all cells of a kind.

Liang et al., "RLNAS: Neural Architecture Search with Random Labels", CVPR 2021."""

import torch
from torch import nn

from darts import EDGES, NODES, OPS, make_op, preprocessing


class Edge(nn.Module):
    """All ops, of which one is computed."""

    def __init__(self, c, stride, affine):
        super().__init__()
        self._ops = nn.ModuleList(make_op(name, c, stride, affine) for name in OPS)

    def forward(self, x, op):
        return self._ops[op](x)


class Cell(nn.Module):
    def __init__(self, c_before, c_in, c, reduction, reduction_before, affine, cut_none):
        super().__init__()
        self.reduction, self.cut_none = reduction, cut_none
        self.preprocess0, self.preprocess1 = preprocessing(c_before, c_in, c, reduction_before, affine)
        self._ops = nn.ModuleList(Edge(c, 2 if reduction and j < 2 else 1, affine) for _, j in EDGES)

    def forward(self, before, x, path):
        """path: an op of each of the 14 edges."""
        states = [self.preprocess0(before), self.preprocess1(x)]
        for node in range(2, 2 + NODES):
            active = [(e, j) for e, (i, j) in enumerate(EDGES) if i == node and (path[e] or not self.cut_none)]
            values = [self._ops[e](states[j], path[e]) for e, j in active]
            if self.cut_none:  # a node has two inputs
                states.append(values[0] if len(values) == 1 else values[0] + values[1])
            else:
                states.append(sum(values))
        return torch.cat(states[2:], 1)


class Supernet(nn.Module):
    """cut_none=False multiplies by zero on edges without an op, as published; True leaves them out."""

    def __init__(self, channels=16, layers=8, classes=10, affine=True, cut_none=False):
        super().__init__()
        c, c_before, c_in, reduction_before = channels, 3 * channels, 3 * channels, False
        self.stem = nn.Sequential(nn.Conv2d(3, c_in, 3, padding=1, bias=False), nn.BatchNorm2d(c_in))
        self.cells = nn.ModuleList()
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            c *= 2 if reduction else 1
            self.cells.append(Cell(c_before, c_in, c, reduction, reduction_before, affine, cut_none))
            c_before, c_in, reduction_before = c_in, NODES * c, reduction
        self.classifier = nn.Linear(c_in, classes)

    def forward(self, x, path):
        """path: the ops of normal and of reduction cells."""
        before = x = self.stem(x)
        for cell in self.cells:
            before, x = x, cell(before, x, path[cell.reduction])
        return self.classifier(x.mean((2, 3)))


def sample_path(rng):
    """Uniform ops, two inputs a node: where there are more, which stay is uniform too."""
    def cell():
        ops = []
        for node in range(NODES):
            stay = rng.sample(range(2 + node), 2)
            ops += [rng.randrange(1, len(OPS)) if j in stay else 0 for j in range(2 + node)]
        return ops

    return [cell(), cell()]


class Flat:
    """All parameters of a net as one vector, and their gradients: clipping and SGD with momentum in a few calls."""

    def __init__(self, net):
        parameters = list(net.parameters())
        size = sum(p.numel() for p in parameters)
        self.weights, self.gradients = torch.empty(size), torch.zeros(size)
        self.momentum, at = torch.zeros(size), 0
        for p in parameters:
            place = slice(at, at + p.numel())
            self.weights[place] = p.data.reshape(-1)
            p.data, p.grad = self.weights[place].view(p.shape), self.gradients[place].view(p.shape)
            at += p.numel()

    def step(self, lr, momentum, weight_decay, clip):
        norm = self.gradients.norm()
        self.gradients.mul_(torch.clamp(clip / (norm + 1e-6), max=1.0)).add_(self.weights, alpha=weight_decay)
        self.momentum.mul_(momentum).add_(self.gradients)
        self.weights.add_(self.momentum, alpha=-lr)
