"""The PyTorch peer of one measurement: transformers' own model, eager, float32, on the same rows.

Reads {"task", "model", "threads", "batch", ...} as JSON on stdin and prints one JSON line. Rows come as token ids, so
that no tokeniser is measured. Rows are sorted by length before they are padded, as a careful user would do.
"""
import copy
import json
import resource
import sys
import time

import torch
from transformers import AutoModelForCausalLM


def load(job):
    torch.set_num_threads(job["threads"])
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32).eval()
    model.config.use_cache = False
    return model.requires_grad_(False)


def padded(rows):
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


@torch.no_grad()
def probe(job):
    model = load(job)
    rows = sorted(job["rows"], key=len)
    pooled = [[] for _ in model.model.layers]
    mask = None

    def pool(layer):
        def hook(_, __, out):
            hidden = out if torch.is_tensor(out) else out[0]
            weights = mask[:, :, None]
            pooled[layer].append((weights * hidden).sum(1) / weights.sum(1))
        return hook

    for layer, block in enumerate(model.model.layers):
        block.register_forward_hook(pool(layer))
    batches = [padded(rows[i : i + job["batch"]]) for i in range(0, len(rows), job["batch"])]
    ids, mask = batches[-1]
    model.model(ids, attention_mask=mask)
    start, cpu = time.perf_counter(), time.process_time()
    for ids, mask in batches:
        model.model(ids, attention_mask=mask)
    return {
        "tokens": sum(map(len, rows)),
        "seconds": time.perf_counter() - start,
        "cpuSeconds": time.process_time() - cpu,
    }


def train(job):
    """Steps of AdamW on the transfer layers of an emulator that reuses layers as `source` says."""
    model = load(job)
    blocks = model.model.layers
    trained = {layer: copy.deepcopy(blocks[layer]).requires_grad_(True) for layer in job["transferLayers"]}
    seen = set()
    layers = []
    for position, layer in enumerate(job["source"]):
        own = layer in trained and (layer == position or len(job["source"]) < len(blocks)) and layer not in seen
        layers.append(trained[layer] if own else blocks[layer])
        seen |= {layer} if own else set()
    model.model.layers = torch.nn.ModuleList(layers)
    parameters = [p for block in trained.values() for p in block.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0)
    model.train()

    seconds, cpu_seconds, tokens = 0.0, 0.0, 0
    for number, step in enumerate(job["steps"]):
        rows = [row["prompt"] + row["answer"] for row in step]
        ids, mask = padded(rows)
        labels = torch.full_like(ids, -100)
        for i, row in enumerate(step):
            labels[i, len(row["prompt"]) : len(rows[i])] = torch.tensor(row["answer"])
        start, cpu = time.perf_counter(), time.process_time()
        optimizer.zero_grad()
        model(ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if number > 0:  # the first step warms up
            seconds += time.perf_counter() - start
            cpu_seconds += time.process_time() - cpu
            tokens += sum(map(len, rows))
    return {"tokens": tokens, "seconds": seconds, "cpuSeconds": cpu_seconds}


job = json.load(sys.stdin)
result = {"probe": probe, "train": train}[job["task"]](job)
result["peakBytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(result))
