#!/usr/bin/env python3
"""Training steps of supernets of chains of blocks in PyTorch, float64, for comparison with another implementation.

--in: a JSON object: space (shufflenet, shufflenet-mmrazor or mobilenet), tensors (name and shape of every parameter, in
order), paths (operator ids, a list per step), blocks (in, out and stride of each), batch, size, classes, smoothing,
rates, momentum, weight_decay, decay (the names that decay), clip_norm and clip_value (0: off), coast (gradients are
zeros between steps, else none).
--out: a safetensors file: losses; head/NAME, the first 64 elements, and dot/NAME, the scalar products with 1 and with
v(i, 7), of each parameter, buffer (buffer/NAME) and momentum buffer (momentum/NAME) after the steps.

Element i of tensor t is v(i, t) = 2 h / 2^32 - 1, h murmur3's finaliser of i + 0x9E3779B9 (t + 1), for weights times
sqrt(1 / fan_in), 1 + 0.1 v for a batch norm's weight and 0.1 v for other vectors; pictures are v(i, 1000003) in the
order (n, 3, h, w), labels (3 n + 1) mod classes.
Exit status 77: PyTorch is missing.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "torch"))
try:
    import numpy as np
    import torch
    import torch.nn.functional as F
except ImportError as error:
    print(f"[SKIPPED] {error}")
    sys.exit(77)
import safetensors_io  # noqa: E402


def hashed(count, t):
    h = np.arange(count, dtype=np.uint64) + np.uint64(0x9E3779B9 * (t + 1) % 2 ** 32)
    h = h.astype(np.uint32)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return 2.0 * h.astype(np.float64) / 4294967296.0 - 1


def start(name, shape, index):
    v = hashed(int(np.prod(shape)), index).reshape(shape)
    if len(shape) > 1:
        return v * np.sqrt(shape[0] / v.size)
    return 1 + 0.1 * v if name.endswith(".weight") else 0.1 * v


class Net:
    """Parameters by name; batch norms' statistics are made where they are met."""

    def __init__(self, given):
        self.given = given
        self.parameters = {n: torch.nn.Parameter(torch.from_numpy(start(n, s, i)))
                           for i, (n, s) in enumerate(given["tensors"])}
        self.buffers = {}

    def unit(self, x, conv, norm, stride=1, activation=None):
        w = self.parameters[conv + ".weight"]
        x = F.conv2d(x, w, None, stride, w.shape[2] // 2, 1, x.shape[1] // w.shape[1])
        if norm not in self.buffers:
            c = x.shape[1]
            self.buffers[norm] = (torch.zeros(c, dtype=x.dtype), torch.ones(c, dtype=x.dtype))
        mean, var = self.buffers[norm]
        x = F.batch_norm(x, mean, var, self.parameters.get(norm + ".weight"), self.parameters.get(norm + ".bias"), True)
        return activation(x) if activation else x

    def branch(self, x, prefix, pattern, stride):
        """p: 1x1, norm and ReLU; d: depthwise and norm. The first depthwise convolution has the stride."""
        at = unit = 0
        for i, kind in enumerate(pattern):
            if self.given["space"] == "shufflenet":
                conv, norm = f"{prefix}.{at}", f"{prefix}.{at + 1}"
                at += 3 if kind == "p" else 2
            elif len(pattern) == 6:
                module = f"{prefix}.{i // 2}.{'depthwise_conv' if kind == 'd' else 'pointwise_conv'}"
                conv, norm = module + ".conv", module + ".bn"
            else:
                conv, norm = f"{prefix}.{i}.conv", f"{prefix}.{i}.bn"
            x = self.unit(x, conv, norm, stride if kind == "d" else 1, F.relu if kind == "p" else None)
            stride = 1 if kind == "d" else stride
        return x

    def shuffle_block(self, x, name, op, stride):
        original = self.given["space"] == "shufflenet"
        main, side = (".branch_main", ".branch_proj") if original else (".branch2", ".branch1")
        if stride == 1:
            passed, x = (x[:, 0::2], x[:, 1::2]) if original else x.chunk(2, 1)
        else:
            passed = self.branch(x, name + side, "dp", stride)
        x = torch.cat((passed, self.branch(x, name + main, "pdp" if op < 3 else "dpdpdp", stride)), 1)
        if original:
            return x
        n, c, h, w = x.shape
        return x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

    def mbconv(self, x, name, stride, expands=True):
        y, at = x, 0
        for i in range(3 if expands else 2):
            last, depthwise = i == (2 if expands else 1), i == (1 if expands else 0)
            y = self.unit(y, f"{name}.conv.{at}", f"{name}.conv.{at + 1}", stride if depthwise else 1,
                          None if last else F.relu6)
            at += 3
        return x + y if stride == 1 and x.shape == y.shape else y

    def forward(self, x, path):
        space = self.given["space"]
        mobile = space == "mobilenet"
        if space == "shufflenet-mmrazor":
            x = self.unit(x, "architecture.backbone.conv1.conv", "architecture.backbone.conv1.bn", 2, F.relu)
        else:
            stem = "conv_bn" if mobile else "first_conv"
            x = self.unit(x, stem + ".0", stem + ".1", 2, F.relu6 if mobile else F.relu)
        if mobile:
            x = self.mbconv(x, "MBConv_ratio_1", 1, False)
        names = ("shuffle_3x3", "shuffle_5x5", "shuffle_7x7", "shuffle_xception")
        for i, (op, block) in enumerate(zip(path, self.given["blocks"])):
            if mobile:
                x = x if op < 0 else self.mbconv(x, f"features.{i}._ops.{op}", block["stride"])
            elif space == "shufflenet":
                x = self.shuffle_block(x, f"features.{i}.{op}", op, block["stride"])
            else:
                x = self.shuffle_block(x, f"architecture.{block['module']}._candidates.{names[op]}", op, block["stride"])
        if space == "shufflenet-mmrazor":
            x = self.unit(x, "architecture.backbone.layers.4.conv", "architecture.backbone.layers.4.bn", 1, F.relu)
            head = "architecture.head.fc"
        else:
            last, head = "conv_1x1_bn" if mobile else "conv_last", "classifier.0"
            x = self.unit(x, last + ".0", last + ".1", 1, F.relu6 if mobile else F.relu)
        return F.linear(x.mean((2, 3)), self.parameters[head + ".weight"], self.parameters.get(head + ".bias"))


def run(given):
    net = Net(given)
    decays = set(given["decay"])
    groups = [{"params": [p for n, p in net.parameters.items() if (n in decays) == yes],
               "weight_decay": given["weight_decay"] if yes else 0} for yes in (True, False)]
    sgd = torch.optim.SGD([g for g in groups if g["params"]], lr=1, momentum=given["momentum"])
    n, size, classes = given["batch"], given["size"], given["classes"]
    x = torch.from_numpy(hashed(n * 3 * size * size, 1000003).reshape(n, 3, size, size))
    y = torch.tensor([(3 * i + 1) % classes for i in range(n)])
    losses = []
    for path, rate in zip(given["paths"], given["rates"]):
        for group in sgd.param_groups:
            group["lr"] = rate
        loss = F.cross_entropy(net.forward(x, path), y, label_smoothing=given["smoothing"])
        sgd.zero_grad(set_to_none=not given["coast"])
        loss.backward()
        if given["clip_value"] > 0:
            torch.nn.utils.clip_grad_value_(net.parameters.values(), given["clip_value"])
        if given["clip_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(net.parameters.values(), given["clip_norm"])
        sgd.step()
        losses.append(loss.item())
    out = {"losses": np.array(losses)}

    def put(name, tensor):
        flat = tensor.detach().numpy().ravel()
        out["head/" + name] = flat[:64].copy()
        out["dot/" + name] = np.array([flat.sum(), flat @ hashed(flat.size, 7)])

    for name, p in net.parameters.items():
        put(name, p)
        if sgd.state.get(p, {}).get("momentum_buffer") is not None:
            put("momentum/" + name, sgd.state[p]["momentum_buffer"])
    for norm, (mean, var) in net.buffers.items():
        put(f"buffer/{norm}.running_mean", mean)
        put(f"buffer/{norm}.running_var", var)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", required=True)
    parser.add_argument("--out", dest="target", required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with open(args.source) as f:
        given = json.load(f)
    safetensors_io.save(args.target, run(given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
