"""The DINOv2 network in plain PyTorch, as its users would write it for speed: names are those of the published state_dict."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    """x + ls1 * attn(norm1(x)), then x + ls2 * mlp(norm2(x)); x [N, T, d]."""

    def __init__(self, width, heads, ratio, layer_scale):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.ls1 = nn.ParameterDict({"gamma": nn.Parameter(torch.full((width,), float(layer_scale)))})
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, ratio * width), "fc2": nn.Linear(ratio * width, width)})
        self.ls2 = nn.ParameterDict({"gamma": nn.Parameter(torch.full((width,), float(layer_scale)))})

    def attend(self, x):
        n, t, d = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, d)
        return self.attn["proj"](o) * self.ls1["gamma"]

    def feed(self, x):
        return self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x)))) * self.ls2["gamma"]

    def forward(self, x, rate=0.0, mode="subset"):
        for branch in (self.attend, self.feed):
            x = drop_path(x, branch, rate, mode)
        return x


def drop_path(x, branch, rate, mode):
    """Stochastic depth: `subset` computes max(int(n (1 - rate)), 1) sequences only, `mask` all and drops some."""
    n = x.shape[0]
    if rate == 0:
        return x + branch(x)
    if mode == "mask":
        keep = torch.bernoulli(torch.full((n, 1, 1), 1 - rate)) / (1 - rate)
        return x + branch(x) * keep
    kept = torch.randperm(n)[: max(int(n * (1 - rate)), 1)]
    y = branch(x[kept])
    return torch.index_add(x, 0, kept, y.to(x.dtype), alpha=n / len(kept))


class Backbone(nn.Module):
    def __init__(self, width, depth, heads, patch, ratio, layer_scale, grid, offset):
        super().__init__()
        self.patch, self.grid, self.offset = patch, grid, offset
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 1e-6)
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.pos_embed = nn.Parameter(trunc(1, 1 + grid * grid, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(Block(width, heads, ratio, layer_scale) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def position(self, h, w):
        if h * w == self.grid**2 and h == w:
            return self.pos_embed
        patches = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, -1).permute(0, 3, 1, 2)
        scale = [(side + self.offset) / self.grid for side in (h, w)]
        patches = F.interpolate(patches, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], patches.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)

    def embed(self, images, masks=None):
        """[N, 3, H, W] -> [N, 1 + patches, d]; patches under a mask [N, patches] become the mask token."""
        x = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        if masks is not None:
            x = torch.where(masks[..., None], self.mask_token.to(x.dtype), x)
        h, w = (side // self.patch for side in images.shape[-2:])
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.position(h, w)

    def forward(self, images, masks=None, rate=0.0, mode="subset"):
        x = self.embed(images, masks)
        for block in self.blocks:
            x = block(x, rate, mode)
        return self.norm(x)


class LastLayer(nn.Module):
    """Weight-normalised: row k is g_k v_k / |v_k|."""

    def __init__(self, bottleneck, prototypes):
        super().__init__()
        self.weight_g = nn.Parameter(torch.ones(prototypes, 1))
        self.weight_v = nn.Parameter(trunc(prototypes, bottleneck))

    def forward(self, x):
        return F.linear(x, self.weight_g * F.normalize(self.weight_v, dim=1))


class Head(nn.Module):
    def __init__(self, width, hidden, bottleneck, layers, prototypes):
        super().__init__()
        sizes = [width] + [hidden] * (layers - 1) + [bottleneck]
        parts = []
        for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
            parts += [nn.GELU()] if i > 0 else []
            parts += [nn.Linear(a, b)]
        self.mlp = nn.Sequential(*parts)
        self.last_layer = LastLayer(bottleneck, prototypes)

    def forward(self, x):
        return self.last_layer(F.normalize(self.mlp(x), dim=-1, eps=1e-12))


def trunc(*shape):
    return nn.init.trunc_normal_(torch.empty(*shape), std=0.02)


def initialise(module):
    for m in module.modules():
        if isinstance(m, nn.Linear):
            nn.init.trunc_normal_(m.weight, std=0.02)
            nn.init.zeros_(m.bias)
        if isinstance(m, nn.Conv2d):
            bound = 1 / math.sqrt(m.in_channels * m.kernel_size[0] ** 2)
            nn.init.uniform_(m.weight, -bound, bound)
            nn.init.uniform_(m.bias, -bound, bound)
