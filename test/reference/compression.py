"""Compressions of linear maps by NumPy: test/fixtures/compression.json.

Needs Python with numpy. Written from the papers' formulas (SVD-LLM V2, arXiv 2503.12340; GradOT, arXiv 2507.04455; uniform
quantisation by groups), another way round than the product: singular values of W C^(1/2) by an SVD, C^(1/2) by eigenvalues,
the truncation with C^(-1/2), the Hessian's L1 norm of whole matrices.
"""
import json
from pathlib import Path

import numpy as np

random = np.random.default_rng(14)


def rounded(x):
    """As the product reads it: float32 weights, moments with few digits."""
    return np.round(x, 4)


def moments(width, tokens, dead=0):
    """Inputs with a mean and a falling spread; the last `dead` are always 0."""
    x = random.normal(size=(tokens, width)) @ (random.normal(size=(width, width)) * np.exp(-0.4 * np.arange(width)))
    x = rounded(x + random.normal(size=width))
    if dead:
        x[:, -dead:] = 0
    return {"tokens": tokens, "mean": x.mean(0), "second": x.T @ x / tokens}


def root(c):
    values, vectors = np.linalg.eigh(c)
    values = np.clip(values, 0, None)
    return vectors * np.sqrt(values) @ vectors.T, np.where(values > 1e-10 * values.max(initial=0), values, np.inf), vectors


def truncated(w, x, rank):
    """V2's truncation: SVD of W C^(1/2), cut, times C^(-1/2); C of centred inputs, the bias keeps the mean."""
    c = x["second"] - np.outer(x["mean"], x["mean"])
    half, values, vectors = root(c)
    u, s, vt = np.linalg.svd(w @ half, full_matrices=False)
    inverse = vectors / np.sqrt(values) @ vectors.T
    cut = (u[:, :rank] * s[:rank]) @ vt[:rank] @ inverse
    return {"sigma": s, "error": float(np.sum(s[rank:] ** 2)), "outputs": cut @ half, "u": u}


cases = []
for name, to, fro, rank, tokens, dead in [
    ("wide", 6, 10, 3, 200, 0), ("tall", 10, 6, 3, 200, 0), ("square", 7, 7, 2, 100, 0),
    ("fewer tokens than inputs", 6, 10, 3, 4, 0), ("dead inputs, tall", 9, 6, 2, 50, 2), ("one output", 1, 5, 1, 50, 0)]:
    w = rounded(random.normal(size=(to, fro)))
    x = moments(fro, tokens, dead)
    t = truncated(w, x, rank)
    cases.append({"name": name, "to": to, "from": fro, "rank": rank, "weight": w.ravel(), "tokens": tokens,
                  "mean": x["mean"], "second": x["second"].ravel(), "sigma": t["sigma"], "error": t["error"]})

# GradOT's score of dropping each component, with H = N^2 G (x) A (G of the mean loss over N tokens) and whole matrices; of
# components that are well apart.
w = rounded(random.normal(size=(6, 8)))
x = moments(8, 300)
g = random.normal(size=(40, 6)) * 0.3
outputs = g.T @ g / 40
slope = rounded(random.normal(size=(6, 8)))
u = truncated(w, x, 3)["u"]
scores = {}
for weight in (0.0, 1.0, 2.5e6):
    scores[str(weight)] = [
        float(300 ** 2 * np.abs(outputs @ delta @ x["second"]).sum() - weight * np.sum(slope * delta))
        for delta in (-np.outer(u[:, r], u[:, r] @ w) for r in range(6))]
gradient = {"to": 6, "from": 8, "weight": w.ravel(), "tokens": 300, "mean": x["mean"], "second": x["second"].ravel(),
            "outputs": outputs.ravel(), "slope": slope.ravel(), "scores": scores}

# V2's ratios, literally: n R w_i / sum(w), w_i = 1 / log(L_i), R what goes.
losses = rounded(np.exp(random.uniform(1.2, 6, size=7)))
ratios = []
for ratio in (0.35, 0.8):
    weights = 1 / np.log(losses)
    ratios.append({"ratio": ratio, "shares": 1 - len(losses) * (1 - ratio) * weights / weights.sum()})

# Uniform quantisation by groups, in float32 where the product stores float32.
quantised = []
for bits, group, to, fro in ((8, 4, 3, 10), (4, 4, 3, 10), (4, 5, 2, 7), (8, 64, 2, 7)):
    w = random.normal(size=(to, fro)).astype(np.float32)
    w[-1, :3] = 0.25
    codes, scales, minima, values = [], [], [], np.empty_like(w)
    for r in range(to):
        row = []
        for start in range(0, fro, group):
            part = w[r, start:start + group]
            low = part.min()
            scale = np.float32((np.float64(part.max()) - np.float64(low)) / (2 ** bits - 1))
            code = np.zeros(len(part), int) if scale == 0 else np.minimum(
                np.rint((part.astype(np.float64) - np.float64(low)) / np.float64(scale)), 2 ** bits - 1).astype(int)
            row += code.tolist()
            scales.append(scale)
            minima.append(low)
            values[r, start:start + group] = (np.float64(low) + code * np.float64(scale)).astype(np.float32)
        if bits == 4:
            row += [0] * (len(row) % 2)
            row = [row[i] | row[i + 1] << 4 for i in range(0, len(row), 2)]
        codes += row
    quantised.append({"bits": bits, "group": group, "to": to, "from": fro, "weights": w.ravel(), "codes": codes,
                      "scales": scales, "minima": minima, "values": values.ravel()})


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


path = Path(__file__).parent.parent / "fixtures" / "compression.json"
path.write_text(json.dumps(plain({"lowRank": cases, "gradient": gradient, "losses": losses, "ratios": ratios,
                                  "quantised": quantised}), indent=None) + "\n", encoding="utf-8")
print(path.stat().st_size, "bytes")
