#!/usr/bin/env python3
"""Training steps of the NAS-Bench-201 path supernet (C = 16, N = 5) in plain PyTorch, timed; prints one line of JSON.

A step is RLNAS's: forward of one path, cross-entropy, backward, SGD with Nesterov momentum and weight decay over all
parameters, gradients zeroed and not dropped (so that weights off the path coast). The batch and the paths are made
before; every parameter has a gradient from the start, as after the first minute of a training. Memory is the peak of the
resident set less what it was after `import torch`; on a GPU it is what the allocator held at most."""
import argparse
import json
import random
import resource
import statistics
import sys
import time


def memory(key):
    """Bytes from /proc/self/status."""
    with open("/proc/self/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith(key + ":"))


def compile_parts(net, torch, nb201):
    """Every path is another program, so the parts that all paths share are compiled: convolution triples, blocks, head.

    Modules of one class and shape share the compiled code; the limits are raised so that none falls back."""
    import torch._dynamo
    for name in ("cache_size_limit", "recompile_limit", "accumulated_cache_size_limit", "accumulated_recompile_limit"):
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, 4096)
    for module in net.modules():
        if isinstance(module, (nb201.ResidualBlock, torch.nn.AvgPool2d)):
            module.forward = torch.compile(module.forward, dynamic=False)
    blocks = {id(m) for b in net.modules() if isinstance(b, nb201.ResidualBlock) for m in b.modules()}
    for module in net.modules():
        if isinstance(module, nb201.ReluConvBn) and id(module) not in blocks:
            module.forward = torch.compile(module.forward, dynamic=False)
    net.stem.forward = torch.compile(net.stem.forward, dynamic=False)
    net.lastact.forward = torch.compile(net.lastact.forward, dynamic=False)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--precision", choices=("default", "strict", "bf16"), default="default",
                   help="on a GPU: PyTorch's default (convolutions in tf32), float32 throughout, or bf16 autocast")
    p.add_argument("--layout", choices=("nchw", "channels_last"), default="nchw")
    p.add_argument("--compile", action="store_true", help="torch.compile on the parts that paths are made of")
    p.add_argument("--tuned", action="store_true",
                   help="leave `none` edges out instead of multiplying by zero, and use the fused SGD where there is one")
    p.add_argument("--steps", type=int, default=20, help="steps measured")
    p.add_argument("--warmup", type=int, default=3, help="steps before them")
    p.add_argument("--paths", help="JSON list, by step, of one list of six op indices per cell; else drawn from --seed")
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()

    import torch
    before = memory("VmRSS")
    try:
        with open("/proc/self/clear_refs", "w") as f:
            f.write("5")  # the peak starts again from here
    except OSError:
        pass
    import nb201
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    total = args.warmup + args.steps
    net = nb201.Supernet(cut_none=args.tuned)
    if args.paths:
        with open(args.paths) as f:
            paths = json.load(f)
        if len(paths) < total:
            sys.exit(f"{args.paths}: {len(paths)} paths, expected at least {total}")
    else:
        rng = random.Random(args.seed)
        paths = [nb201.sample_paths(rng, len(net.search_cells)) for _ in range(total)]
    x, y = torch.randn(args.batch, 3, 32, 32), torch.randint(0, 10, (args.batch,))
    net, x, y = net.to(args.device), x.to(args.device), y.to(args.device)
    if args.device == "cuda":
        torch.backends.cudnn.benchmark = True
        if args.precision == "strict":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def loss_of(paths):
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            return torch.nn.functional.cross_entropy(net(x, paths), y)

    if args.layout == "channels_last":
        net, x = net.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    extra, version = {}, tuple(int(v) for v in torch.__version__.split(".")[:2])
    if args.tuned and version >= (2, 4):
        extra["fused"] = True
    sgd = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, nesterov=True, weight_decay=5e-4, **extra)
    if args.compile:
        compile_parts(net, torch, nb201)
        for op in range(1, len(nb201.OPS)):  # all parts before anything is measured, one op at a time as in paths
            path = [[op] * len(nb201.EDGES)] * len(net.search_cells)
            loss_of(path).backward()
    wall, core, loss = [], [], 0.0
    for step in range(total):
        w, c = time.perf_counter(), time.process_time()  # process_time: of all threads
        loss = loss_of(paths[step])
        sgd.zero_grad(set_to_none=False)
        loss.backward()
        sgd.step()
        loss = loss.item()
        wall.append(time.perf_counter() - w)
        core.append(time.process_time() - c)
    wall, core = wall[args.warmup:], core[args.warmup:]
    print(json.dumps({
        "program": "torch", "version": torch.__version__, "batch": args.batch, "threads": args.threads,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu", "precision": args.precision,
        "device_bytes": torch.cuda.max_memory_allocated() if args.device == "cuda" else 0,
        "layout": args.layout, "compile": args.compile, "tuned": args.tuned, "steps": args.steps,
        "wall_median": statistics.median(wall), "wall_min": min(wall), "wall_mean": statistics.mean(wall),
        "core_median": statistics.median(core), "core_min": min(core), "core_mean": statistics.mean(core),
        "rss_growth": memory("VmHWM") - before, "loss": loss,
        "peak_rss": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


if __name__ == "__main__":
    main()
