"""The peer of bench/gpu: the same model, rows and steps in plain PyTorch, eager, float32 without TF32, on the same GPU.

Reads a job as JSON on stdin and prints a line of JSON for each part that is done. It needs torch and nothing else: the
decoder is written out here, with PyTorch's own fused attention, as a careful user would write it.
"""
import json
import struct
import sys
import time


def tell(part, **found):
    print(json.dumps({"part": part, **found}), flush=True)


def missing(reason):
    tell("missing", reason=reason)
    sys.exit()


job = json.load(sys.stdin)
try:
    import torch
    import torch.nn.functional as F
except ImportError as error:
    missing(f"no peer here: {error}")
device = job["device"]
if device == "cuda" and not torch.cuda.is_available():
    missing("no peer here: this torch finds no GPU")
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def done():
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def tensors(path):
    with open(f"{path}/model.safetensors", "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = bytearray(file.read())
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        assert entry["dtype"] == "BF16"
        flat = torch.frombuffer(data, dtype=torch.bfloat16, count=(end - start) // 2, offset=start)
        found[name] = flat.view(entry["shape"]).to(device).float()
    return found


config = json.load(open(f"{job['model']}/config.json"))
HEADS, KEYS, SIZE = config["num_attention_heads"], config["num_key_value_heads"], config["head_dim"]
EPS = config["rms_norm_eps"]
stored = tensors(job["model"])


def rotary(length):
    steps = torch.arange(0, SIZE, 2, device=device).double() / SIZE
    angles = torch.outer(torch.arange(length, device=device).double(), config["rope_theta"] ** -steps)
    angles = torch.cat([angles, angles], -1)
    return angles.cos().float(), angles.sin().float()


def norm(x, weight):
    return F.rms_norm(x, (x.shape[-1],), weight, EPS) if hasattr(F, "rms_norm") else (
        x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS) * weight)


def block(x, w, cos, sin):
    batch, length, _ = x.shape

    def heads(y, count):
        return y.view(batch, length, count, SIZE).transpose(1, 2)

    def turned(y):
        a, b = y.chunk(2, -1)
        return y * cos + torch.cat([-b, a], -1) * sin

    h = norm(x, w["input_layernorm"])
    q = turned(heads(F.linear(h, w["self_attn.q_proj"]), HEADS))
    k = turned(heads(F.linear(h, w["self_attn.k_proj"]), KEYS)).repeat_interleave(HEADS // KEYS, 1)
    v = heads(F.linear(h, w["self_attn.v_proj"]), KEYS).repeat_interleave(HEADS // KEYS, 1)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    x = x + F.linear(y.transpose(1, 2).reshape(batch, length, -1), w["self_attn.o_proj"])
    h = norm(x, w["post_attention_layernorm"])
    inner = F.silu(F.linear(h, w["mlp.gate_proj"])) * F.linear(h, w["mlp.up_proj"])
    return x + F.linear(inner, w["mlp.down_proj"])


def layer(number):
    start, end = f"model.layers.{number}.", ".weight"
    return {name[len(start):-len(end)]: value for name, value in stored.items() if name.startswith(start)}


EMBEDDING = stored["model.embed_tokens.weight"]


def matrix(side, count):
    x = torch.full((side, side), 1 / side, device=device)
    best = float("inf")
    for _ in range(5):
        start, y = done(), x
        for _ in range(count):
            y = y @ x
        y.sum().item()
        best = min(best, done() - start)
    tell("matrix", flops=2 * count * side**3 / best)


@torch.no_grad()
def probe(rows, batch):
    layers = [layer(number) for number in range(config["num_hidden_layers"])]
    turns = rotary(len(rows[0]))

    def run(some):
        x = F.embedding(torch.tensor(some, device=device), EMBEDDING)
        pooled = []
        for w in layers:
            x = block(x, w, *turns)
            pooled.append(x[:, 1:].mean(1))
        return torch.stack(pooled).cpu()

    batches = [rows[i : i + batch] for i in range(0, len(rows), batch)]
    run(batches[0])
    start = done()
    for some in batches:
        run(some)
    tell("probe", tokens=len(rows) * len(rows[0]), seconds=done() - start)


def train(steps):
    layers = {number: layer(number) for number in job["source"]}
    parameters = []
    for number in job["trained"]:
        layers[number] = {name: value.clone().requires_grad_() for name, value in layers[number].items()}
        parameters += layers[number].values()
    optimizer = torch.optim.AdamW(parameters, lr=job["learningRate"], weight_decay=0)
    turns = rotary(len(steps[0][0]))
    losses, seconds = [], 0.0
    for number, rows in enumerate(steps):
        start = done()
        ids = torch.tensor(rows, device=device)
        x = F.embedding(ids, EMBEDDING)
        for position in job["source"]:
            x = block(x, layers[position], *turns)
        logits = F.linear(norm(x, stored["model.norm.weight"])[:, :-1], EMBEDDING)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if number > 0:  # the first step warms up
            seconds += done() - start
    tokens = sum(len(row) for rows in steps[1:] for row in rows)
    tell("train", tokens=tokens, seconds=seconds, losses=losses)


matrix(**job["matrix"])
probe(**job["probe"])
train(job["steps"])
