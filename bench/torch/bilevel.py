"""Searches that train weights and architecture parameters (alphas) in turn, in plain PyTorch (1.13 and newer).

Liu, Simonyan & Yang, "DARTS", ICLR 2019: first order, and the unrolled second order with a finite difference."""
import contextlib
import functools
import operator

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_


def add(terms):
    """Their sum without the addition to 0 that sum() starts with."""
    return functools.reduce(operator.add, terms)


def flat(tensors):
    """One vector of all their elements; unlike parameters_to_vector it takes any memory layout."""
    return torch.cat([t.reshape(-1) for t in tensors])


class WithAlphas(nn.Module):
    """A net whose `alphas`, a list of tensors that ask for gradients, are no parameters: not in the state dict, but
    they move and change type with the net."""

    alphas = ()

    def make_alphas(self, *shapes):
        self.alphas = [(1e-3 * torch.randn(shape)).requires_grad_() for shape in shapes]

    def _apply(self, function, *args, **kwargs):
        super()._apply(function, *args, **kwargs)
        self.alphas = [function(a.detach()).requires_grad_() for a in self.alphas]
        return self


def softmax(alphas):
    """What DARTS makes of alphas (edges, ops)."""
    return torch.softmax(alphas, 1)


def dirichlet(alphas):
    """What DrNAS makes of them: a draw per edge."""
    return torch.distributions.Dirichlet(nn.functional.elu(alphas) + 1).rsample()


class Bilevel:
    """Steps of a search on `net` (WithAlphas). loss(net, *batch) is a scalar tensor.

    sgd updates the weights; its learning rate, momentum and weight decay are those of the second order's look-ahead.
    adam updates the alphas. build() makes another net like `net`.
    clip_alphas: the weight step's clipped norm counts the alphas' gradients too.
    tuned=False is how the published searches run: every backward computes what autograd offers, the second order builds
    a second net and walks to w + ev, w - ev and back by adding. True, at the same result: a step asks only for the
    gradients that it uses, and the net itself gets the look-ahead weights and then its own back.
    """

    def __init__(self, net, loss, sgd, adam, build, clip=5.0, clip_alphas=False, tuned=False):
        self.net, self.loss, self.sgd, self.adam, self.build = net, loss, sgd, adam, build
        self.clip, self.clip_alphas, self.tuned = clip, clip_alphas, tuned
        self.weights, self.alphas = list(net.parameters()), net.alphas

    @contextlib.contextmanager
    def only(self, wanted):
        """tuned: nothing but `wanted` asks for gradients meanwhile."""
        kept = {id(t) for t in wanted}
        off = [t for t in self.weights + self.alphas if id(t) not in kept] if self.tuned else []
        for t in off:
            t.requires_grad_(False)
        try:
            yield
        finally:
            for t in off:
                t.requires_grad_(True)

    def weight_step(self, batch):
        clipped = self.weights + (self.alphas if self.clip_alphas else [])
        self.sgd.zero_grad(set_to_none=True)
        if self.clip_alphas:
            self.adam.zero_grad(set_to_none=True)
        with self.only(clipped):
            loss = self.loss(self.net, *batch)
            loss.backward()
        clip_grad_norm_(clipped, self.clip)
        self.sgd.step()
        return loss.detach()  # a loss keeps its graph, and parts of that their tensors

    def first_order(self, valid):
        """Sets the alphas' gradients to those of the loss on `valid`."""
        self.adam.zero_grad(set_to_none=True)
        with self.only(self.alphas):
            self.loss(self.net, *valid).backward()

    def second_order(self, train, valid):
        """Sets the alphas' gradients to those of the loss on `valid` at the weights after a step on `train`."""
        rate = self.sgd.param_groups[0]["lr"]
        with self.only(self.weights):
            gradients = torch.autograd.grad(self.loss(self.net, *train), self.weights)
        unrolled = self._unrolled_in_place if self.tuned else self._unrolled_copy
        direction, of_alphas = unrolled(gradients, rate, valid)
        length = 0.01 / torch.linalg.vector_norm(flat(direction)).item()
        plus, minus = (self._beside_in_place if self.tuned else self._beside)(direction, length, train)
        for a, g, p, m in zip(self.alphas, of_alphas, plus, minus):
            a.grad = g - rate * (p - m) / (2 * length)

    def _momenta(self):
        group = self.sgd.param_groups[0]
        buffers = [self.sgd.state[w].get("momentum_buffer") for w in self.weights]
        return [torch.zeros_like(w) if b is None else group["momentum"] * b for b, w in zip(buffers, self.weights)]

    def _decay(self):
        return self.sgd.param_groups[0]["weight_decay"]

    def _unrolled_copy(self, gradients, rate, valid):
        """Returns the gradients of the weights and of the alphas at the look-ahead."""
        with torch.no_grad():
            old = flat(self.weights)
            new = old - rate * (flat(self._momenta()) + flat(gradients) + self._decay() * old)
        net = self.build()
        net.load_state_dict(self.net.state_dict())
        for w, part in zip(net.parameters(), new.split([w.numel() for w in self.weights])):
            w.data.copy_(part.view(w.shape))
        for a, own in zip(net.alphas, self.alphas):
            a.data.copy_(own.data)
        self.loss(net, *valid).backward()
        return [w.grad for w in net.parameters()], [a.grad for a in net.alphas]

    @torch.no_grad()
    def _unrolled_in_place(self, gradients, rate, valid):
        kept = [(t, t.clone()) for t in (*self.weights, *self.net.buffers())]
        move = torch._foreach_add(self._momenta(), list(gradients))
        torch._foreach_add_(move, self.weights, alpha=self._decay())
        torch._foreach_add_(self.weights, move, alpha=-rate)
        with torch.enable_grad():
            found = torch.autograd.grad(self.loss(self.net, *valid), self.weights + self.alphas)
        for t, old in kept:
            t.copy_(old)
        return list(found[:len(self.weights)]), found[len(self.weights):]

    def _beside(self, direction, length, train):
        """Returns the alphas' gradients on `train` at w + length v and w - length v."""
        found = []
        for factor in (1, -2):
            for w, v in zip(self.weights, direction):
                w.data.add_(factor * length * v)
            found.append(torch.autograd.grad(self.loss(self.net, *train), self.alphas))
        for w, v in zip(self.weights, direction):
            w.data.add_(length * v)
        return found

    @torch.no_grad()
    def _beside_in_place(self, direction, length, train):
        kept, found = [w.clone() for w in self.weights], []
        for factor in (1, -2):
            torch._foreach_add_(self.weights, direction, alpha=factor * length)
            with self.only(self.alphas), torch.enable_grad():
                found.append(torch.autograd.grad(self.loss(self.net, *train), self.alphas))
        for w, old in zip(self.weights, kept):
            w.copy_(old)
        return found
