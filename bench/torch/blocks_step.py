#!/usr/bin/env python3
"""Forward, loss and backward of random paths of SPOS's supernets in plain PyTorch, timed; prints one line of JSON.

No optimizer, gradients are dropped after each step. The paths are those of bench/blocks_step.cpp."""
import json
import statistics
import time

import torch
from torch import nn

import timing
from spos import WIDTHS, Supernet


class Draws:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1664525 + 1013904223) % 2 ** 32
        return (self.state >> 16) % n


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
