"""A SpUNet in spconv's own layers with Pointcept's names; imports nothing of ours."""

from collections import OrderedDict

import torch
from torch import nn


def build(spconv, in_channels, num_classes, *, base, channels, layers, stem=5):
    """The network: call it with (features (N, C), coords (N, 4) int32, all of them not negative)."""

    def norm(width):
        return nn.BatchNorm1d(width, eps=1e-3, momentum=0.01)

    def conv(kind, *args, **kwargs):
        # The native algorithm: the only one that a CPU has.
        return kind(*args, bias=False, algo=spconv.ConvAlgo.Native, **kwargs)

    class Block(spconv.SparseModule):
        def __init__(self, width_in, width, key):
            super().__init__()
            self.proj = spconv.SparseSequential(nn.Identity())
            if width_in != width:
                self.proj = spconv.SparseSequential(conv(spconv.SubMConv3d, width_in, width, 1), norm(width))
            self.conv1 = conv(spconv.SubMConv3d, width_in, width, 3, padding=1, indice_key=key)
            self.bn1 = norm(width)
            self.conv2 = conv(spconv.SubMConv3d, width, width, 3, padding=1, indice_key=key)
            self.bn2 = norm(width)

        def forward(self, x):
            out = self.conv1(x)
            out = self.conv2(out.replace_feature(self.bn1(out.features).relu()))
            return out.replace_feature((self.bn2(out.features) + self.proj(x).features).relu())

    def stage(width_in, width, count, key):
        blocks = [(f"block{i}", Block(width_in if i == 0 else width, width, key)) for i in range(count)]
        return spconv.SparseSequential(OrderedDict(blocks))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            first = conv(spconv.SubMConv3d, in_channels, base, stem, padding=1, indice_key="stem")
            self.conv_input = spconv.SparseSequential(first, norm(base), nn.ReLU())
            self.down, self.enc, self.up, self.dec = (nn.ModuleList() for _ in range(4))
            finer = [base, *channels[:3]]
            coarser = [channels[6], channels[5], channels[4], channels[3]]
            for s in range(4):
                strided = conv(spconv.SparseConv3d, finer[s], channels[s], 2, stride=2, indice_key=f"down{s}")
                self.down.append(spconv.SparseSequential(strided, norm(channels[s]), nn.ReLU()))
                self.enc.append(stage(channels[s], channels[s], layers[s], f"level{s + 1}"))
                width = channels[7 - s]
                back = conv(spconv.SparseInverseConv3d, coarser[s], width, 2, indice_key=f"down{s}")
                self.up.append(spconv.SparseSequential(back, norm(width), nn.ReLU()))
                self.dec.append(stage(width + finer[s], width, layers[7 - s], f"level{s}"))
            self.final = spconv.SubMConv3d(channels[7], num_classes, 1, algo=spconv.ConvAlgo.Native)

        def forward(self, features, coords):
            shape = (coords[:, 1:].max(dim=0).values + 96).tolist()
            x = spconv.SparseConvTensor(features, coords, shape, int(coords[:, 0].max()) + 1)
            x = self.conv_input(x)
            skips = [x]
            for down, enc in zip(self.down, self.enc, strict=True):
                x = enc(down(x))
                skips.append(x)
            skips.pop()
            for up, dec in zip(reversed(self.up), reversed(self.dec), strict=True):
                x = up(x)
                x = dec(x.replace_feature(torch.cat([x.features, skips.pop().features], dim=1)))
            return self.final(x).features

    return Network()


def random_case(spconv, coords):
    """A random network in evaluation mode, features and coordinates that are not negative."""
    torch.manual_seed(0)
    network = build(
        spconv, 3, 5, base=2, channels=(2, 3, 4, 5, 4, 3, 2, 3), layers=(1, 2, 1, 1, 1, 1, 1, 1), stem=5
    ).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, 0.0, 0.5)
    coords = coords.clone()
    coords[:, 1:] -= coords[:, 1:].amin(dim=0)
    return network, torch.randn(len(coords), 3), coords
