"""The PyTorch peer of one measurement: transformers' own model, float32, on the same rows; eager, or by torch.compile with
frozen weights where the job says "compiled".

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
    model.requires_grad_(False)
    if job.get("compiled"):
        from torch._inductor import config as inductor

        inductor.freezing = True
        model.model = torch.compile(model.model, dynamic=True)
    return model


def padded(rows):
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    return ids, mask


@torch.no_grad()
def probe(job):
    """Mean-pooled states of each block. Compiled, they are the model's own outputs: hooks would break its graph."""
    model = load(job)
    compiled = job.get("compiled", False)
    rows = sorted(job["rows"], key=len)
    depth = model.config.num_hidden_layers
    pooled = [[] for _ in range(depth)]
    mask = None

    def pool(layer, states):
        weights = mask[:, :, None]
        pooled[layer].append((weights * states).sum(1) / weights.sum(1))

    if not compiled:
        for layer, block in enumerate(model.model.layers):
            block.register_forward_hook(lambda _, __, out, layer=layer: pool(layer, out if torch.is_tensor(out) else out[0]))

    def run():
        out = model.model(ids, attention_mask=mask, output_hidden_states=compiled)
        for layer, states in enumerate(out.hidden_states[1:] if compiled else []):
            pool(layer, states)

    batches = [padded(rows[i : i + job["batch"]]) for i in range(0, len(rows), job["batch"])]
    for ids, mask in batches if compiled else batches[-1:]:
        run()
    start, cpu = time.perf_counter(), time.process_time()
    for ids, mask in batches:
        run()
    return {
        "tokens": sum(map(len, rows)),
        "seconds": time.perf_counter() - start,
        "cpuSeconds": time.process_time() - cpu,
    }


@torch.no_grad()
def evaluate(job):
    """The likelihood of each choice after its prompt, each a sequence of its own; the head only at the choices' positions."""
    model = load(job)
    sequences = [
        (row, choice, question["prompt"] + tokens, len(tokens))
        for row, question in enumerate(job["rows"])
        for choice, tokens in enumerate(question["choices"])
    ]
    sequences.sort(key=lambda one: len(one[2]))
    batches = [sequences[i : i + job["batch"]] for i in range(0, len(sequences), job["batch"])]
    scores = [[0.0] * len(row["choices"]) for row in job["rows"]]

    def run(batch):
        ids, mask = padded([tokens for _, _, tokens, _ in batch])
        states = model.model(ids, attention_mask=mask).last_hidden_state
        for (row, choice, tokens, answer), own in zip(batch, states):
            first = len(tokens) - answer
            logits = model.lm_head(own[first - 1 : len(tokens) - 1]).log_softmax(-1)
            scores[row][choice] = logits.gather(1, torch.tensor(tokens[first:])[:, None]).sum().item()

    for batch in batches if job.get("compiled") else batches[-1:]:
        run(batch)
    start, cpu = time.perf_counter(), time.process_time()
    for batch in batches:
        run(batch)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    right = [max(range(len(own)), key=own.__getitem__) == row["answer"] for own, row in zip(scores, job["rows"])]
    return {"rows": len(right), "value": sum(right) / len(right), "seconds": seconds, "cpuSeconds": cpu_seconds}


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
result = {"probe": probe, "evaluate": evaluate, "train": train}[job["task"]](job)
result["peakBytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(result))
