"""lm-evaluation-harness on the rows of test/fixtures/tasks: what it says of every choice, and the rows as Parquet.

Needs Python with torch, transformers, gguf and lm-eval (which brings datasets); the arguments are SmolLM2's GGUF file and
tasks (none means all). The rows, made for this purpose in the published columns, take the place of the hub's data sets; nothing else of the harness's
tasks is touched but RACE's prompt, since the harness asks an article's questions one after another in a single prompt, and the
metrics of choices, among which acc_bytes is asked for too: the harness's acc_norm divides by characters.
Writes test/fixtures/tasks/<task>.parquet and harness.json.
"""
import json
import sys
from importlib.metadata import version
from pathlib import Path

import datasets
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

MODEL = Path(sys.argv[1])
FIXTURES = Path(__file__).parent.parent / "fixtures" / "tasks"
RESULTS = FIXTURES / "harness.json"

text = Value("string")
texts = datasets.List(text)
labelled = {"text": texts, "label": texts}
science = {"id": text, "question": text, "choices": labelled, "answerKey": text}
# where the harness looks for each task, and the columns as the hub has them
TASKS = {
    "openbookqa": ("allenai/openbookqa", "main", {"id": text, "question_stem": text, "choices": labelled, "answerKey": text}),
    "arc_easy": ("allenai/ai2_arc", "ARC-Easy", science),
    "arc_challenge": ("allenai/ai2_arc", "ARC-Challenge", science),
    "webquestions": ("stanfordnlp/web_questions", None, {"url": text, "question": text, "answers": texts}),
    "piqa": ("baber/piqa", None, {"goal": text, "sol1": text, "sol2": text, "label": ClassLabel(names=["0", "1"])}),
    "sciq": ("allenai/sciq", None, {name: text for name in (
        "question", "distractor3", "distractor1", "distractor2", "correct_answer", "support")}),
    "race": ("ehovy/race", "high", {"example_id": text, "article": text, "answer": text, "question": text, "options": texts}),
    "hellaswag": ("Rowan/hellaswag", None, {"ind": Value("int32"), "activity_label": text, "ctx_a": text, "ctx_b": text,
        "ctx": text, "endings": texts, "source_id": text, "split": text, "split_type": text, "label": text}),
}
RACE = {
    "task": "race",
    "dataset_path": "ehovy/race",
    "dataset_name": "high",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "Article: {{article}}\n\nQuestion: {{question}}\n\nAnswer:",
    "doc_to_target": "{{['A', 'B', 'C', 'D'].index(answer)}}",
    "doc_to_choice": "{{options}}",
}
CHOICES = [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm", "acc_bytes")]


def rows(task):
    lines = (FIXTURES / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
    return Dataset.from_list([json.loads(line) for line in lines], features=Features(TASKS[task][2]))


def local(path, name=None, **_):
    """In place of datasets.load_dataset."""
    [task] = [task for task, (hub, config, _) in TASKS.items() if (hub, config) == (path, name)]
    return DatasetDict({split: rows(task) for split in ("train", "validation", "test")})


def load():
    torch.set_num_threads(1)
    place = {"pretrained_model_name_or_path": str(MODEL.parent), "gguf_file": MODEL.name}
    tokenizer = AutoTokenizer.from_pretrained(**place)
    # the conversion of the GGUF file loses that digits are split one by one
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    model = AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32, attn_implementation="eager")
    return HFLM(pretrained=model.eval(), tokenizer=tokenizer, batch_size=16, device="cpu")


def named(task):
    """A task of the harness, by name or as it is to be changed."""
    if task == "webquestions":
        return "webqs"
    config = RACE if task == "race" else manager.load(task)["tasks"][task].config.to_dict(keep_callable=True)
    return {**config, "metric_list": CHOICES}


datasets.load_dataset = local
manager = TaskManager()
asked = sys.argv[2:] or list(TASKS)
for task in asked:
    rows(task).to_parquet(FIXTURES / f"{task}.parquet")
found = simple_evaluate(
    model=load(), tasks=[named(task) for task in asked], num_fewshot=0, bootstrap_iters=0,
)
fixture = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"tasks": {}}
fixture["harness"] = version("lm-eval")
for task in asked:
    name = {"webquestions": "webqs"}.get(task, task)
    samples = sorted(found["samples"][name], key=lambda sample: sample["doc_id"])
    metrics = [metric for metric in ("acc", "acc_norm", "acc_bytes", "exact_match") if metric in samples[0]]
    fixture["tasks"][task] = [{
        "logLikelihood": [round(float(score), 4) for score, _ in sample["filtered_resps"]],
        "greedy": [bool(greedy) for _, greedy in sample["filtered_resps"]],
        **{metric: int(sample[metric]) for metric in metrics},
    } for sample in samples]
    print(task, {metric: sum(row[metric] for row in fixture["tasks"][task]) / len(samples) for metric in metrics})
lines = [f'  {json.dumps(task)}: [\n' + ",\n".join(f"   {json.dumps(row)}" for row in fixture["tasks"][task]) + "\n  ]"
         for task in TASKS if task in fixture["tasks"]]
RESULTS.write_text(
    '{\n "harness": ' + json.dumps(fixture["harness"]) + ',\n "tasks": {\n' + ",\n".join(lines) + "\n }\n}\n", encoding="utf-8")
