"""One DINOv2 training step: teacher, targets, student, losses, clip, AdamW, EMA."""

import copy
from contextlib import nullcontext

import torch
from torch import nn

from losses import Center, cross_entropy, dino_local, koleo, sinkhorn
from model import Backbone, Head, initialise


def network(config):
    """Backbone and heads from an experiment as `dinoc resolve --json` prints it."""
    b, heads = config["backbone"], config["head"]
    if b["ffn"] != "mlp" or b["registers"] or b["posInterpolation"]["antialias"]:
        raise SystemExit("the peer knows MLP backbones without registers and antialiasing")
    if b["dropPath"]["shape"] != "uniform" or any(l.get("studentTemp", 0.1) != 0.1 for l in config["loss"].values()):
        raise SystemExit("the peer knows one drop path for all blocks and a student temperature of 0.1")
    net = nn.ModuleDict()
    net["backbone"] = Backbone(
        b["width"], b["depth"], b["heads"], b["patch"], b["ffnRatio"], b["layerScale"], b["posGrid"],
        b["posInterpolation"]["offset"],
    )
    for name, h in heads.items():
        if h["type"] == "mlp":
            net[f"{name}_head"] = Head(b["width"], h["hidden"], h["bottleneck"], h["layers"], h["prototypes"])
    initialise(net)
    return net


def parameter_groups(net, depth, layer_decay, patch_embed_lr):
    groups = {}
    for name, p in net.named_parameters():
        lr, decay = 1.0, 1.0
        if name.startswith("backbone."):
            parts = name.split(".")
            level = int(parts[2]) + 1 if parts[1] == "blocks" else depth + 1 if parts[1] == "norm" else 0
            lr = layer_decay ** (depth + 1 - level)
            if parts[1] == "patch_embed":
                lr *= patch_embed_lr
        if name.endswith(".bias") or "norm" in name or "gamma" in name:
            decay = 0.0
        key = (lr, decay, "last_layer" in name)
        groups.setdefault(key, []).append(p)
    return [
        {"params": params, "lr_multiplier": lr, "decay_multiplier": decay, "last_layer": last}
        for (lr, decay, last), params in groups.items()
    ]


class Trainer:
    def __init__(self, config, compiled=False, bf16=False, drop_path=None, mode="subset"):
        self.config = config
        self.student = network(config)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.separate = "ibot_head" in self.student
        o = config["optimizer"]
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.student, config["backbone"]["depth"], o["layerDecay"], o["patchEmbedLr"]),
            betas=tuple(o["betas"]), eps=o["eps"], fused=True,
        )
        self.rate = config["backbone"]["dropPath"]["to"] if drop_path is None else drop_path
        self.mode = mode
        self.centers = {}
        self.autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if bf16 else nullcontext
        wrap = (lambda f: torch.compile(f)) if compiled else (lambda f: f)
        self.teach, self.learn = wrap(self._teach), wrap(self._learn)

    def _targets(self, name, logits, temperature):
        centering = self.config["loss"][name]["centering"]
        if centering["type"] == "sinkhorn":
            return sinkhorn(logits, temperature, centering["iterations"])
        center = self.centers.setdefault(name, Center(logits.shape[-1]))
        return center.targets(logits, temperature, centering["momentum"])

    @torch.no_grad()
    def _teach(self, batch):
        with self.autocast():
            tokens = self.teacher["backbone"](batch["global"])
            images = len(tokens) // 2
            swapped = torch.cat([tokens[images:, 0], tokens[:images, 0]])
            cls = self.teacher["dino_head"](swapped)
            patches = self._ibot(self.teacher)(tokens[:, 1:].flatten(0, 1)[batch["mask_rows"]])
        return cls, patches

    def _ibot(self, net):
        return net["ibot_head" if self.separate else "dino_head"]

    def _learn(self, batch, cls_targets, patch_targets):
        config, images, crops = self.config, len(batch["global"]) // 2, self.config["crops"]["local"]["count"]
        pairs = 2 + 2 * crops
        with self.autocast():
            tokens = self.student["backbone"](batch["global"], batch["masks"], self.rate, self.mode)
            small = self.student["backbone"](batch["local"], None, self.rate, self.mode)
            logits = self.student["dino_head"](torch.cat([small[:, 0], tokens[:, 0]]))
            patches = self._ibot(self.student)(tokens[:, 1:].flatten(0, 1)[batch["mask_rows"]])
        local, whole = logits[: images * crops], logits[images * crops :]
        # Targets stand swapped: row i of the teacher is the other crop of row i of the student.
        terms = {
            "dino_local": dino_local(cls_targets, local, images) / pairs * config["loss"]["dino"]["weight"],
            "dino_global": cross_entropy(cls_targets, whole).mean() * 2 / pairs * config["loss"]["dino"]["weight"],
            "ibot": (cross_entropy(patch_targets, patches) * batch["mask_weights"]).sum() / (2 * images)
            * config["loss"]["ibot"]["weight"],
        }
        if "koleo" in config["loss"]:
            seen = [0, 1] if config["loss"]["koleo"]["crops"] == "both" else [0]
            cls = tokens[:, 0].view(2, images, -1)
            terms["koleo"] = sum(koleo(cls[i]) for i in seen) * config["loss"]["koleo"]["weight"]
        return terms

    def step(self, batch, lr, weight_decay, teacher_temp, momentum, last_layer_lr=None):
        """Losses as they enter the total, and gradient norms before clipping."""
        for group in self.optimizer.param_groups:
            rate = lr if last_layer_lr is None or not group["last_layer"] else last_layer_lr
            group["lr"] = rate * group["lr_multiplier"]
            group["weight_decay"] = weight_decay * group["decay_multiplier"]
        self.optimizer.zero_grad(set_to_none=True)
        cls, patches = self.teach(batch)
        targets = self._targets("dino", cls, teacher_temp), self._targets("ibot", patches, teacher_temp)
        terms = self.learn(batch, *targets)
        sum(terms.values()).backward()
        norms = {
            name: nn.utils.clip_grad_norm_(part.parameters(), self.config["optimizer"]["clip"], foreach=True)
            for name, part in self.student.items()
        }
        self.optimizer.step()
        with torch.no_grad():
            teacher, student = list(self.teacher.parameters()), list(self.student.parameters())
            torch._foreach_mul_(teacher, momentum)
            torch._foreach_add_(teacher, student, alpha=1 - momentum)
        return {k: v.item() for k, v in terms.items()}, {k: v.item() for k, v in norms.items()}
