"""python main.py EXPERIMENT.json [options]: times whole steps on synthetic inputs, prints one line of JSON.

EXPERIMENT.json is what `dinoc resolve FILE#experiment.variant --json` prints.
"""

import argparse
import json
import math
import resource
import statistics
import time

import torch

from step import Trainer


def synthetic(config):
    """Normalised noise, and masks as the recipe draws them: half the global crops, ratios from equal slices."""
    crops, patch = config["crops"], config["backbone"]["patch"]
    images = config["schedule"]["batch"]
    masks = torch.zeros(2 * images, (crops["global"]["size"] // patch) ** 2, dtype=torch.bool)
    masking = config["masking"]
    masked = int(2 * images * masking["probability"])
    low, high = masking["ratio"]["min"], masking["ratio"]["max"]
    for i, crop in enumerate(torch.randperm(2 * images)[:masked].tolist()):
        count = int(masks.shape[1] * (low + (high - low) * (i + 0.5) / masked))
        masks[crop, torch.randperm(masks.shape[1])[:count]] = True
    rows = masks.flatten().nonzero().flatten()
    weights = (1 / masks.sum(dim=1).clamp(min=1).float()).unsqueeze(1).expand_as(masks)[masks]
    size = crops["local"]["size"]
    return {
        "global": torch.randn(2 * images, 3, crops["global"]["size"], crops["global"]["size"]),
        "local": torch.randn(crops["local"]["count"] * images, 3, size, size),
        "masks": masks,
        "mask_rows": rows,
        "mask_weights": weights,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("experiment")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--drop-path-mode", choices=["mask", "subset"], default="subset")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    with open(options.experiment) as file:
        config = json.load(file)["experiments"][0]
    trainer = Trainer(config, options.compile, options.bf16, mode=options.drop_path_mode)
    batch = synthetic(config)

    def step():
        return trainer.step(batch, lr=1e-4, weight_decay=0.04, teacher_temp=0.04, momentum=0.994)

    for _ in range(options.warmup):
        losses, _ = step()
    if options.profile:
        with torch.profiler.profile() as profile:
            step()
        print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=25))
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        losses, _ = step()
        seconds.append(time.perf_counter() - start)
    if not all(math.isfinite(v) for v in losses.values()):
        raise SystemExit(f"a loss is not finite: {losses}")
    middle = statistics.median(seconds)
    print(json.dumps({
        "device": f"PyTorch {torch.__version__.split('+')[0]}",
        "secondsPerStep": middle,
        "imagesPerSecond": config["schedule"]["batch"] / middle,
        "peakRssBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "losses": losses,
    }))


if __name__ == "__main__":
    main()
