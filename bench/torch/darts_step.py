#!/usr/bin/env python3
"""Steps of a DARTS search (C = 16, 8 cells, CIFAR-10 sizes) in plain PyTorch, timed; prints one line of JSON.

First and second order update the alphas on a second batch, then the weights. Batches are made before."""
import bilevel_step
import darts


def main():
    parser = bilevel_step.parser(__doc__, "every mixed op")
    parser.add_argument("--partial", type=int, default=1, help="PC-DARTS: operators see one channel in so many")
    args = parser.parse_args()
    bilevel_step.run(args, lambda: darts.Network(tuned=args.tuned, partial=args.partial, betas=args.partial > 1),
                     lambda net: [m for m in net.modules() if isinstance(m, darts.MixedOp)], weights_first=False,
                     clip_alphas=False, weight_decay=3e-4)


if __name__ == "__main__":
    main()
