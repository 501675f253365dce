#!/usr/bin/env python3
"""Steps of a DARTS search on NAS-Bench-201 (C = 16, N = 5, all ops) in plain PyTorch, timed; prints one line of JSON.

As the benchmark's own baselines do it: the first order updates the weights, then the alphas on a second batch; the
second order the alphas first; the clipped norm counts the alphas' gradients. Batches are made before."""
import bilevel_step
import nb201


def main():
    args = bilevel_step.parser(__doc__, "every search cell and residual block").parse_args()
    bilevel_step.run(args, lambda: nb201.MixedSupernet(cut_none=args.tuned),
                     lambda net: [m for m in net.modules() if isinstance(m, (nb201.SearchCell, nb201.ResidualBlock))],
                     weights_first=True, clip_alphas=True, weight_decay=5e-4, nesterov=True)


if __name__ == "__main__":
    main()
