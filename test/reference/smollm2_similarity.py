"""Pooled states of 64 texts in float32, adjacent linear CKA in float64, and the published recipe's plan at K = 15."""
import numpy as np
import torch

from smollm2 import definitions, encode, load, nearest, transfer_layers, write

K = 15


def poolings(hidden):
    """[T, D] float32 -> every pooling, without and with the first token left out."""
    place = torch.arange(1, hidden.shape[0] + 1, dtype=torch.float32)[:, None]
    for suffix, h, t in (("", hidden, place), (" skipFirst", hidden[1:], place[1:])):
        yield "mean" + suffix, h.mean(0)
        yield "meanWeighted" + suffix, (t * h).sum(0) / t.sum()
        yield "last" + suffix, h[-1]
        yield "first" + suffix, h[0]
        yield "max" + suffix, h.max(0).values
        yield "min" + suffix, h.min(0).values


def cka(x, y):
    n = x.shape[0]
    h = np.eye(n) - 1 / n
    k, l = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h
    return (k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum())


def merge(adjacent, count):
    clusters = [[layer] for layer in range(len(adjacent) + 1)]
    while len(clusters) > count:
        best = max(range(len(clusters) - 1), key=lambda i: (adjacent[clusters[i][-1]], -i))
        clusters[best : best + 2] = [clusters[best] + clusters[best + 1]]
    return clusters


model, tokenizer = load()
texts = [f"{word}: {definition}." for word, definition in definitions()[:64]]
ids = [encode(tokenizer, text) for text in texts]

# the last entry of hidden_states is after the final norm, so the blocks' own outputs are taken by hooks
outputs = []
for block in model.model.layers:
    block.register_forward_hook(lambda _, __, out: outputs.append(out if torch.is_tensor(out) else out[0]))
pooled = {}
with torch.no_grad():
    for row in ids:
        outputs.clear()
        model.model(torch.tensor([row]))
        for layer, out in enumerate(outputs):
            for name, vector in poolings(out[0]):
                pooled.setdefault(name, {}).setdefault(layer, []).append(vector.numpy())

states = {name: [np.stack(rows).astype(np.float64) for rows in layers.values()] for name, layers in pooled.items()}
adjacent = {name: [cka(a, b) for a, b in zip(layers, layers[1:])] for name, layers in states.items()}
mean = states["mean"]
clusters = merge(adjacent["mean"], K)
kept = [cluster[len(cluster) // 2] for cluster in clusters]
write("similarity", {
    "texts": texts,
    "ids": ids,
    "adjacent": adjacent,
    "matrix": [[cka(a, b) for b in mean] for a in mean],
    "plan": {
        "layers": K,
        "clusters": clusters,
        "kept": kept,
        "transferLayers": transfer_layers(kept, 4),
        "source": nearest(kept, len(mean)),
    },
})
