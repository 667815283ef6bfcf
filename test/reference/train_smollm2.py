"""Five full-batch AdamW steps on four rows that train an emulator's transfer layers; what each tensor changed by.

Run with 2 threads and again with 1: the difference is PyTorch's own noise.
"""
import copy
import math

import torch

from smollm2 import load, packed_floats, questions, tokenized, uniform_plan, write

STEPS, LEARNING_RATE, CLIP, SAMPLE = 5, 5e-5, 1.0, 1024


def train(threads):
    model, tokenizer = load(threads)
    plan = uniform_plan(len(model.model.layers), 24, 4)
    rows = questions(4, skip=300)
    encoded = [tokenized(tokenizer, row) for row in rows]

    model.requires_grad_(False)
    blocks = model.model.layers
    trained = {layer: copy.deepcopy(blocks[layer]).requires_grad_(True) for layer in plan["transferLayers"]}
    # only the transfer layer's own place trains; its repeats stay as they were
    model.model.layers = torch.nn.ModuleList([
        trained[layer] if layer == position and layer in trained else blocks[layer]
        for position, layer in enumerate(plan["source"])
    ])
    names = [(f"model.layers.{layer}.{name}", p) for layer in trained for name, p in trained[layer].named_parameters()]
    before = {name: p.detach().clone() for name, p in names}

    optimizer = torch.optim.AdamW([p for _, p in names], lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    answers = [(prompt, choices[row["answer"]]) for row, (prompt, choices) in zip(rows, encoded)]
    length = max(len(prompt + answer) for prompt, answer in answers)
    pad = lambda ids, with_: ids + [with_] * (length - len(ids))
    inputs = torch.tensor([pad(prompt + answer, 0) for prompt, answer in answers])
    labels = torch.tensor([pad([-100] * len(prompt) + answer, -100) for prompt, answer in answers])

    log = []
    for step in range(STEPS):
        rate = LEARNING_RATE * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        optimizer.param_groups[0]["lr"] = rate
        logits = model(inputs).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in names], CLIP)
        optimizer.step()
        log.append({"learningRate": rate, "loss": loss.item(), "gradientNorm": norm.item()})
        print(threads, "threads, step", step, log[-1], flush=True)
    change = {name: (p.detach() - before[name]).flatten() for name, p in names}
    return rows, encoded, plan, log, change


rows, encoded, plan, log, change = train(2)
again = train(1)[4]


def described(name):
    values = change[name]
    count = min(SAMPLE, values.numel())
    places = torch.arange(count) * values.numel() // count
    return {
        "name": name,
        "size": values.numel(),
        "norm": values.double().norm().item(),
        "noise": ((again[name] - values).double().norm() / values.double().norm()).item(),
        # elements floor(i * size / count)
        "sample": packed_floats(values[places].numpy()),
    }


write("training", {
    "rows": rows,
    "ids": [{"prompt": prompt, "choices": choices} for prompt, choices in encoded],
    "plan": plan,
    "options": {"steps": STEPS, "learningRate": LEARNING_RATE, "clipNorm": CLIP, "schedule": "cosine"},
    "log": log,
    "tensors": [described(name) for name in change],
})
