#!/usr/bin/env python3
"""Training steps of the NAS-Bench-201 path supernet (C = 16, N = 5) in plain PyTorch, timed; prints one line of JSON.

A step is RLNAS's: forward of one path, cross-entropy, backward, SGD with Nesterov momentum and weight decay over all
parameters, gradients zeroed and not dropped (so that weights off the path coast). The batch and the paths are made
before; every parameter has a gradient from the start, as after the first minute of a training."""

import torch

import nb201
import timing


def compile_parts(net):
    """Every path is another program, so what all paths share is compiled: convolution triples, blocks, head."""
    blocks = {id(m) for b in net.modules() if isinstance(b, nb201.ResidualBlock) for m in b.modules()}
    timing.compile_forward([m for m in net.modules() if isinstance(m, (nb201.ResidualBlock, torch.nn.AvgPool2d))])
    timing.compile_forward([m for m in net.modules() if isinstance(m, nb201.ReluConvBn) and id(m) not in blocks])
    timing.compile_forward([net.stem, net.lastact])


def main():
    p = timing.parser(__doc__, "the parts that paths are made of",
                      "leave `none` edges out instead of multiplying by zero, and use the fused SGD where there is one")
    p.add_argument("--paths", help="JSON list, by step, of one list of six op indices per cell; else drawn from --seed")
    args = p.parse_args()
    timer = timing.Timing(args)
    net = nb201.Supernet(cut_none=args.tuned)
    paths = timing.paths_of(args, lambda rng: nb201.sample_paths(rng, len(net.search_cells)))
    batch, net = timer.batch(), timer.place(net)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    sgd = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, nesterov=True, weight_decay=5e-4,
                          **timer.optimizer_options())
    if args.compile:
        compile_parts(net)
        for op in range(1, len(nb201.OPS)):  # all parts before anything is measured, one op at a time as in paths
            timer.loss(net, *batch, [[op] * len(nb201.EDGES)] * len(net.search_cells)).backward()

    def step(number):
        loss = timer.loss(net, *batch, paths[number])
        sgd.zero_grad(set_to_none=False)
        loss.backward()
        sgd.step()
        return loss

    timer.run(step)


if __name__ == "__main__":
    main()
