"""What the timed step programs of this folder share: arguments, placing nets and batches, compiling, the measured loop.

Memory is the peak of the resident set less what it was after `import torch`; on a GPU it is what the allocator held at
most. Programs print one line of JSON, the same keys as the C++ programs that bench/compare.py runs beside them."""
import argparse
import json
import random
import resource
import statistics
import sys
import time

import torch


def memory(key):
    """Bytes from /proc/self/status."""
    with open("/proc/self/status") as f:
        return next(1024 * int(line.split()[1]) for line in f if line.startswith(key + ":"))


def parser(description, compiled, tuned):
    """The common arguments; compiled, tuned: what those two switches mean here."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    p.add_argument("--precision", choices=("default", "strict", "bf16"), default="default",
                   help="on a GPU: PyTorch's default (convolutions in tf32), float32 throughout, or bf16 autocast")
    p.add_argument("--layout", choices=("nchw", "channels_last"), default="nchw")
    p.add_argument("--compile", action="store_true", help=f"torch.compile on {compiled}")
    p.add_argument("--tuned", action="store_true", help=tuned)
    p.add_argument("--steps", type=int, default=20, help="steps measured")
    p.add_argument("--warmup", type=int, default=3, help="steps before them")
    p.add_argument("--seed", type=int, default=0)
    return p


def paths_of(args, draw):
    """Those of --paths, enough for all steps, or draw(random) for each step."""
    total = args.warmup + args.steps
    if not args.paths:
        rng = random.Random(args.seed)
        return [draw(rng) for _ in range(total)]
    with open(args.paths) as f:
        paths = json.load(f)
    if len(paths) < total:
        sys.exit(f"{args.paths}: {len(paths)} paths, expected at least {total}")
    return paths


def compile_forward(modules):
    """Modules of one class and shape share the compiled code; the limits are raised so that none falls back."""
    import torch._dynamo
    for name in ("cache_size_limit", "recompile_limit", "accumulated_cache_size_limit", "accumulated_recompile_limit"):
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, 4096)
    for module in modules:
        module.forward = torch.compile(module.forward, dynamic=False)


class Timing:
    """Make it before anything else: memory is counted from here, and threads and seed are set."""

    def __init__(self, args):
        self.args, self.before = args, memory("VmRSS")
        try:
            with open("/proc/self/clear_refs", "w") as f:
                f.write("5")  # the peak starts again from here
        except OSError:
            pass
        torch.set_num_threads(args.threads)
        torch.manual_seed(args.seed)
        if args.device == "cuda":
            torch.backends.cudnn.benchmark = True
            if args.precision == "strict":
                torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def place(self, thing):
        """A net, or pictures (n, c, h, w), on the device in the layout asked for."""
        thing = thing.to(self.args.device)
        if self.args.layout == "channels_last":
            thing = thing.to(memory_format=torch.channels_last)
        return thing

    def batch(self):
        """Pictures (n, 3, 32, 32) and labels of ten classes, on the device."""
        x, y = torch.randn(self.args.batch, 3, 32, 32), torch.randint(0, 10, (self.args.batch,))
        return self.place(x), y.to(self.args.device)

    def loss(self, net, x, y, *more):
        """Mean cross-entropy of net(x, *more)."""
        with torch.autocast(self.args.device, dtype=torch.bfloat16, enabled=self.args.precision == "bf16"):
            return torch.nn.functional.cross_entropy(net(x, *more), y)

    def optimizer_options(self):
        """`tuned` takes the fused optimizers where there are some."""
        version = tuple(int(v) for v in torch.__version__.split(".")[:2])
        return {"fused": True} if self.args.tuned and version >= (2, 4) else {}

    def run(self, work, **more):
        """work(number) returns a loss tensor; its time is counted until the value is read. Prints the JSON line."""
        args, wall, core, loss = self.args, [], [], 0.0
        for number in range(args.warmup + args.steps):
            w, c = time.perf_counter(), time.process_time()  # process_time: of all threads
            loss = work(number).item()
            if args.device == "cuda":
                torch.cuda.synchronize()
            wall.append(time.perf_counter() - w)
            core.append(time.process_time() - c)
        wall, core = wall[args.warmup:], core[args.warmup:]
        cuda = args.device == "cuda"
        print(json.dumps({
            "program": "torch", "version": torch.__version__, "batch": args.batch, "threads": args.threads,
            "device": torch.cuda.get_device_name() if cuda else "cpu", "precision": args.precision,
            "device_bytes": torch.cuda.max_memory_allocated() if cuda else 0,
            "layout": args.layout, "compile": args.compile, "tuned": args.tuned, "steps": args.steps,
            "wall_median": statistics.median(wall), "wall_min": min(wall), "wall_mean": statistics.mean(wall),
            "core_median": statistics.median(core), "core_min": min(core), "core_mean": statistics.mean(core),
            "rss_growth": memory("VmHWM") - self.before, "loss": loss,
            "peak_rss": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, **more}))
