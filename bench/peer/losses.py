"""DINO, iBOT and KoLeo on logits and class tokens, with targets by Sinkhorn-Knopp or centering."""

import torch
import torch.nn.functional as F


@torch.no_grad()
def sinkhorn(logits, temperature, iterations):
    """[R, K] -> targets [R, K], each row summing to 1."""
    q = torch.exp(logits.float() / temperature).t()
    rows, samples = q.shape
    q /= q.sum()
    for _ in range(iterations):
        q /= q.sum(dim=1, keepdim=True)
        q /= rows
        q /= q.sum(dim=0, keepdim=True)
        q /= samples
    return (q * samples).t()


class Center:
    """softmax((logits - center) / T); the center moves after its use."""

    def __init__(self, prototypes):
        self.center = torch.zeros(1, prototypes)

    @torch.no_grad()
    def targets(self, logits, temperature, momentum=0.9):
        logits = logits.float()
        result = F.softmax((logits - self.center) / temperature, dim=-1)
        self.center = self.center * momentum + logits.mean(dim=0, keepdim=True) * (1 - momentum)
        return result


def cross_entropy(targets, logits, temperature=0.1):
    """-sum_k t log softmax(s / T), for each row."""
    return -(targets * F.log_softmax(logits.float() / temperature, dim=-1)).sum(dim=-1)


def dino_local(targets, logits, images):
    """Every local crop against both global ones: targets [2B, K] (first crop, second crop), logits [L B, K]."""
    locals_ = F.log_softmax(logits.float() / 0.1, dim=-1).view(-1, images, logits.shape[-1])
    both = targets.view(2, images, -1)
    # -sum over crops s and t of mean_B <t, log p>: sums over crops first, one product of [B, K].
    return -(both.sum(dim=0) * locals_.sum(dim=0)).sum() / images


def koleo(x, eps=1e-8):
    x = F.normalize(x.float(), dim=-1, eps=eps)
    with torch.no_grad():
        dots = x @ x.t()
        dots.fill_diagonal_(-1)
        nearest = dots.argmax(dim=1)
    return -torch.log(F.pairwise_distance(x, x[nearest], eps=eps) + eps).mean()
