"""Summed log-likelihood of every choice of 300 questions, by the full model and by an emulator that reuses layers."""
import torch

from smollm2 import load, questions, tokenized, uniform_plan, write

model, tokenizer = load()
rows = questions(300)
encoded = [tokenized(tokenizer, row) for row in rows]


@torch.no_grad()
def scores():
    result = []
    for prompt, choices in encoded:
        # one choice a row of the batch; what pads on the right is never seen by what is scored
        length = max(map(len, choices))
        batch = torch.tensor([prompt + choice + [0] * (length - len(choice)) for choice in choices])
        logits = model(batch).logits[:, len(prompt) - 1 : -1].double().log_softmax(-1)
        result.append([
            round(sum(logits[i, t, token].item() for t, token in enumerate(choice)), 6)
            for i, choice in enumerate(choices)
        ])
    return result


def accuracy(result):
    return sum(row["answer"] == max(range(4), key=lambda i: s[i]) for row, s in zip(rows, result)) / len(rows)


full = scores()
plan = uniform_plan(len(model.model.layers), 24, 4)
model.model.layers = torch.nn.ModuleList([model.model.layers[layer] for layer in plan["source"]])
emulator = scores()
print("accuracy: full", accuracy(full), "emulator", accuracy(emulator))
write("zero-shot", {
    "rows": rows,
    "ids": [{"prompt": prompt, "choices": choices} for prompt, choices in encoded],
    "plan": plan,
    "full": full,
    "emulator": emulator,
})
