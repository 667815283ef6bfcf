"""Five steps of DP-SGD with AdamW on PEFT's LoRA, and on LoRA beside a trained head: per-row gradients, clipping, injected noise.

Needs what families.py needs. Writes test/fixtures/dp-sgd.json: what the steps come to on the checkpoint `llama` of families.py.
Rows and noise of each step are given, so that both sides have the same; the noise is `uniform`, which is enough to compare sums.
Also checks the accountant's fixtures by the same bound in exact integers' binomials.
"""
import copy
import json
import math

import numpy as np
import torch

from families import FIXTURES, RANK, ALPHA, VARIANTS, build, emulator_of, lora_on, rows_of, uniform, with_noise

LENGTHS = [13, 9, 5, 17, 2]
# Poisson draws: some, all, one, none, some.
DRAWN = [[0, 2, 3], [0, 1, 2, 3, 4], [4], [], [1, 3]]
EXPECTED, CLIP, MULTIPLIER, RATE = 2.5, 3.3, 0.7, 1e-3


def row_loss(model, row):
    """The mean over the row's own targets."""
    logits = model(torch.tensor([row])).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(row[1:]))


def tune(model, rows, source, transfer, head):
    adapted = lora_on(emulator_of(model, source), transfer, head=head)
    parameters = {
        path.replace(".default", "").replace(".modules_to_save", ""): p
        for path, p in adapted.named_parameters() if p.requires_grad}
    before = {path: p.detach().clone() for path, p in parameters.items()}
    optimizer = torch.optim.AdamW(parameters.values(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses, norms = [], []
    for step, drawn in enumerate(DRAWN):
        sums = {path: torch.zeros_like(p) for path, p in parameters.items()}
        of_step = []
        for place in drawn:
            loss = row_loss(adapted, rows[place])
            gradients = torch.autograd.grad(loss, list(parameters.values()))
            norm = torch.sqrt(sum((g.double() ** 2).sum() for g in gradients)).item()
            for path, g in zip(parameters, gradients):
                sums[path] += g * min(1, CLIP / norm)
            of_step.append(loss.item())
            norms.append(norm)
        for path, p in parameters.items():
            noise = torch.from_numpy(uniform(f"noise {step} {path}", p.numel())).to(p.dtype).reshape(p.shape)
            p.grad = (sums[path] + MULTIPLIER * CLIP * noise) / EXPECTED
        optimizer.step()
        losses.append(sum(of_step) / len(of_step) if of_step else None)
    return losses, norms, {path: p.detach() - before[path] for path, p in parameters.items()}


def reference(head):
    model, _, _ = build(VARIANTS["llama"])
    rows = rows_of(64, LENGTHS)
    fixture = json.loads((FIXTURES / "llama.json").read_text())["emulator"]
    place = (fixture["source"], fixture["transferLayers"], head)
    losses, norms, changes = tune(model, rows, *place)
    exact = tune(copy.deepcopy(model).double(), rows, *place)[2]
    return {"losses": losses, "norms": norms, "clipped": sum(n > CLIP for n in norms), "changes": with_noise(changes, exact)}


def epsilon(q, sigma, steps, delta):
    """Over integer orders 2 to 255."""
    best = math.inf
    for order in range(2, 256):
        terms = [
            math.log(math.comb(order, k)) + (order - k) * math.log1p(-q) + k * math.log(q) + (k * k - k) / (2 * sigma**2)
            for k in range(order + 1)]
        most = max(terms)
        renyi = (most + math.log(math.fsum(math.exp(t - most) for t in terms))) / (order - 1)
        best = min(best, steps * renyi + math.log((order - 1) / order) - (math.log(delta) + math.log(order)) / (order - 1))
    return best


for q, sigma, steps, expected in [
    (0.01, 1.1, 10_000, 5.6543), (0.01, 1.0, 1_000, 2.1078), (256 / 60_000, 1.1, 3_510, 1.2804), (0.004, 1.3, 15_000, 1.9198)
]:
    found = epsilon(q, sigma, steps, 1e-5)
    assert abs(found - expected) < 1e-3, (q, sigma, steps, found)

torch.manual_seed(0)
found = {
    "rows": rows_of(64, LENGTHS), "drawn": DRAWN, "expectedRows": EXPECTED, "clipNorm": CLIP, "noiseMultiplier": MULTIPLIER,
    "learningRate": RATE, "rank": RANK, "alpha": ALPHA, "lora": reference(False), "head": reference(True),
}
text = json.dumps(found, separators=(",", ":"))
(FIXTURES.parent / "dp-sgd.json").write_text(text + "\n")
print(len(text), found["lora"]["losses"], found["lora"]["norms"], found["head"]["norms"])
