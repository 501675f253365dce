#!/usr/bin/env python3
"""Forward, loss and backward of random paths of SPOS's supernets in plain PyTorch, timed; prints one line of JSON.

ShuffleNetV2's space as megvii-model/SinglePathOneShot has it (batch-norms without gamma and beta, parity shuffle by
reshape, transpose and split), MobileNet's as AngleNAS (affine, ReLU6, expansion 3 or 6). No optimizer, gradients are
dropped after each step. The paths are those of bench/blocks_step.cpp."""
import json
import statistics
import time

import torch
from torch import nn

import timing

WIDTHS = {"shufflenet": [(64, 4, 2), (160, 4, 2), (320, 8, 2), (640, 4, 2)],
          "mobilenet": [(32, 4, 2), (56, 4, 2), (112, 4, 2), (128, 4, 1), (256, 4, 2), (432, 1, 1)]}


class Draws:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) % 2 ** 32
        return (self.state >> 16) % n


def conv(c_in, c_out, k, stride, groups, affine, activation):
    layers = [nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out, affine=affine)]
    return layers + ([activation(inplace=True)] if activation else [])


class Shuffle(nn.Module):
    def __init__(self, c_in, c_out, stride, op):
        super().__init__()
        self.stride, mid = stride, c_out // 2
        inp = c_in if stride == 2 else c_out // 2
        out, k = c_out - inp, (3, 5, 7, 3)[op]
        point = lambda a, b: conv(a, b, 1, 1, 1, False, nn.ReLU)
        depth = lambda c, s: conv(c, c, k, s, c, False, None)
        self.main = nn.Sequential(*(point(inp, mid) + depth(mid, stride) + point(mid, out) if op < 3 else
                                    depth(inp, stride) + point(inp, mid) + depth(mid, 1) + point(mid, mid) +
                                    depth(mid, 1) + point(mid, out)))
        self.proj = nn.Sequential(*(depth(inp, 2) + point(inp, inp))) if stride == 2 else None

    def forward(self, x):
        if self.stride == 2:
            return torch.cat((self.proj(x), self.main(x)), 1)
        n, c, h, w = x.shape
        x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, n, c // 2, h, w)
        return torch.cat((x[0], self.main(x[1])), 1)


class Inverted(nn.Module):
    def __init__(self, c_in, c_out, stride, op, expansion=None):
        super().__init__()
        k, expansion = op // 2 * 2 + 3, expansion or (6 if op % 2 else 3)
        mid = c_in * expansion
        layers = conv(c_in, mid, 1, 1, 1, True, nn.ReLU6) if expansion > 1 else []
        self.body = nn.Sequential(*layers, *conv(mid, mid, k, stride, mid, True, nn.ReLU6),
                                  *conv(mid, c_out, 1, 1, 1, True, None))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x):
        y = self.body(x)
        return x + y if self.residual else y


class Supernet(nn.Module):
    def __init__(self, space):
        super().__init__()
        shuffle = space == "shufflenet"
        affine, activation = not shuffle, nn.ReLU if shuffle else nn.ReLU6
        c, last = (16, 1024) if shuffle else (24, 1728)
        stem = conv(3, 16 if shuffle else 40, 3, 2, 1, affine, activation)
        self.stem = nn.Sequential(*stem) if shuffle else nn.Sequential(*stem, Inverted(40, 24, 1, 0, 1))
        self.blocks = nn.ModuleList()
        for width, count, stride in WIDTHS[space]:
            for i in range(count):
                make = Shuffle if shuffle else Inverted
                self.blocks.append(nn.ModuleList(make(c, width, stride if i == 0 else 1, op)
                                                 for op in range(4 if shuffle else 6)))
                c = width
        self.last = nn.Sequential(*conv(c, last, 1, 1, 1, affine, activation), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(last, 1000, bias=False)

    def shape(self, block, size):
        """Of what the block reads, (c, h, w)."""
        with torch.no_grad():
            x = self.stem(torch.zeros(2, 3, size, size))
            for earlier in self.blocks[:block]:
                x = earlier[0](x)
        return tuple(x.shape[1:])

    def forward(self, x, path):
        x = self.stem(x)
        for block, op in zip(self.blocks, path):
            x = block[op](x)
        return self.classifier(self.last(x))


def time_block(args, x, candidate, block, op):
    core = []
    for i in range(args.warmup + args.steps):
        x.grad = None
        for parameter in candidate.parameters():
            parameter.grad = None
        before = time.process_time()
        y = candidate(x)
        y.backward(torch.ones_like(y))
        core.append(time.process_time() - before)
    core = core[args.warmup:]
    print(json.dumps({"space": args.space, "block": block, "op": op, "core_median": statistics.median(core),
                      "core_min": min(core)}))


def main():
    p = timing.parser(__doc__, "the candidates, the stem and the last convolution", "nothing")
    p.add_argument("--space", choices=WIDTHS, default="shufflenet")
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--blocks", action="store_true", help="each block and candidate by itself, a line of JSON each")
    args = p.parse_args()
    timer, draws = timing.Timing(args), Draws(args.seed)
    net = timer.place(Supernet(args.space).train())
    x = timer.place(torch.rand(args.batch, 3, args.size, args.size) * 2 - 1)
    y = torch.tensor([i * 977 % 1000 for i in range(args.batch)], device=args.device)
    if args.compile:
        timing.compile_forward([net.stem, net.last, *(op for block in net.blocks for op in block)])
        for op in range(len(net.blocks[0])):
            net(x, [op] * len(net.blocks)).sum().backward()

    if args.blocks:
        for i, block in enumerate(net.blocks):
            shape = net.shape(i, args.size)
            if i > 0 and shape == net.shape(i - 1, args.size) and len(block[0].state_dict()) == len(net.blocks[i - 1][0].state_dict()):
                continue
            for op, candidate in enumerate(block):
                time_block(args, timer.place(torch.rand(args.batch, *shape) * 2 - 1).requires_grad_(), candidate, i, op)
        return

    def step(_):
        path = [draws.below(len(block)) for block in net.blocks]
        for parameter in net.parameters():
            parameter.grad = None
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            loss = nn.functional.cross_entropy(net(x, path), y, label_smoothing=0.1)
        loss.backward()
        return loss

    timer.run(step, space=args.space)


if __name__ == "__main__":
    main()
