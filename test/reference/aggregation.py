"""Each method of aggregation on small vectors, by NumPy from its paper's definition: the fixture of the unit tests.

    python test/reference/aggregation.py > test/fixtures/aggregation.json

Eleven parties change three layers of five numbers each; the last two are attackers (sign flipped and ten times as long).
Methods are written over the whole matrix at once, with sorts and masks, where the code goes over pieces.
"""
import json

import numpy as np

PARTIES, LAYERS, WIDTH, ATTACKERS = 11, 3, 5, 2
rng = np.random.default_rng(7)
common = rng.normal(size=LAYERS * WIDTH)
updates = common + 0.4 * rng.normal(size=(PARTIES, LAYERS * WIDTH))
updates[-ATTACKERS:] *= -10
updates[2, 3] = 0.0
updates = np.round(updates, 3)
weights = np.array([1, 2, 0.5, 1, 1, 3, 1, 0, 1, 1, 1.5])
share = weights / weights.sum()
layer = np.repeat(np.arange(LAYERS), WIDTH)


def krum_scores(rows, f):
    squared = ((rows[:, None] - rows[None]) ** 2).sum(-1)
    near = max(1, len(rows) - f - 2)
    return np.array([np.sort(np.delete(squared[i], i))[:near].sum() for i in range(len(rows))])


def geometric_median(iterations, nu=1e-6):
    z = share @ updates
    for _ in range(iterations):
        beta = weights / np.maximum(nu, np.linalg.norm(z - updates, axis=1))
        z = beta @ updates / beta.sum()
    return z


def multi_krum(f, keep):
    best = np.argsort(krum_scores(updates, f), kind="stable")[:keep]
    return weights[best] @ updates[best] / weights[best].sum(), sorted(best.tolist())


def bulyan(f):
    left = list(range(PARTIES))
    selected = []
    while len(selected) < PARTIES - 2 * f:
        selected.append(left.pop(int(np.argmin(krum_scores(updates[left], f)))))
    rows = np.sort(updates[sorted(selected)], axis=0)
    middle = np.median(rows, axis=0)
    count = len(selected) - 2 * f
    near = np.argsort(np.abs(rows - middle), axis=0, kind="stable")[:count]
    return np.take_along_axis(rows, near, 0).mean(0), sorted(selected)


def clip(most=None):
    norms = np.linalg.norm(updates, axis=1)
    most = np.median(norms) if most is None else most
    return updates * np.minimum(1, most / norms)[:, None]


def largest(rows, density):
    count = max(1, int(density * rows.shape[1] + 0.5))
    out = np.zeros_like(rows)
    for i, row in enumerate(rows):
        keep = np.argsort(-np.abs(row), kind="stable")[:count]
        out[i, keep] = row[keep]
    return out


def score(values, spread):
    values = np.asarray(values)
    away = np.abs(values - np.median(values))
    unit = np.std(values) if spread == "std" else 1.4826 * np.median(away)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(away == 0, 0, away / unit)


def lasa(sparsity, norm_bound, sign_bound, spread):
    clipped = clip()
    sparse = largest(clipped, 1 - sparsity)
    out, taken = np.zeros(LAYERS * WIDTH), []
    for at in range(LAYERS):
        mine = layer == at
        part = sparse[:, mine]
        norms = score(np.linalg.norm(part, axis=1), spread)
        signs = np.sign(part)
        counts = np.abs(signs).sum(1)
        purity = 0.5 * (1 + np.where(counts > 0, signs.sum(1) / np.maximum(counts, 1), 0) * (1 - sparsity))
        good = (norms < norm_bound) & (score(purity, spread) < sign_bound)
        if not good.any():
            good[:] = True
        used = weights * good
        out[mine] = used @ clipped[:, mine] / used.sum()
        taken.append(np.flatnonzero(good).tolist())
    return out, taken


def merged(sparse, scale):
    elected = np.sign((weights[:, None] * sparse).sum(0))
    agree = (np.sign(sparse) == elected) & (sparse != 0)
    used = agree * weights[:, None]
    total = used.sum(0)
    return scale * np.where(total > 0, (used * sparse).sum(0) / np.where(total > 0, total, 1), 0)


def ties(density, scale):
    return merged(largest(updates, density), scale)


def mix(x):
    """The finaliser of MurmurHash3, on 32 bits."""
    x = np.asarray(x, dtype=np.uint64)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        x = ((x ^ (x >> np.uint64(shift))) * np.uint64(factor)) & np.uint64(0xFFFFFFFF)
    return x


def fnv1a(name):
    found = 0x811C9DC5
    for byte in name.encode():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return found


def dare_ties(density, scale, seed):
    """Chance by party, tensor (here a layer) and place in it: an element stays where its 32 bits are below density 2^32."""
    place = np.tile(np.arange(WIDTH), LAYERS).astype(np.uint64)
    steps = place * np.uint64(0x9E3779B1)
    sparse = np.zeros_like(updates)
    for party, row in enumerate(updates):
        own = mix(fnv1a(f"party {party}") ^ seed)
        here = mix(mix(own ^ layer.astype(np.uint64)))
        drawn = mix((here + steps) & np.uint64(0xFFFFFFFF))
        sparse[party] = np.where(drawn < density * 2**32, row / density, 0)
    return merged(sparse, scale)


def trimmed(trim):
    return np.sort(updates, axis=0)[trim : PARTIES - trim].mean(0)


multi, multi_taken = multi_krum(2, 6)
bulyan_found, bulyan_taken = bulyan(2)
lasa_std, lasa_std_taken = lasa(0.3, 1.0, 1.0, "std")
lasa_mad, lasa_mad_taken = lasa(0.4, 2.0, 2.5, "mad")
krum_best = int(np.argmin(krum_scores(updates, 2)))
cases = [
    ({"method": "mean"}, share @ updates, None),
    ({"method": "linear"}, weights @ updates, None),
    ({"method": "median"}, np.median(updates, axis=0), None),
    ({"method": "trimmedMean", "trim": 2}, trimmed(2), None),
    # After so many steps it stands still to the last digits.
    ({"method": "geometricMedian"}, geometric_median(2000), None),
    ({"method": "geometricMedian", "iterations": 10}, geometric_median(10), None),
    ({"method": "geometricMedian", "iterations": 3}, geometric_median(3), None),
    ({"method": "krum", "attackers": 2}, updates[krum_best], [krum_best]),
    ({"method": "multiKrum", "attackers": 2, "keep": 6}, multi, multi_taken),
    ({"method": "bulyan", "attackers": 2}, bulyan_found, bulyan_taken),
    ({"method": "normClip"}, share @ clip(), None),
    ({"method": "normClip", "clipNorm": "2.5"}, share @ clip(2.5), None),
    ({"method": "lasa"}, lasa_std, lasa_std_taken),
    (
        {"method": "lasa", "sparsity": "0.4", "normBound": "2", "signBound": "2.5", "spread": "mad"},
        lasa_mad,
        lasa_mad_taken,
    ),
    ({"method": "ties", "density": "0.4", "scale": "0.7"}, ties(0.4, 0.7), None),
    ({"method": "ties"}, ties(0.2, 1), None),
    # All of each change, so that nothing is left to chance.
    ({"method": "dareTies", "density": "1"}, ties(1.0, 1), None),
    ({"method": "dareTies", "density": "0.5", "scale": "0.9", "seed": 7}, dare_ties(0.5, 0.9, 7), None),
]
print(
    json.dumps(
        {
            "layers": LAYERS,
            "updates": updates.tolist(),
            "weights": weights.tolist(),
            "cases": [
                {"aggregation": method, "expected": found.tolist(), **({"taken": taken} if taken else {})}
                for method, found, taken in cases
            ],
        }
    )
)
