"""Accuracy and perplexity of a small random LLaMA under tokenizers of several layouts, by an implementation in NumPy.

Answers by the rule of lm-evaluation-harness (the tokens of the whole text behind as many as the prompt alone has), conversations
by transformers' apply_chat_template and its assistant's mask. Beside them what comes of tokenising prompt and answer apart.
Reads test/fixtures/tokenizers (tokenizers_reference.py) and writes test/fixtures/tokenizers-scores.json. No weight is stored:
each follows from its name and place, as in families.py. Needs numpy, tokenizers and transformers; run it from the repository's root.
"""

import json
import random
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

LAYOUTS = ["llama2", "metaspace-first", "metaspace-always", "unigram-byte-fallback", "gpt2"]
HIDDEN, HEADS, LAYERS, MIDDLE, VOCABULARY = 32, 4, 2, 48, 960
EPSILON, THETA = 1e-6, 10000.0
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": HIDDEN,
    "intermediate_size": MIDDLE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
    "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": EPSILON, "rope_theta": THETA, "tie_word_embeddings": False,
}


def uniform(name, size):
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    x = np.arange(size, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed)
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    x = x ^ (x >> np.uint32(16))
    return (x >> np.uint32(8)).astype(np.float64) / 2**23 - 1


def tensor_list():
    linear = lambda fan_in: round(1.7 / fan_in**0.5, 6)
    yield "model.embed_tokens.weight", [VOCABULARY, HIDDEN], 0.0, 1.0
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        for part in "qkvo":
            yield f"{at}self_attn.{part}_proj.weight", [HIDDEN, HIDDEN], 0.0, linear(HIDDEN)
        yield f"{at}mlp.gate_proj.weight", [MIDDLE, HIDDEN], 0.0, linear(HIDDEN)
        yield f"{at}mlp.up_proj.weight", [MIDDLE, HIDDEN], 0.0, linear(HIDDEN)
        yield f"{at}mlp.down_proj.weight", [HIDDEN, MIDDLE], 0.0, linear(MIDDLE)
        yield f"{at}input_layernorm.weight", [HIDDEN], 1.0, 0.3
        yield f"{at}post_attention_layernorm.weight", [HIDDEN], 1.0, 0.3
    yield "model.norm.weight", [HIDDEN], 1.0, 0.3
    yield "lm_head.weight", [VOCABULARY, HIDDEN], 0.0, linear(HIDDEN)


TENSORS = list(tensor_list())
WEIGHTS = {
    name: (base + scale * uniform(name, int(np.prod(shape)))).astype(np.float32).astype(np.float64).reshape(shape)
    for name, shape, base, scale in TENSORS
}


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON) * weight


def rotated(x):
    """Rotary positions of [T, heads, size], halves as pairs."""
    size = x.shape[-1]
    angles = np.arange(len(x))[:, None] / THETA ** (np.arange(0, size, 2) / size)[None]
    cos, sin = np.cos(np.concatenate([angles, angles], 1))[:, None], np.sin(np.concatenate([angles, angles], 1))[:, None]
    half = np.concatenate([-x[..., size // 2 :], x[..., : size // 2]], -1)
    return x * cos + half * sin


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def log_probabilities(ids):
    x = WEIGHTS["model.embed_tokens.weight"][ids]
    hidden_later = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
    for i in range(LAYERS):
        w = lambda part: WEIGHTS[f"model.layers.{i}.{part}.weight"]
        y = norm(x, w("input_layernorm"))
        q, k, v = ((y @ w(f"self_attn.{part}_proj").T).reshape(len(ids), HEADS, -1) for part in "qkv")
        scores = np.einsum("qhd,khd->hqk", rotated(q), rotated(k)) / (HIDDEN // HEADS) ** 0.5 + hidden_later
        x = x + np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(ids), HIDDEN) @ w("self_attn.o_proj").T
        y = norm(x, w("post_attention_layernorm"))
        gate = y @ w("mlp.gate_proj").T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T
    return np.log(softmax(norm(x, WEIGHTS["model.norm.weight"]) @ WEIGHTS["lm_head.weight"].T))


def likelihoods(ids, targets):
    logs = log_probabilities(ids)
    return [logs[t - 1, ids[t]] for t in targets if t > 0]


rng = random.Random(4)
WORDS = "blue green red sky moon river house bread water light stone paper early seven never".split()
QUESTIONS = [
    {"question": f"Which word is {rng.choice(WORDS)} {n}?", "choices": rng.sample(WORDS, 4), "answer": rng.randrange(4)} for n in range(40)
]
CHATS = [
    [
        {"role": "user", "content": f"Say {rng.choice(WORDS)} and {n}."}, {"role": "assistant", "content": " ".join(rng.sample(WORDS, 3))},
        {"role": "user", "content": "日本 again"}, {"role": "assistant", "content": rng.choice(WORDS) + " 👍"},
    ]
    for n in range(12)
]
# Without generation tags on our side, and with them for transformers' mask.
TEMPLATE = "{% for m in messages %}{% if m.role == 'assistant' %}Answer: {% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}Question: {{ m.content }} {% endif %}{% endfor %}{% if add_generation_prompt %}Answer: {% endif %}"


def main():
    fixture = {"family": "llama", "config": CONFIG, "dtype": "F32", "tensors": TENSORS, "questions": QUESTIONS, "chats": CHATS, "layouts": {}}
    fixture["template"] = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    for name in LAYOUTS:
        record = json.loads(Path(f"test/fixtures/tokenizers/{name}.json").read_text())
        tokenizer = Tokenizer.from_str(json.dumps(record["tokenizer"]))
        right = apart = 0
        scores = []
        for row in QUESTIONS:
            prompt = f"Question: {row['question']}\nAnswer:"
            context = tokenizer.encode(prompt).ids
            own, separate = [], []
            for choice in row["choices"]:
                whole = tokenizer.encode(f"{prompt} {choice}").ids
                own.append(sum(likelihoods(whole, range(len(context), len(whole)))))
                joined = context + tokenizer.encode(f" {choice}", add_special_tokens=False).ids
                separate.append(sum(likelihoods(joined, range(len(context), len(joined)))))
            right += int(np.argmax(own)) == row["answer"]
            apart += int(np.argmax(separate)) == row["answer"]
            scores.append(own)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **record["config"] | {"chat_template": TEMPLATE})
        logs = []
        for chat in CHATS:
            out = fast.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
            ids, mask = out["input_ids"], out["assistant_masks"]
            logs += likelihoods(ids, [t for t, counted in enumerate(mask) if counted])
        fixture["layouts"][name] = {
            "logLikelihood": scores, "accuracy": right / len(QUESTIONS), "accuracyApart": apart / len(QUESTIONS),
            "perplexity": float(np.exp(-np.mean(logs))), "tokens": len(logs),
        }
        print(name, {key: value for key, value in fixture["layouts"][name].items() if key != "logLikelihood"})
    Path("test/fixtures/tokenizers-scores.json").write_text(json.dumps(fixture, ensure_ascii=False, separators=(",", ":")))


main()
