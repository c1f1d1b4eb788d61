"""python check.py FIXTURES: five steps from recorded weights and inputs must give the recorded losses and gradient norms.

So the peer does the work of the published step, not something like it. FIXTURES is test/golden/fixtures.
"""

import json
import sys
from pathlib import Path

import numpy
import torch

from step import Trainer

kinds = {"F32": numpy.float32, "I32": numpy.int32, "U8": numpy.uint8}


def tensors(path):
    """A safetensors file as {name: tensor}."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    body = data[8 + size :]
    return {
        name: torch.from_numpy(numpy.frombuffer(body[slice(*t["data_offsets"])], kinds[t["dtype"]]).copy()).view(t["shape"])
        for name, t in json.loads(data[8 : 8 + size]).items()
        if name != "__metadata__"
    }


def experiment(case, common):
    """The fixture's settings as `dinoc resolve` would print them."""
    vit, heads = common["vit"], common["heads"]
    def head(name):
        h = heads[name]
        return {"type": "mlp", "prototypes": h["head_n_prototypes"], "hidden": h["head_hidden_dim"],
                "bottleneck": h["head_bottleneck_dim"], "layers": h["head_nlayers"]}
    centering = ({"type": "sinkhorn", "iterations": 3} if case["centering"] == "sinkhorn_knopp"
                 else {"type": "softmax", "momentum": 0.9})
    return {
        "backbone": {"width": vit["embed_dim"], "depth": vit["depth"], "heads": vit["num_heads"], "patch": vit["patch_size"],
                     "ffn": "mlp", "ffnRatio": 4, "registers": 0, "layerScale": vit["layerscale"],
                     "posGrid": vit["img_size"] // vit["patch_size"], "dropPath": {"shape": "uniform", "to": 0},
                     "posInterpolation": {"offset": vit["interpolate_offset"], "antialias": False}},
        "head": {"dino": head("dino"), **({"ibot": head("ibot")} if case["separate_head"] else {})},
        "loss": {"dino": {"weight": case["dino_loss_weight"], "centering": centering},
                 "ibot": {"weight": case["ibot_loss_weight"], "centering": centering},
                 "koleo": {"weight": case["koleo_loss_weight"], "crops": "both"}},
        "crops": {"local": {"count": common["crops"]["n_local"]}},
        "optimizer": {"betas": [case["adamw"]["beta1"], case["adamw"]["beta2"]], "eps": case["adamw"]["eps"],
                      "clip": case["clip_grad"], "layerDecay": case["layerwise_decay"],
                      "patchEmbedLr": case["patch_embed_lr_mult"]},
    }


def check(folder, name):
    case = json.loads((folder / f"{name}.json").read_text())
    common = json.loads((folder / "10-step-common.json").read_text())
    stored = tensors(folder / "10-step-common.safetensors")
    trainer = Trainer(experiment(case["config"], common["config"]))
    for role in ("student", "teacher"):
        net = getattr(trainer, role)
        weights = {k: stored[f"{role}.{k}"] for k in net.state_dict()}
        net.load_state_dict({k: v.view(net.state_dict()[k].shape) for k, v in weights.items()})
    schedule, worst = case["config"]["schedule_values_per_step"], 0.0
    for i in range(5):
        masks = stored[f"step{i}.masks"].bool()
        batch = {"global": stored[f"step{i}.global_crops"], "local": stored[f"step{i}.local_crops"], "masks": masks,
                 "mask_rows": stored[f"step{i}.mask_indices_list"].long(), "mask_weights": stored[f"step{i}.masks_weight"]}
        losses, norms = trainer.step(batch, schedule["lr"][i], schedule["wd"][i], schedule["teacher_temp"][i],
                                     schedule["momentum"][i], schedule["last_layer_lr"][i])
        pairs = [(sum(losses.values()), case["trajectory"]["total_loss_backpropagated"][i])]
        pairs += [(norms[k], v) for k, v in case["trajectory"]["grad_norm_before_clip"][i].items() if k in norms]
        worst = max([worst] + [abs(a - e) / abs(e) for a, e in pairs])
    print(f"{name}: largest relative difference over five steps {worst:.1e}")
    return worst < 2e-4


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    good = [check(folder, name) for name in ("10-step-a-shared-centering", "10-step-b-separate-sinkhorn")]
    print(f"{sum(good)} passed, {len(good) - sum(good)} failed")
    sys.exit(0 if all(good) else 1)
