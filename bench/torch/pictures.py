#!/usr/bin/env python3
"""Batches of training pictures by torchvision's DataLoader, for bench/compare_pictures.py: one line of JSON.

The pipelines are SPOS's (Supernet/train.py: RandomResizedCrop, ColorJitter, flip, BGR 0..255) and torchvision's usual one.
Core-seconds are those of this process and of the loader's workers."""
import argparse
import json
import os
import time

import numpy as np
import torch
import torchvision
from torchvision import transforms


class ToBGR:
    def __call__(self, picture):
        bgr = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1].transpose(2, 0, 1))
        return torch.from_numpy(bgr).float()


def transform(name):
    crop, flip = transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(0.5)
    if name == "spos":
        return transforms.Compose([crop, transforms.ColorJitter(0.4, 0.4, 0.4), flip, ToBGR()])
    normal = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return transforms.Compose([crop, flip, transforms.ToTensor(), normal])


def core_seconds(pids):
    total = time.process_time()
    for pid in pids:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("data", help="folder of class folders")
    p.add_argument("--pipeline", choices=["spos", "imagenet"], default="spos")
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--workers", type=int, default=1)
    p.add_argument("--epochs", type=int, default=3, help="timed, after one that is not")
    args = p.parse_args()
    torch.set_num_threads(1)
    pictures = torchvision.datasets.ImageFolder(args.data, transform(args.pipeline))
    loader = torch.utils.data.DataLoader(pictures, args.batch, shuffle=True, num_workers=args.workers,
                                         persistent_workers=args.workers > 0)
    for _ in loader:
        pass
    pids = [w.pid for w in loader._iterator._workers] if args.workers else []
    core, wall, count = core_seconds(pids), time.perf_counter(), 0
    for _ in range(args.epochs):
        for batch, _ in loader:
            count += len(batch)
    core, wall = core_seconds(pids) - core, time.perf_counter() - wall
    print(json.dumps({"pictures": count, "core": core / count, "wall": wall / count, "torch": torch.__version__,
                      "torchvision": torchvision.__version__}))


if __name__ == "__main__":
    main()
