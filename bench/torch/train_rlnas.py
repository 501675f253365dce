#!/usr/bin/env python3
"""Trains the NAS-Bench-201 supernet as RLNAS does (CVPR 2021) in plain PyTorch, and after each epoch ranks all 15 625
architectures by angle to the initial weights and compares the ranking with a table of trained accuracies."""
import argparse
import csv
import json
import math
import os
import random
import time

import numpy as np
import torch

import angle
import nb201
import safetensors_io

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


def load_pictures(folder, cache):
    """Returns (n, 3, 32, 32) uint8 and n labels. folder: the binary CIFAR-10 batches, in file order, or
    DIR/train/CLASS/*.{jpg,png}, by sorted class and then sorted file name."""
    if os.path.exists(os.path.join(folder, "data_batch_1.bin")):
        raw = np.concatenate([np.fromfile(os.path.join(folder, f"data_batch_{i}.bin"), np.uint8) for i in range(1, 6)])
        raw = raw.reshape(-1, 3073)
        return raw[:, 1:].reshape(-1, 3, 32, 32), raw[:, 0].astype(np.int64)
    if cache and os.path.exists(cache):
        with np.load(cache) as stored:
            return stored["x"], stored["y"]
    from PIL import Image
    root, x, y = os.path.join(folder, "train"), [], []
    for label, name in enumerate(sorted(os.listdir(root))):
        for file in sorted(os.listdir(os.path.join(root, name))):
            with Image.open(os.path.join(root, name, file)) as picture:
                x.append(np.asarray(picture.convert("RGB")).transpose(2, 0, 1))
            y.append(label)
    x, y = np.stack(x), np.array(y, np.int64)
    if cache:
        with open(cache, "wb") as f:  # an open file keeps NumPy from changing the name
            np.savez(f, x=x, y=y)
    return x, y


def augment(windows, index, rng):
    """windows: (n, 3, 9, 9, 32, 32) views of zero-padded pictures. Flip, crop, normalise; (b, 3, 32, 32) float32.

    The padding is symmetric, so flipping the crop has the distribution of cropping the flipped picture."""
    top, left = rng.randint(0, 9, (2, len(index)))
    crops = windows[index, :, top, left]
    flip = rng.random_sample(len(index)) < 0.5
    crops[flip] = crops[flip, :, :, ::-1]
    mean, std = (np.float32(v).reshape(1, 3, 1, 1) for v in (MEAN, STD))
    return torch.from_numpy((crops - mean) / std)


def read_table(path, column):
    """Accuracies in the order of angle.ARCHS."""
    with open(path, newline="") as f:
        rows = {r["arch"]: float(r[column]) for r in csv.DictReader(f)}
    return np.array([rows[angle.arch_string(a)] for a in angle.ARCHS])


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--data", required=True, help="folder of train/CLASS/*.jpg, or of the binary CIFAR-10 batches")
    p.add_argument("--cache", help=".npz file to keep decoded pictures in")
    p.add_argument("--labels", choices=("random", "true"), default="random")
    p.add_argument("--split", choices=("nb201", "all"), default="nb201", help="nb201: 25 000 of the 50 000 pictures")
    p.add_argument("--epochs", type=int, default=10, help="length of the cosine schedule")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--seed", type=int, default=0, help="weights, labels, batches, augmentation and paths")
    p.add_argument("--inactive", choices=("skip", "coast"), default="coast",
                   help="gradients of ops off the path after their first use: none, or zero (decay and momentum go on)")
    p.add_argument("--channels-last", action="store_true",
                   help="faster on CPUs; PyTorch 1.13 then sums BN statistics less exactly (4e-6 relative, not 5e-8)")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu")
    p.add_argument("--table", required=True, help="CSV with the columns arch and --column")
    p.add_argument("--column", default="cifar10_test_200")
    p.add_argument("--out", required=True, help="folder for epoch_K.safetensors and angles_K.npy (K = 0: initial weights)")
    p.add_argument("--log", required=True, help="file to append one JSON line per epoch to")
    p.add_argument("--steps", type=int, help="stop after so many steps, print seconds per step, save nothing")
    args = p.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    accuracy = read_table(args.table, args.column)
    x, y = load_pictures(args.data, args.cache)
    if args.labels == "random":
        y = np.random.RandomState(args.seed).randint(0, 10, len(y))
    if args.split == "nb201":
        order = list(range(len(x)))
        random.Random(1021).shuffle(order)
        keep = np.sort(order[:len(order) // 2])
        x, y = x[keep], y[keep]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4))), (32, 32), (2, 3))
    y = torch.from_numpy(y)

    net = nb201.Supernet().to(args.device)
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)
    sgd = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, nesterov=True, weight_decay=5e-4)
    path_rng, data_rng = random.Random(args.seed), np.random.RandomState(args.seed + 1)

    def state():
        return {k: v.detach().cpu().contiguous().numpy().copy() for k, v in net.state_dict().items()}

    init, step = state(), 0
    if not args.steps:
        os.makedirs(args.out, exist_ok=True)
        safetensors_io.save(os.path.join(args.out, "epoch_0.safetensors"), init)
    for epoch in range(args.epochs):
        start, total, correct = time.time(), 0.0, 0
        lr = 0.001 + 0.024 * (1 + math.cos(math.pi * epoch / args.epochs)) / 2
        for group in sgd.param_groups:
            group["lr"] = lr
        order = data_rng.permutation(len(x))
        net.train()
        for begin in range(0, len(order), args.batch):
            index = order[begin:begin + args.batch]
            images, labels = augment(windows, index, data_rng).to(args.device), y[index].to(args.device)
            if args.channels_last:
                images = images.contiguous(memory_format=torch.channels_last)
            logits = net(images, nb201.sample_paths(path_rng, len(net.search_cells)))
            loss = torch.nn.functional.cross_entropy(logits, labels)
            sgd.zero_grad(set_to_none=args.inactive == "skip")
            loss.backward()
            sgd.step()
            total += loss.item() * len(index)
            correct += int((logits.argmax(1) == labels).sum())
            step += 1
            if step == args.steps:
                print(f"{(time.time() - start) / step:.4f} s a step, loss {total / (step * args.batch):.4f}")
                return
        seconds = time.time() - start
        final = state()
        if not np.isfinite(total):
            raise SystemExit(f"epoch {epoch + 1}: the loss is not finite")
        values = angle.angles(init, final)
        best = angle.descending(values)[0]
        safetensors_io.save(os.path.join(args.out, f"epoch_{epoch + 1}.safetensors"), final)
        np.save(os.path.join(args.out, f"angles_{epoch + 1}.npy"), values)
        line = {"epoch": epoch + 1, "epochs": args.epochs, "labels": args.labels, "inactive": args.inactive,
                "seed": args.seed, "lr": lr, "loss": total / len(order), "top1": 100.0 * correct / len(order),
                "tau": angle.ordinal_tau(values, accuracy), "tau_b": angle.tau_b(values, accuracy),
                "angle_max": values.max(), "angle_median": float(np.median(values)),
                "winner": angle.arch_string(angle.ARCHS[best]), "winner_accuracy": accuracy[best],
                "train_seconds": seconds, "seconds_per_step": seconds / math.ceil(len(order) / args.batch)}
        text = json.dumps(line)
        print(text, flush=True)
        with open(args.log, "a") as f:
            f.write(text + "\n")


if __name__ == "__main__":
    main()
