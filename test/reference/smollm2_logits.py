"""Logits, loss and the gradient of every block's weights of SmolLM2 on three texts, each text on its own."""
import torch

from smollm2 import encode, load, packed_floats, write

TEXTS = [
    "The tide comes in twice a day because the moon pulls at the sea.",
    "A model owner has a language model that must not leave its hands, and a data owner has data that must not leave its hands.",
    "Which word means: a long narrow inlet of the sea between steep cliffs? Answer: fjord",
]
TOKENS, STEP, SAMPLE = 6, 97, 8

model, tokenizer = load(2)
ids = [encode(tokenizer, text) for text in TEXTS]
tokens = sum(len(row) - 1 for row in ids)
logits, loss = [], 0.0
for row in ids:
    found = model(torch.tensor([row])).logits[0]
    logits.append(found.detach()[-TOKENS:, ::STEP])
    part = torch.nn.functional.cross_entropy(found[:-1], torch.tensor(row[1:]), reduction="sum") / tokens
    part.backward()
    loss += part.item()


def described(gradient):
    flat = gradient.double().flatten()
    places = [i * len(flat) // SAMPLE for i in range(SAMPLE)]
    return {"norm": flat.norm().item(), "sample": packed_floats(flat[places].float())}


write("logits", {
    "texts": TEXTS,
    "ids": ids,
    # of the last tokens of each text, every STEP-th of the vocabulary
    "tokens": TOKENS,
    "step": STEP,
    "logits": packed_floats(torch.cat(logits).flatten()),
    "loss": loss,
    "gradients": {name: described(p.grad) for name, p in model.named_parameters() if "model.layers" in name},
})
