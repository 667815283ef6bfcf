"""Scores of heads and channels, and refitted consumers, computed with NumPy from tokens and gradients themselves.

Needs Python with numpy. Writes test/fixtures/width.json.
"""
import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(7)
TOKENS, TO, FROM = 40, 5, 8
LAMBDA = 0.7
KEPT = [0, 1, 4, 7]
PENALTY = 1e-3 + len(KEPT) / TOKENS


def numbers(array):
    return np.asarray(array, np.float64).ravel().tolist()


def case(constant=False, dependent=False):
    x = rng.normal(size=(TOKENS, FROM)) @ rng.normal(size=(FROM, FROM)) / 2 + rng.normal(size=FROM)
    if constant:
        x = np.tile(x[:1], (TOKENS, 1))
    if dependent:
        # what is left out follows from what stays
        x[:, [2, 3, 5, 6]] = x[:, KEPT] @ rng.normal(size=(4, 4)) + 1
    w = rng.normal(size=(TO, FROM)).astype(np.float32).astype(np.float64)
    g = rng.normal(size=(TOKENS, TO)) / TOKENS
    dw = g.T @ x
    return x, w, g, dw


def scores(x, w, g, dw):
    per_token = g * TOKENS
    hessian_outputs, hessian_inputs = per_token.T @ per_token / TOKENS, x.T @ x / TOKENS

    def dropped(delta):
        changed = hessian_outputs @ delta @ hessian_inputs
        return np.abs(changed).sum() - LAMBDA * (dw * delta).sum()

    rows, columns = [], []
    for i in range(TO):
        delta = np.zeros_like(w)
        delta[i] = -w[i]
        rows.append(dropped(delta))
    for j in range(FROM):
        delta = np.zeros_like(w)
        delta[:, j] = -w[:, j]
        columns.append(dropped(delta))
    return {
        "flap": numbers(x.var(axis=0) * (w**2).sum(axis=0)),
        "wanda": numbers((np.abs(w) * np.sqrt((x**2).mean(axis=0))).mean(axis=0)),
        "taylorRows": numbers(np.abs(w * dw).sum(axis=1)),
        "taylorColumns": numbers(np.abs(w * dw).sum(axis=0)),
        "gradientRows": numbers(rows),
        "gradientColumns": numbers(columns),
    }


def refitted(x, w):
    """Ridge regression on the centred tokens themselves, of what the left out inputs gave."""
    out = [i for i in range(FROM) if i not in KEPT]
    # what never changes has no spread, not even that of rounding
    centred = (x - x.mean(axis=0)) * (np.ptp(x, axis=0) > 0)
    kept, given = centred[:, KEPT], centred[:, out] @ w[:, out].T
    added = PENALTY * (kept**2).sum() / TOKENS / len(KEPT)
    # the penalty as more rows: least squares of both
    rows = np.vstack([kept / np.sqrt(TOKENS), np.sqrt(added if added > 0 else 1) * np.eye(len(KEPT))])
    change = np.linalg.lstsq(rows, np.vstack([given / np.sqrt(TOKENS), np.zeros((len(KEPT), TO))]), rcond=None)[0].T
    weight = w[:, KEPT] + change

    def error(weight):
        bias = (x @ w.T - x[:, KEPT] @ weight.T).mean(axis=0)
        return ((x @ w.T - x[:, KEPT] @ weight.T - bias) ** 2).sum() / TOKENS, bias

    return {
        "weight": numbers(weight),
        "bias": numbers(error(weight)[1]),
        "error": error(weight)[0],
        "plainBias": numbers(error(w[:, KEPT])[1]),
        "plainError": error(w[:, KEPT])[0],
    }


def record(name, **options):
    x, w, g, dw = case(**options)
    return {
        "name": name,
        "tokens": TOKENS, "to": TO, "from": FROM,
        "weight": numbers(w), "mean": numbers(x.mean(axis=0)), "second": numbers(x.T @ x / TOKENS),
        "outputs": numbers(g.T @ g / TOKENS), "slope": numbers(dw),
        "scores": scores(x, w, g, dw), "refit": refitted(x, w),
    }


fixture = {
    "lambda": LAMBDA, "kept": KEPT,
    "cases": [record("any"), record("inputs that never change", constant=True), record("inputs that follow", dependent=True)],
}
path = Path(__file__).parent.parent / "fixtures" / "width.json"
path.write_text(json.dumps(fixture, separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")
print(path.stat().st_size, "bytes")
