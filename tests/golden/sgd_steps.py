#!/usr/bin/env python3
"""Steps of torch.optim.SGD with clipping by value and weight decay of some parameters only, float64.

Usage: sgd_steps.py IN.safetensors OUT.safetensors --clip-value V --lr LR --momentum M --weight-decay D [--nesterov]
                    [--coast]
IN holds "w/NAME" for each parameter, "decays/NAME" (1) of int64, and "g/STEP/NAME" where it has a gradient in that step;
"steps" (1) int64. With --coast gradients are zero-filled between steps, as PyTorch 1 did: one that was there once is zero
where none is given. OUT holds "w/NAME" and "v/NAME" (momentum, where there is one) after all steps.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import safetensors_io  # noqa: E402


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("to")
    parser.add_argument("--clip-value", type=float, default=0)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--momentum", type=float, required=True)
    parser.add_argument("--weight-decay", type=float, required=True)
    parser.add_argument("--nesterov", action="store_true")
    parser.add_argument("--coast", action="store_true")
    args = parser.parse_args()
    given, _ = safetensors_io.load(args.source)
    names = [name[2:] for name in given if name.startswith("w/")]
    parameters = {n: torch.nn.Parameter(torch.from_numpy(given["w/" + n].copy()).double()) for n in names}
    decaying = {n for n in names if given["decays/" + n][0]}
    groups = [{"params": [parameters[n] for n in names if n in decaying], "weight_decay": args.weight_decay},
              {"params": [parameters[n] for n in names if n not in decaying], "weight_decay": 0}]
    sgd = torch.optim.SGD([g for g in groups if g["params"]], lr=args.lr, momentum=args.momentum,
                          nesterov=args.nesterov)
    for step in range(int(given["steps"][0])):
        sgd.zero_grad(set_to_none=not args.coast)
        for n in names:
            if f"g/{step}/{n}" in given:
                parameters[n].grad = torch.from_numpy(given[f"g/{step}/{n}"].copy()).double()
        if args.clip_value > 0:
            torch.nn.utils.clip_grad_value_(parameters.values(), args.clip_value)
        sgd.step()
    out = {"w/" + n: p.detach().numpy() for n, p in parameters.items()}
    for n, p in parameters.items():
        if sgd.state[p].get("momentum_buffer") is not None:
            out["v/" + n] = sgd.state[p]["momentum_buffer"].numpy()
    safetensors_io.save(args.to, out)


if __name__ == "__main__":
    main()
