#!/usr/bin/env python3
"""Training steps of RLNAS's DARTS path supernet (C = 16, 8 cells) in plain PyTorch, timed; prints one line of JSON.

A step is RLNAS's: forward of one path, cross-entropy, backward, clipping by the norm of all gradients, SGD with momentum
and weight decay over all parameters, gradients zeroed and not dropped (so that weights off the path coast). The batch
and the paths are made before; every parameter has a gradient from the start, as after the first minutes of a training."""

import torch

import darts_path
import timing


def main():
    p = timing.parser(__doc__, "operators, preprocessings and stem",
                      "leave `none` edges out instead of multiplying by zero, and keep all parameters in one vector, "
                      "whose gradients are cleared, clipped and applied in a few calls")
    p.add_argument("--paths", help="JSON list, by step, of the ops of normal and reduction cells; else from --seed")
    p.add_argument("--no-affine", action="store_true", help="batch norms of the cells without gamma and beta")
    args = p.parse_args()
    timer = timing.Timing(args)
    net = darts_path.Supernet(affine=not args.no_affine, cut_none=args.tuned)
    paths = timing.paths_of(args, darts_path.sample_path)
    batch, net = timer.batch(), timer.place(net)
    if args.tuned and args.device == "cpu":
        flat = darts_path.Flat(net)
    else:
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
        flat, sgd = None, torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4,
                                          **timer.optimizer_options())
    if args.compile:
        timing.compile_forward([net.stem, *(m for cell in net.cells for m in (cell.preprocess0, cell.preprocess1))])
        timing.compile_forward([op for cell in net.cells for edge in cell._ops for op in edge._ops[1:]])
        for op in range(1, 8):  # all parts before anything is measured, one op at a time as in paths
            timer.loss(net, *batch, [[op] * 14] * 2).backward()

    def step(number):
        loss = timer.loss(net, *batch, paths[number])
        if flat:
            flat.gradients.zero_()
        else:
            sgd.zero_grad(set_to_none=False)
        loss.backward()
        if flat:
            flat.step(0.025, 0.9, 3e-4, 5)
        else:
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
            sgd.step()
        return loss

    timer.run(step)


if __name__ == "__main__":
    main()
