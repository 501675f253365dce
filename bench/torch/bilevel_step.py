"""Timed steps of a bilevel search: what the step programs of the spaces share."""
import torch

import bilevel
import timing


def parser(description, compiled):
    p = timing.parser(description, compiled,
                      "leave `none` out, compute only gradients that are used, no second network in the second order, "
                      "and fused optimizers where there are some")
    p.add_argument("--step", choices=("weights", "first", "second"), default="weights",
                   help="forward, backward, clip and SGD of the weights; or that with an architecture step of the first "
                        "or second order: another batch, and Adam")
    return p


def run(args, build, compiled, weights_first, clip_alphas, **sgd):
    """Times args.step. build(): the net; compiled(net): the modules that --compile compiles; sgd: options beside the
    learning rate 0.025 and momentum 0.9. weights_first: first-order steps update the weights before the alphas."""
    timer = timing.Timing(args)

    def place():
        net = timer.place(build())
        if args.compile:
            timing.compile_forward(compiled(net))
        return net

    net, train, valid, options = place(), timer.batch(), timer.batch(), timer.optimizer_options()
    sgd = torch.optim.SGD(net.parameters(), lr=0.025, momentum=0.9, **sgd, **options)
    adam = torch.optim.Adam(net.alphas, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3, **options)
    search = bilevel.Bilevel(net, timer.loss, sgd, adam, place, clip_alphas=clip_alphas, tuned=args.tuned)

    def alpha_step():
        if args.step == "first":
            search.first_order(valid)
        else:
            search.second_order(train, valid)
        search.adam.step()

    def step(_):
        before = args.step == "second" or args.step == "first" and not weights_first
        if before:
            alpha_step()
        loss = search.weight_step(train)
        if args.step == "first" and not before:
            alpha_step()
        return loss

    timer.run(step, step=args.step)
