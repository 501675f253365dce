#!/usr/bin/env python3
"""Steps of torch.optim.Adam with given gradients, for comparison with another implementation.

--in: a safetensors file with w/R (n) for each parameter R, g/R/S (n) where parameter R has a gradient in step S (else it
is None), "rates" (steps), and "options": beta1, beta2, eps, weight decay, and the norm that gradients are clipped to or 0.
--out: w/R, m/R and v/R after the last step, in the type of w; m and v only where they exist; steps/R.
Exit status 77: PyTorch is missing.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import safetensors_io  # noqa: E402


def run(given):
    names = sorted(k[2:] for k in given if k.startswith("w/"))
    parameters = {n: torch.nn.Parameter(torch.from_numpy(given[f"w/{n}"])) for n in names}
    beta1, beta2, eps, decay, clip = given["options"].tolist()
    adam = torch.optim.Adam(parameters.values(), lr=1, betas=(beta1, beta2), eps=eps, weight_decay=decay)
    for step, rate in enumerate(given["rates"].tolist()):
        adam.param_groups[0]["lr"] = rate
        for name, p in parameters.items():
            g = given.get(f"g/{name}/{step}")
            p.grad = None if g is None else torch.from_numpy(g)
        if clip > 0:
            torch.nn.utils.clip_grad_norm_(parameters.values(), clip)
        adam.step()
    out = {}
    for name, p in parameters.items():
        out[f"w/{name}"] = p.detach().numpy()
        state = adam.state.get(p)
        if state:
            out[f"m/{name}"], out[f"v/{name}"] = state["exp_avg"].numpy(), state["exp_avg_sq"].numpy()
        out[f"steps/{name}"] = np.array([int(state["step"]) if state else 0])
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", required=True)
    parser.add_argument("--out", dest="target", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    safetensors_io.save(args.target, run(safetensors_io.load(args.source)[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
