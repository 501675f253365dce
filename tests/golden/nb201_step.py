#!/usr/bin/env python3
"""Steps of a NAS-Bench-201 supernet in PyTorch, float64, for comparison with another implementation.

--in: a safetensors file (or a folder that holds nb201_in.safetensors) with every parameter and BN buffer under its
PyTorch name and in PyTorch layout, "input" (n, 3, h, w), "labels" (n) int64, and "paths" int64, (cells, 6) or
(steps, cells, 6). Channels, cells per stage, classes and BN affinity are read off the shapes.

--out: a safetensors file (or a folder, then nb201_out.safetensors in it), all from the same starting state, train mode:
  path/loss  path/logits  path/grad/NAME  path/buffer/NAME   forward and backward along paths[0], mean cross entropy;
                                                             NAME only where a gradient exists (it may be zero)
  all/...                                                    the same with every op on every edge
  sgd/skip/NAME      state after the steps of "paths" (if it has steps): SGD, gradients none between steps
  sgd/coast/NAME     the same, gradients zero-filled between steps (skipped until the first gradient only)
  sgd_momentum/MODE/NAME, sgd_loss/MODE (steps)              momentum buffers that exist; losses before each step
Exit status 77: PyTorch is missing.
"""
import argparse
import os
import random
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import numpy as np
    import torch
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import nb201  # noqa: E402
import safetensors_io  # noqa: E402


def one_step(state, paths, args):
    """Forward and backward; returns the tensors of one prefix."""
    net = nb201.from_state(state, torch.float64, args.none == "cut").train()
    x, y = torch.from_numpy(state["input"]).double(), torch.from_numpy(state["labels"]).long()
    logits = net(x, paths)
    loss = torch.nn.functional.cross_entropy(logits, y)
    loss.backward()
    out = {"loss": loss.detach().numpy(), "logits": logits.detach().numpy()}
    out.update({f"grad/{k}": p.grad.numpy() for k, p in net.named_parameters() if p.grad is not None})
    out.update({f"buffer/{k}": b.numpy() for k, b in net.named_buffers()})
    return out


def sgd_steps(state, paths, mode, args):
    """len(paths) SGD steps; returns (state after, momentum buffers, losses)."""
    net = nb201.from_state(state, torch.float64, args.none == "cut").train()
    x, y = torch.from_numpy(state["input"]).double(), torch.from_numpy(state["labels"]).long()
    sgd = torch.optim.SGD(net.parameters(), lr=args.lr, momentum=args.momentum, weight_decay=args.weight_decay,
                          nesterov=True)
    losses = []
    for path in paths:
        loss = torch.nn.functional.cross_entropy(net(x, path), y)
        sgd.zero_grad(set_to_none=mode == "skip")
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    momentum = {k: sgd.state[p]["momentum_buffer"].numpy() for k, p in net.named_parameters()
                if sgd.state.get(p, {}).get("momentum_buffer") is not None}
    return {k: v.numpy() for k, v in net.state_dict().items()}, momentum, np.array(losses)


def run(state, args):
    paths = state["paths"]
    steps = paths if paths.ndim == 3 else paths[None]
    out = {f"path/{k}": v for k, v in one_step(state, steps[0], args).items()}
    out.update({f"all/{k}": v for k, v in one_step(state, None, args).items()})
    if paths.ndim == 3:
        for mode in ("skip", "coast"):
            after, momentum, losses = sgd_steps(state, steps, mode, args)
            out.update({f"sgd/{mode}/{k}": v for k, v in after.items()})
            out.update({f"sgd_momentum/{mode}/{k}": v for k, v in momentum.items()})
            out[f"sgd_loss/{mode}"] = losses
    return out


def self_test(args):
    """A random small net: file round trip, and checks that do not rely on PyTorch's autograd or optimizer."""
    torch.manual_seed(0)
    rng, generator = random.Random(0), np.random.RandomState(0)
    net = nb201.Supernet(4, 1, 10, dtype=torch.float64)
    state = {k: v.numpy() for k, v in net.state_dict().items()}
    state.update(input=generator.standard_normal((6, 3, 8, 8)), labels=generator.randint(0, 10, 6),
                 paths=np.array([nb201.sample_paths(rng, 3) for _ in range(3)]))
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "nb201_in.safetensors"), os.path.join(folder, "nb201_out.safetensors")
        safetensors_io.save(source, state)
        assert main(["--in", folder, "--out", folder]) == 0
        back, out = safetensors_io.load(source)[0], safetensors_io.load(target)[0]
    assert back.keys() == state.keys() and all(np.array_equal(back[k], state[k]) and back[k].dtype == state[k].dtype
                                               and back[k].shape == state[k].shape for k in state)
    expected = run(state, args)
    assert out.keys() == expected.keys() and all(np.array_equal(out[k], expected[k]) for k in expected)
    # Central differences along a random direction, one per prefix. Error about h^2 + eps / h, ReLU kinks aside.
    for prefix, paths in (("path", state["paths"][0]), ("all", None)):
        direction = {k[len(prefix) + 6:]: generator.standard_normal(v.shape) for k, v in out.items()
                     if k.startswith(prefix + "/grad/")}
        h, loss = 1e-6, []
        for sign in (h, -h):
            moved = dict(state, **{k: state[k] + sign * d for k, d in direction.items()})
            loss.append(one_step(moved, paths, args)["loss"])
        slope = sum((out[f"{prefix}/grad/{k}"] * d).sum() for k, d in direction.items())
        assert abs((loss[0] - loss[1]) / (2 * h) - slope) < 1e-6 * max(1, abs(slope)), (prefix, loss, slope)
    # The two modes must differ, exactly where a parameter rests after its first gradient, by the closed form of coasting.
    lr, mu, wd = args.lr, args.momentum, args.weight_decay
    touched = []
    for s in range(3):
        one = dict(state, paths=state["paths"][s])
        touched.append({k[5:] for k in one_step(one, one["paths"], args) if k.startswith("grad/")})
    resting = sorted(touched[0] - touched[1] - touched[2])
    assert resting and all(np.array_equal(out[f"sgd/skip/{k}"], state[k])
                           for k, _ in net.named_parameters() if k not in set.union(*touched))
    for k in resting:
        w, d = state[k], out[f"path/grad/{k}"] + wd * state[k]
        v = d
        w = w - lr * (d + mu * v)
        assert np.allclose(out[f"sgd/skip/{k}"], w, rtol=0, atol=1e-14), k
        for _ in range(2):
            d = wd * w
            v = mu * v + d
            w = w - lr * (d + mu * v)
        assert np.allclose(out[f"sgd/coast/{k}"], w, rtol=0, atol=1e-14), k
    print(f"self-test passed: {len(out)} tensors, {len(resting)} resting parameters")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", help="safetensors file or folder")
    parser.add_argument("--out", dest="target", help="safetensors file or folder")
    parser.add_argument("--none", choices=("zero", "cut"), default="zero",
                        help="zero: `none` multiplies by 0 (the original); cut: a `none` edge is absent, ops that only "
                             "feed such edges get no gradient")
    parser.add_argument("--lr", type=float, default=0.025)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=5e-4)
    parser.add_argument("--self-test", action="store_true", help="check this program on a random small net")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.self_test:
        self_test(args)
        return 0
    if not args.source or not args.target:
        parser.error("--in and --out are required")
    source, target = (os.path.join(p, name) if os.path.isdir(p) else p for p, name in
                      ((args.source, "nb201_in.safetensors"), (args.target, "nb201_out.safetensors")))
    safetensors_io.save(target, run(safetensors_io.load(source)[0], args))
    return 0


if __name__ == "__main__":
    sys.exit(main())
