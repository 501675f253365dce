#!/usr/bin/env python3
"""Compares the DARTS network and steps of this folder, in float64, with reference values in a JSON file.

The file's keys `search_C{c}_L{l}`, and PC-DARTS's `{cifar|imagenet}_K{k}_C{c}_L{l}`, hold the logits of a training forward, the loss, the norm of the weights' gradients,
the alphas' (and betas') gradients, and of the former the logits of an evaluation forward before that;
`architect_{no_momentum_buffer|after_one_sgd_step}_{first|second}_order` the alphas' gradients of the architecture step
on the smallest of those networks. Weights, pictures and alphas follow the file's rule: see `uniform` and `fill`. Both
the plain and the tuned code are checked.
Exit status: 0 if all agree within 1e-9 * max(|b|, rms of b), 1 if not, 77 if PyTorch is missing."""
import argparse
import json
import re
import sys

try:
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import bilevel
import darts

KEY = re.compile(r"(?:search|(cifar|imagenet)_K(\d+))_C(\d+)_L(\d+)$")
BATCH = {False: (8, 32), True: (4, 64)}  # pictures and their size; with the stems of ImageNet


def uniform(count, seed):
    """A linear congruential generator's values in [0, 1); seed itself is not used."""
    values = []
    for _ in range(count):
        seed = (1664525 * seed + 1013904223) % (1 << 32)
        values.append(seed / (1 << 32))
    return torch.tensor(values, dtype=torch.float64)


def fill(net):
    number = 0
    for name, t in net.state_dict().items():
        if not t.is_floating_point():
            continue
        u = uniform(t.numel(), 12345 + 7919 * number).reshape(t.shape)
        w, number = 2 * u - 1, number + 1
        if name.endswith("running_var"):
            t.copy_(0.75 + 0.5 * u)
        elif t.dim() == 1:
            t.copy_(1 + 0.2 * w if name.endswith("weight") else 0.1 * w)
        else:
            t.copy_((6 / (t.numel() / len(t))) ** 0.5 * w)
    for b, function, rate in zip(net.alphas[2:], (torch.sin, torch.cos), (1.1, 0.9)):
        b.data.copy_(0.5 * function(rate * torch.arange(b.numel(), dtype=torch.float64)))
    for a, (rate, offset) in zip(net.alphas, ((1.7, 0), (2.3, 1))):
        a.data.copy_(0.3 * torch.sin(rate * torch.arange(a.numel(), dtype=torch.float64) + offset).reshape(a.shape))


def batch(number, imagenet=False):
    """Pictures and labels of the batch for weights (0) or alphas (1)."""
    n, size = BATCH[imagenet]
    x = 3 ** 0.5 * (2 * uniform(n * 3 * size * size, 99 + number) - 1)
    return x.reshape(n, 3, size, size), (3 * torch.arange(n) + 1 + 2 * number) % 10


def loss_of(net, x, y):
    return torch.nn.functional.cross_entropy(net(x), y)


def check_search(net, expected):
    unseen, (x, labels) = None, batch(0, net.imagenet)
    if "eval_logits" in expected:
        with torch.no_grad():
            unseen = net.eval()(x)
    logits = net.train()(x)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    found = {"logits": logits, "loss": loss, "dalpha_normal": net.alphas[0].grad, "dalpha_reduce": net.alphas[1].grad,
             "wgrad_norm": torch.linalg.vector_norm(torch.cat([w.grad.flatten() for w in net.parameters()])),
             **{name: b.grad for name, b in zip(("dbeta_normal", "dbeta_reduce"), net.alphas[2:])},
             "nparams": torch.tensor(float(sum(w.numel() for w in net.parameters())))}
    found["eval_logits"] = unseen
    return found, {k: v for k, v in expected.items() if k in found}


def check_architect(net, build, key, tuned):
    search = bilevel.Bilevel(net, loss_of, torch.optim.SGD(net.parameters(), 0.025, 0.9, weight_decay=3e-4),
                             torch.optim.Adam(net.alphas), build, tuned=tuned)
    if "after_one_sgd_step" in key:
        search.weight_step(batch(0))
    if key.endswith("first_order"):
        search.first_order(batch(1))
    else:
        search.second_order(batch(0), batch(1))
    return {"dalpha_normal": net.alphas[0].grad, "dalpha_reduce": net.alphas[1].grad}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("file")
    args = p.parse_args()
    with open(args.file) as f:
        golden = json.load(f)
    sizes = sorted(tuple(int(v or 1) for v in m.groups()[1:]) for m in map(KEY.match, golden) if m)
    if not sizes:
        sys.exit(f"{args.file}: no key search_C.._L.. and no cifar_K.._C.._L..")
    wrong = 0
    for key, expected in golden.items():
        search = KEY.match(key)
        if not search and not key.startswith("architect_"):
            continue
        partial, c, layers = (int(v or 1) for v in search.groups()[1:]) if search else sizes[0]
        imagenet = bool(search) and search[1] == "imagenet"
        for tuned in (False, True):
            def build():
                return darts.Network(c, layers, tuned=tuned, partial=partial, imagenet=imagenet,
                                     betas=partial > 1).double()

            net = build()
            fill(net)
            if search:
                found, wanted = check_search(net, expected)
            else:
                found, wanted = check_architect(net, build, key, tuned), expected
            for name, value in wanted.items():
                b = torch.tensor(value, dtype=torch.float64).flatten()
                a = found[name].detach().flatten()
                scale = torch.clamp(b.abs(), min=b.square().mean().sqrt().item())
                worst = ((a - b).abs() / scale).max().item() if a.shape == b.shape else float("inf")
                ok = worst <= 1e-9  # a NaN is not
                wrong += not ok
                print(f"{key} {'tuned' if tuned else 'plain'} {name}: {worst:.2e}{'' if ok else ' DIFFERS'}")
    print("agrees" if not wrong else f"{wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
