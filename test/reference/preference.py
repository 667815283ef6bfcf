"""The losses of preference pairs and their slopes, and five AdamW steps with each objective on an emulator, in float64 by PyTorch.

The losses are TRL's (DPOTrainer, ORPOTrainer, CPOTrainer with loss_type simpo), written out and differentiated by autograd; of
ORPO the likelihood is that of the chosen answer's tokens, a mean over each row's own, where TRL takes the prompt's in too.
Needs what families.py needs. Writes test/fixtures/preference.json.
"""
import copy
import json

import torch
import torch.nn.functional as F

from families import FIXTURES, STEPS, blocks_of, build, described, emulator_of, path_of, uniform
from families_variants import VARIANTS

LEARNING_RATE = 1e-3
VARIANT = "llama"
# tokens of each row: of its prompt, its chosen and its rejected answer
LENGTHS = [(6, 3, 5), (9, 4, 1), (4, 2, 2)]
OBJECTIVES = [
    {"type": "dpo", "beta": 0.5, "loss": "sigmoid", "labelSmoothing": 0.0},
    {"type": "dpo", "beta": 0.1, "loss": "sigmoid", "labelSmoothing": 0.2},
    {"type": "dpo", "beta": 0.5, "loss": "hinge", "labelSmoothing": 0.0},
    {"type": "dpo", "beta": 0.1, "loss": "ipo", "labelSmoothing": 0.0},
    {"type": "orpo", "lambda": 0.5},
    {"type": "simpo", "beta": 2.0, "gamma": 1.0},
]
L1 = 0.3


def pair_loss(objective, w, l, ref_w, ref_l, count_w, count_l):
    """Of one pair: summed log-probabilities of both answers by the trained model and by the reference, and their tokens."""
    if objective["type"] == "dpo":
        beta = objective["beta"]
        delta = (w - ref_w) - (l - ref_l)
        if objective["loss"] == "sigmoid":
            e = objective["labelSmoothing"]
            return -F.logsigmoid(beta * delta) * (1 - e) - F.logsigmoid(-beta * delta) * e
        if objective["loss"] == "hinge":
            return torch.relu(1 - beta * delta)
        return ((w - ref_w) / count_w - (l - ref_l) / count_l - 1 / (2 * beta)) ** 2
    w, l = w / count_w, l / count_l
    if objective["type"] == "orpo":
        log_odds = (w - l) - (torch.log1p(-torch.exp(w)) - torch.log1p(-torch.exp(l)))
        return -w - objective["lambda"] * F.logsigmoid(log_odds)
    return -F.logsigmoid(objective["beta"] * (w - l - objective["gamma"] / objective["beta"]))


def cases():
    """Pairs as models say them, some of them far from any doubt: log-probabilities, tokens, the loss and its slopes."""
    pairs = [
        [-12.3, -15.1, -13.0, -14.2, 7, 9],
        [-15.1, -12.3, -14.2, -13.0, 9, 7],
        [-20.0, -20.0, -20.0, -20.0, 4, 4],
        [-0.3, -5.0, -1.2, -1.1, 1, 12],
        [-1e-3, -40.0, -2.0, -2.0, 2, 3],
        [-40.0, -1e-3, -2.0, -2.0, 3, 2],
        [-900.0, -3.0, -1.0, -800.0, 50, 1],
        [-3.0, -900.0, -800.0, -1.0, 1, 50],
    ]
    found = []
    for objective in OBJECTIVES:
        for w, l, ref_w, ref_l, count_w, count_l in pairs:
            own = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (w, l)]
            loss = pair_loss(objective, *own, ref_w, ref_l, count_w, count_l)
            loss.backward()
            found.append({
                "objective": objective,
                "chosen": {"logLikelihood": w, "tokens": count_w},
                "rejected": {"logLikelihood": l, "tokens": count_l},
                "reference": {"chosen": ref_w, "rejected": ref_l},
                "loss": loss.item(),
                "slopes": [x.grad.item() for x in own],
            })
    return found


def rows_of(vocabulary):
    def ids(name, length):
        return [4 + int((x + 1) / 2 * (vocabulary - 4)) for x in uniform(name, length)]

    return [
        {part: ids(f"pair {i} {part}", length) for part, length in zip(("prompt", "chosen", "rejected"), lengths)}
        for i, lengths in enumerate(LENGTHS)
    ]


def answer(model, prompt, tokens):
    """The log-probability of an answer, computed by itself."""
    logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(1, torch.tensor(tokens)[:, None]).sum()


def answers(model, rows):
    return [[answer(model, row["prompt"], row[name]) for name in ("chosen", "rejected")] for row in rows]


def tuned(model, rows, source, transfer, objective):
    """Five AdamW steps on the transfer layers: losses and changes."""
    emulator = emulator_of(model, source)
    owner, list_name = blocks_of(emulator)
    names = {
        f"{path_of(model, blocks_of(model)[0])}{list_name}.{layer}.{name}": p.requires_grad_(True)
        for layer in transfer
        for name, p in getattr(owner, list_name)[layer].named_parameters()
    }
    before = {name: p.detach().clone() for name, p in names.items()}
    with torch.no_grad():
        reference = answers(emulator, rows)
    optimizer = torch.optim.AdamW(list(names.values()), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        if objective["type"] == "sft":
            tokens = sum(len(row["chosen"]) for row in rows)
            loss = -sum(answer(emulator, row["prompt"], row["chosen"]) for row in rows) / tokens
        else:
            own = answers(emulator, rows)
            counts = [[len(row["chosen"]), len(row["rejected"])] for row in rows]
            loss = sum(pair_loss(objective, *o, *r, *c) for o, r, c in zip(own, reference, counts)) / len(rows)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if objective["type"] == "sft":
            with torch.no_grad():
                for name, p in names.items():
                    change = p - before[name]
                    small = LEARNING_RATE * objective["l1"]
                    p.copy_(before[name] + torch.sign(change) * torch.relu(change.abs() - small))
    return losses, {name: p.detach() - before[name] for name, p in names.items()}


def training(model, rows, source, transfer, objective):
    losses, changes = tuned(copy.deepcopy(model).double(), rows, source, transfer, objective)
    rounded = tuned(model, rows, source, transfer, objective)[1]
    noise = {name: ((rounded[name].double() - change).norm() / change.norm()).item() for name, change in changes.items()}
    unchanged = sum((change == 0).sum().item() for change in changes.values())
    return {
        "objective": objective,
        "losses": losses,
        "changes": {name: described(change) | {"noise": noise[name]} for name, change in changes.items()},
        "unchanged": unchanged / sum(change.numel() for change in changes.values()),
    }


torch.set_num_threads(1)
variant = VARIANTS[VARIANT]
model, _, _ = build(variant)
rows = rows_of(variant["fields"]["vocab_size"])
place = (model, rows, variant["emulator"]["source"], variant["emulator"]["transfer"])
result = {
    "cases": cases(),
    "variant": VARIANT,
    "rows": rows,
    "trainings": [training(*place, objective) for objective in [*OBJECTIVES, {"type": "sft", "l1": L1}]],
}
path = FIXTURES.parent / "preference.json"
path.write_text(json.dumps(result, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
print(f"{path.stat().st_size / 1000:.0f} kB", [(t["objective"]["type"], t["losses"][0], t["losses"][-1], t["unchanged"], max(c["noise"] for c in t["changes"].values())) for t in result["trainings"]])
