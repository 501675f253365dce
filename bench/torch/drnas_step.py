#!/usr/bin/env python3
"""Steps of DrNAS's searches (Chen et al., ICLR 2021) in plain PyTorch, timed; prints one line of JSON.

Spaces: nb201 (NAS-Bench-201's, C = 16, N = 5, all channels), nb201-partial (its progressive search's first stage: one channel in
four), cifar (DARTS's without `none`, C = 36, 20 cells, one channel in six: the first stage). Mixed ops are weighed by
Dirichlet draws. The first order updates the alphas on a second batch, then the weights. Batches are made before."""
import bilevel
import bilevel_step
import darts
import nb201


def main():
    parser = bilevel_step.parser(__doc__, "every mixed op, or cell of NAS-Bench-201")
    parser.add_argument("--space", choices=("nb201", "nb201-partial", "cifar"), required=True)
    args = parser.parse_args()
    if args.space == "cifar":
        bilevel_step.run(args, lambda: darts.Network(36, 20, tuned=args.tuned, partial=6, ops=darts.OPS[1:],
                                                     weigh=bilevel.dirichlet),
                         lambda net: [m for m in net.modules() if isinstance(m, darts.MixedOp)], weights_first=False,
                         clip_alphas=False, weight_decay=3e-4)
        return
    partial = 4 if args.space == "nb201-partial" else 1
    bilevel_step.run(args, lambda: nb201.MixedSupernet(cut_none=args.tuned, partial=partial, weigh=bilevel.dirichlet),
                     lambda net: [m for m in net.modules() if isinstance(m, (nb201.SearchCell, nb201.ResidualBlock))],
                     weights_first=False, clip_alphas=True, weight_decay=3e-4)


if __name__ == "__main__":
    main()
