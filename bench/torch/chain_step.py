#!/usr/bin/env python3
"""Training steps of SPOS's ShuffleNetV2 and AngleNAS's MobileNet supernet in plain PyTorch, timed; prints one line of
JSON.

A step is the published programs': forward of one path, cross-entropy with smoothed labels, backward, gradients that are
all zero taken from their parameters (by the sum in SPOS, of absolute values in AngleNAS, which clamps gradients before),
SGD with momentum over all parameters, of which batch norms and biases but the classifier's do not decay. The batch and
the paths are made before.

--check FILE: the steps that `bench_chain_step --check FILE` has written, repeated in float64; exit status 1 where a loss
or a number of the network after them differs by more than --tolerance, relative to the tensor's largest change."""
import json
import sys

import torch

import timing
from spos import WIDTHS, Supernet

CLASSES, RATE = 1000, {"shufflenet": 0.005, "mobilenet": 0.0025}


class Step:
    def __init__(self, net, args, **options):
        self.net, self.args, self.mobile = net, args, args.space == "mobilenet"
        decays = {True: [], False: []}
        for name, p in net.named_parameters():
            decays[p.dim() > 1 or name.startswith("classifier")].append(p)
        groups = [{"params": p, "weight_decay": 4e-5 if yes else 0} for yes, p in decays.items() if p]
        self.sgd = torch.optim.SGD(groups, lr=RATE[args.space], momentum=0.9, **options)
        if options.get("fused"):  # which cannot step parameters of which only some have a momentum yet
            for p in net.parameters():
                self.sgd.state[p]["momentum_buffer"] = torch.zeros_like(p)

    def __call__(self, x, y, path):
        with torch.autocast(self.args.device, dtype=torch.bfloat16, enabled=self.args.precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(self.net(x, path), y, label_smoothing=0.1)
        self.sgd.zero_grad(**{"set_to_none": True} if self.args.tuned else {})
        loss.backward()
        if self.mobile:
            torch.nn.utils.clip_grad_value_(self.net.parameters(), 5)
        if not self.args.tuned:
            for p in self.net.parameters():
                if p.grad is not None and (p.grad.abs().sum() if self.mobile else p.grad.sum()) == 0:
                    p.grad = None
        self.sgd.step()
        return loss


def supernet(args, dropout):
    mobile = args.space == "mobilenet"
    return Supernet(args.space, bias=mobile, dropout=0 if mobile else dropout, slices=args.tuned).train()


def check(args):
    import numpy as np
    import safetensors_io
    tensors, about = safetensors_io.load(args.check)
    names, paths, losses, rates = (json.loads(about[key]) for key in ("names", "paths", "losses", "rates"))
    torch.set_num_threads(args.threads)
    net = supernet(args, 0).double()
    state = net.state_dict()
    # Modules are registered in the published order: names only differ.
    given = [n for n in names if f"before/{n}" in tensors]
    mine = [n for n in state if not n.endswith("num_batches_tracked")]
    given = [n for n in given if not n.endswith("num_batches_tracked")]
    if [state[n].shape for n in mine] != [tensors[f"before/{n}"].shape for n in given]:
        sys.exit(f"{args.check}: {len(given)} tensors, other shapes than the {len(mine)} of here")
    net.load_state_dict({m: torch.from_numpy(tensors[f"before/{g}"]) for m, g in zip(mine, given)}, strict=False)
    step, worst = Step(net, args), 0.0
    x, y = torch.from_numpy(tensors["pictures"]), torch.from_numpy(tensors["labels"]).long()
    for path, loss, rate in zip(paths, losses, rates):
        for group in step.sgd.param_groups:
            group["lr"] = rate
        found = step(x, y, path).item()
        print(f"loss {loss:.12f} given, {found:.12f} expected")
        worst = max(worst, abs(found - loss) / abs(loss))
    state, moved = net.state_dict(), 0
    for m, g in zip(mine, given):
        before, after, expected = tensors[f"before/{g}"], tensors[f"after/{g}"], state[m].numpy()
        change = np.abs(expected - before).max()
        moved += change > 0
        gap = np.abs(after - expected).max()
        # What has not moved must be the same bits; what moves by rounding alone (means of what has mean 0) is no more.
        error = 0.0 if gap == 0 else gap / max(change, 1e-7) if change > 0 else np.inf
        if error > args.tolerance:
            print(f"{g}: differs by {error:.3e} of its largest change {change:.3e}")
        worst = max(worst, error)
    print(f"{len(paths)} steps, {len(mine)} tensors, {moved} moved; largest relative difference {worst:.3e}")
    sys.exit(int(worst > args.tolerance))


def main():
    p = timing.parser(__doc__, "the candidates, the stem and the last convolution",
                      "gradients are dropped and not looked through, channels shuffled by slices, a fused optimizer")
    p.add_argument("--space", choices=WIDTHS, default="shufflenet")
    p.add_argument("--size", type=int, default=224)
    p.add_argument("--paths", help="JSON list, by step, of the blocks' ops; else from --seed")
    p.add_argument("--check", help="file of `bench_chain_step --check`")
    p.add_argument("--tolerance", type=float, default=1e-8)
    args = p.parse_args()
    if args.check:
        return check(args)
    timer = timing.Timing(args)
    net = timer.place(supernet(args, 0.1))
    paths = timing.paths_of(args, lambda rng: [rng.randrange(len(block)) for block in net.blocks])
    x = timer.place(torch.rand(args.batch, 3, args.size, args.size) * 2 - 1)
    y = torch.tensor([i * 977 % CLASSES for i in range(args.batch)], device=args.device)
    step = Step(net, args, **timer.optimizer_options())
    if args.compile:
        timing.compile_forward([net.stem, net.last, *(op for block in net.blocks for op in block)])
        for op in range(len(net.blocks[0])):
            net(x, [op] * len(net.blocks)).sum().backward()
    timer.run(lambda number: step(x, y, paths[number]), space=args.space)


if __name__ == "__main__":
    main()
