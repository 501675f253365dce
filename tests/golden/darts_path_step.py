#!/usr/bin/env python3
"""Steps of RLNAS's DARTS path supernet in PyTorch, float64, for comparison with another implementation.

--in: a safetensors file with every parameter and running statistic under its PyTorch name and in PyTorch layout,
"input" (n, 3, h, w), "labels" (n) int64 and "paths" (steps, 2, 14) int64, the ops of normal and of reduction cells.
Channels, cells, classes and whether the cells' batch norms are affine are read off the names and shapes.

--out: a safetensors file, all from the same starting state, train mode:
  STEP/loss  STEP/logits  STEP/grad/NAME  STEP/buffer/NAME  forward and backward along paths[STEP], mean cross entropy;
                                                            NAME only where a gradient exists
  sgd/skip/NAME      state after a step along each path: clipped by norm, SGD with momentum, gradients none between steps
  sgd/coast/NAME     the same, gradients zero-filled between steps (skipped until the first gradient only)
  sgd_norm/MODE, sgd_loss/MODE (steps)                      norms before clipping and losses before each step
"""
import argparse
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
import numpy as np  # noqa: E402
import torch  # noqa: E402
import darts_path  # noqa: E402
import safetensors_io  # noqa: E402


def network(state, cut_none):
    cells = 1 + max(int(m.group(1)) for m in (re.match(r"cells\.(\d+)\.", name) for name in state) if m)
    net = darts_path.Supernet(state["stem.0.weight"].shape[0] // 3, cells, state["classifier.weight"].shape[0],
                              "cells.0.preprocess1.op.2.weight" in state, cut_none).double().train()
    own = net.state_dict()
    left = {name for name in own if name not in state and not name.endswith("num_batches_tracked")}
    left |= {name for name in state if name not in own} - {"input", "labels", "paths"}
    assert not left, sorted(left)
    net.load_state_dict({name: torch.from_numpy(np.array(state[name])) if name in state else value
                         for name, value in own.items()})
    return net


def loss_of(net, state, path):
    x, y = torch.from_numpy(state["input"]).double(), torch.from_numpy(state["labels"]).long()
    logits = net(x, path)
    return torch.nn.functional.cross_entropy(logits, y), logits


def one_step(state, path):
    net = network(state, False)
    loss, logits = loss_of(net, state, path)
    loss.backward()
    out = {"loss": loss.detach().numpy(), "logits": logits.detach().numpy()}
    out.update({f"grad/{k}": p.grad.numpy() for k, p in net.named_parameters() if p.grad is not None})
    out.update({f"buffer/{k}": b.numpy() for k, b in net.named_buffers() if b.dim() > 0})
    return out


def sgd_steps(state, mode, args):
    net = network(state, mode == "skip")
    sgd = torch.optim.SGD(net.parameters(), lr=args.lr, momentum=0.9, weight_decay=args.weight_decay)
    losses, norms = [], []
    for path in state["paths"].tolist():
        loss = loss_of(net, state, path)[0]
        sgd.zero_grad(set_to_none=mode == "skip")
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), args.clip).item())
        sgd.step()
        losses.append(loss.item())
    out = {f"sgd/{mode}/{k}": (v if v.dim() > 0 else v.double().reshape(1)).numpy() for k, v in net.state_dict().items()}
    out[f"sgd_loss/{mode}"], out[f"sgd_norm/{mode}"] = np.array(losses), np.array(norms)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", required=True)
    parser.add_argument("--out", dest="target", required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--weight-decay", type=float, required=True)
    parser.add_argument("--clip", type=float, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    state, out = safetensors_io.load(args.source)[0], {}
    for step, path in enumerate(state["paths"].tolist()):
        out.update({f"{step}/{k}": v for k, v in one_step(state, path).items()})
    for mode in ("skip", "coast"):
        out.update(sgd_steps(state, mode, args))
    safetensors_io.save(args.target, out)


if __name__ == "__main__":
    main()
