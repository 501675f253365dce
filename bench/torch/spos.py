"""SPOS's supernets in plain PyTorch (1.13 and newer): ShuffleNetV2's space as megvii-model/SinglePathOneShot has it
(batch-norms without gamma and beta, parity shuffle by reshape, transpose and split), MobileNet's as AngleNAS (affine,
ReLU6, expansion 3 or 6). Modules are registered in the published order, by other names."""
import torch
from torch import nn

WIDTHS = {"shufflenet": [(64, 4, 2), (160, 4, 2), (320, 8, 2), (640, 4, 2)],
          "mobilenet": [(32, 4, 2), (56, 4, 2), (112, 4, 2), (128, 4, 1), (256, 4, 2), (432, 1, 1)]}


def conv(c_in, c_out, k, stride, groups, affine, activation):
    layers = [nn.Conv2d(c_in, c_out, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(c_out, affine=affine)]
    return layers + ([activation(inplace=True)] if activation else [])


class Shuffle(nn.Module):
    def __init__(self, c_in, c_out, stride, op, slices):
        super().__init__()
        self.stride, self.slices, mid = stride, slices, c_out // 2
        inp = c_in if stride == 2 else c_out // 2
        out, k = c_out - inp, (3, 5, 7, 3)[op]
        point = lambda a, b: conv(a, b, 1, 1, 1, False, nn.ReLU)
        depth = lambda c, s: conv(c, c, k, s, c, False, None)
        self.main = nn.Sequential(*(point(inp, mid) + depth(mid, stride) + point(mid, out) if op < 3 else
                                    depth(inp, stride) + point(inp, mid) + depth(mid, 1) + point(mid, mid) +
                                    depth(mid, 1) + point(mid, out)))
        self.proj = nn.Sequential(*(depth(inp, 2) + point(inp, inp))) if stride == 2 else None

    def forward(self, x):
        if self.stride == 2:
            return torch.cat((self.proj(x), self.main(x)), 1)
        if self.slices:
            return torch.cat((x[:, 0::2], self.main(x[:, 1::2])), 1)
        n, c, h, w = x.shape
        x = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, n, c // 2, h, w)
        return torch.cat((x[0], self.main(x[1])), 1)


class Inverted(nn.Module):
    def __init__(self, c_in, c_out, stride, op, expansion=None):
        super().__init__()
        k, expansion = op // 2 * 2 + 3, expansion or (6 if op % 2 else 3)
        mid = c_in * expansion
        layers = conv(c_in, mid, 1, 1, 1, True, nn.ReLU6) if expansion > 1 else []
        self.body = nn.Sequential(*layers, *conv(mid, mid, k, stride, mid, True, nn.ReLU6),
                                  *conv(mid, c_out, 1, 1, 1, True, None))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x):
        y = self.body(x)
        return x + y if self.residual else y


class Supernet(nn.Module):
    """bias: of the classifier; dropout: its rate before it; slices: channels are shuffled by strided slices instead."""

    def __init__(self, space, bias=False, dropout=0, slices=False):
        super().__init__()
        shuffle = space == "shufflenet"
        affine, activation = not shuffle, nn.ReLU if shuffle else nn.ReLU6
        c, last = (16, 1024) if shuffle else (24, 1728)
        stem = conv(3, 16 if shuffle else 40, 3, 2, 1, affine, activation)
        self.stem = nn.Sequential(*stem) if shuffle else nn.Sequential(*stem, Inverted(40, 24, 1, 0, 1))
        self.blocks = nn.ModuleList()
        for width, count, stride in WIDTHS[space]:
            for i in range(count):
                self.blocks.append(nn.ModuleList(
                    Shuffle(c, width, stride if i == 0 else 1, op, slices) for op in range(4)) if shuffle else
                    nn.ModuleList(Inverted(c, width, stride if i == 0 else 1, op) for op in range(6)))
                c = width
        self.last = nn.Sequential(*conv(c, last, 1, 1, 1, affine, activation), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                  *([nn.Dropout(dropout)] if dropout else []))
        self.classifier = nn.Linear(last, 1000, bias=bias)

    def shape(self, block, size):
        """Of what the block reads, (c, h, w)."""
        with torch.no_grad():
            x = self.stem(torch.zeros(2, 3, size, size))
            for earlier in self.blocks[:block]:
                x = earlier[0](x)
        return tuple(x.shape[1:])

    def forward(self, x, path):
        """path: an op of each block; -1: an identity."""
        x = self.stem(x)
        for block, op in zip(self.blocks, path):
            x = x if op < 0 else block[op](x)
        return self.classifier(self.last(x))
