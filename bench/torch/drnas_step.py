#!/usr/bin/env python3
"""Steps of DrNAS's searches (Chen et al., ICLR 2021) in plain PyTorch, timed; prints one line of JSON.

Spaces: nb201 (NAS-Bench-201's, C = 16, N = 5, all channels), nb201-partial (its progressive search's first stage: one channel in
four), cifar (DARTS's without `none`, C = 36, 20 cells, one channel in six: the first stage). Mixed ops are weighed by
Dirichlet draws. The first order updates the alphas on a second batch, then the weights. Batches are made before."""
import bilevel
import bilevel_step
import darts
import nb201


def network(space, tuned, weigh, channels=None, depth=None):
    """The space's network, with `weigh` for what alphas are to its mixed ops; `depth`: cells, of NAS-Bench-201 a stage.
    What tests/golden/drnas_step.py compares."""
    if space == "cifar":
        return darts.Network(channels or 36, depth or 20, tuned=tuned, partial=6, ops=darts.OPS[1:], weigh=weigh)
    return nb201.MixedSupernet(channels or 16, depth or 5, cut_none=tuned, partial=4 if space == "nb201-partial" else 1,
                               weigh=weigh)


def main():
    parser = bilevel_step.parser(__doc__, "every mixed op, or cell of NAS-Bench-201")
    parser.add_argument("--space", choices=("nb201", "nb201-partial", "cifar"), required=True)
    args = parser.parse_args()
    compiled = (darts.MixedOp,) if args.space == "cifar" else (nb201.SearchCell, nb201.ResidualBlock)
    bilevel_step.run(args, lambda: network(args.space, args.tuned, bilevel.dirichlet),
                     lambda net: [m for m in net.modules() if isinstance(m, compiled)], weights_first=False,
                     clip_alphas=args.space != "cifar", weight_decay=3e-4)


if __name__ == "__main__":
    main()
