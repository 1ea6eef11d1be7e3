"""The training itself, in a process of its own: rows become packs, TRL and PEFT train, the expert is written.

    python -m backend.training WORKPLACE

The workplace holds spec.json. The process writes progress.jsonl (a line a step, a line a dev set measured),
checkpoint-N folders to go on from, and at the end the folder `made`, whole by its manifest.
"""

import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from backend.adapters import apply_adapter, write_like
from backend.child_process import end_with_parent
from backend.engines.tokenizer import PromptTokenizer
from backend.errors import SHOWN, InvalidInputError
from backend.experts import BESIDE, ExpertSpec
from backend.formats import prompt_format
from backend.models import weights_digest
from backend.packing import Pack, pack_rows
from backend.starter import MANIFEST, files_of
from backend.training_card import card
from backend.training_choice import Chosen, choose_rows
from backend.training_encoding import Encoder
from backend.training_rows import TrainingRow
from backend.training_start import adapter_of, begin_at, card_before, matrices_digest, require_base
from backend.types import Mode
from backend.whole_folders import MADE

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def collate(packs: Sequence[Pack]) -> dict[str, torch.Tensor]:
    """One pack as tensors: ids and positions (1, tokens), who sees whom (1, 1, tokens, tokens), and the goals."""
    pack = packs[0]
    size = len(pack)
    sees = torch.zeros(size, size, dtype=torch.bool)
    for index, parent in enumerate(pack.parents):
        if parent >= 0:
            sees[index] = sees[parent]
        sees[index, index] = True
    most = max(len(goal.choices) for goal in pack.goals)
    choices = torch.zeros(len(pack.goals), most, dtype=torch.long)
    probabilities = torch.zeros(len(pack.goals), most)
    for row, goal in enumerate(pack.goals):
        choices[row, : len(goal.choices)] = torch.tensor(goal.choices)
        probabilities[row, : len(goal.probabilities)] = torch.tensor(goal.probabilities)
    return {
        "input_ids": torch.tensor([pack.ids]),
        "position_ids": torch.tensor([pack.depths]),
        "attention_mask": sees[None, None],
        "places": torch.tensor([goal.place for goal in pack.goals]),
        "choices": choices,
        "probabilities": probabilities,
        "weights": torch.tensor([goal.weight for goal in pack.goals]),
        "rows": torch.tensor(pack.rows),
    }


def goal_log_probabilities(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-probabilities of the goals' choices, (goals, choices); the vocabulary is computed at their places alone."""
    sees = inputs["attention_mask"]
    dtype = next(model.parameters()).dtype
    mask = torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill_(~sees, torch.finfo(dtype).min)
    logits = model(
        input_ids=inputs["input_ids"],
        position_ids=inputs["position_ids"],
        attention_mask=mask,
        logits_to_keep=inputs["places"],
        use_cache=False,
    ).logits[0]
    logs: torch.Tensor = torch.log_softmax(logits.float(), -1).gather(1, inputs["choices"])
    return logs


class ExpertTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with the loss of packed rows, in which all rows weigh the same. mean_rows: of the packs."""

    mean_rows: float = 1.0
    _seen_loss: float = 0.0
    _seen_rows: int = 0

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> torch.Tensor:
        logs = goal_log_probabilities(model, inputs)
        per_goal = -(inputs["probabilities"] * logs).sum(-1)
        loss = (inputs["weights"] * per_goal).sum()
        self._seen_loss += loss.item()
        self._seen_rows += int(inputs["rows"])
        return loss / self.mean_rows

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the mean loss of the rows since the last time, however many there were in the step."""
        if "loss" in logs and self._seen_rows:
            logs = {**logs, "loss": self._seen_loss / self._seen_rows}
            self._seen_loss, self._seen_rows = 0.0, 0
        super().log(logs, start_time)


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Writes progress.jsonl, and measures the dev sets now and then."""

    def __init__(self, path: Path, dev: "DevSets", every: int) -> None:
        self._path, self._dev, self._every = path, dev, every
        self._started = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **kwargs: Any) -> None:
        if "loss" in logs and state.is_world_process_zero:
            self._write(
                step=state.global_step,
                of=state.max_steps,
                loss=round(logs["loss"], 5),
                rate=logs.get("learning_rate"),
                seconds=round(time.monotonic() - self._started, 1),
            )

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:
        if state.global_step % self._every == 0 or state.global_step == state.max_steps:
            measured = self._dev.measure(model)  # by every process: a sharded model needs them all
            if state.is_world_process_zero:
                self._write(step=state.global_step, dev=measured)

    def _write(self, **entry: Any) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class DevSets:
    """Rows that are only measured, without feedback: a pack each, with a goal for each order."""

    def __init__(self, spec: ExpertSpec, encoder: Encoder) -> None:
        self._sets: dict[str, list[tuple[TrainingRow, Pack]]] = {}
        for source in spec.dev:
            rows = choose_rows(spec.model_copy(update={"balance_length": False}), [source]).rows
            encoded = [encoder.encode(row, with_feedback=False) for row in rows]
            packed = [(one.row, pack_rows([one.examples], 1)[0]) for one in encoded if one.tokens <= spec.max_tokens]
            if packed:
                self._sets[Path(source.place).name.split(".")[0].rstrip("*")] = packed

    def measure(self, model: Any) -> dict[str, dict[str, Any]]:
        """Of each set the metric, its value (None where it is undefined) and the rows that it is of."""
        was_training = model.training
        model.eval()
        with torch.no_grad():
            told = {
                name: _agreement(packed, [_said(model, pack) for _, pack in packed])
                for name, packed in self._sets.items()
            }
        model.train(was_training)
        return told


def _said(model: Any, pack: Pack) -> float:
    """The expected score, or the probability that A is better by the mean of the orders."""
    inputs = {name: tensor.to(model.device) for name, tensor in collate([pack]).items()}
    probabilities: list[list[float]] = torch.softmax(goal_log_probabilities(model, inputs), -1).tolist()
    if len(pack.goals[0].choices) > 2:
        return sum(score * p for score, p in enumerate(probabilities[0], start=1))
    a_first = [p[0] if order == 0 else p[1] for order, p in enumerate(probabilities)]
    return sum(a_first) / len(a_first)


def _agreement(packed: Sequence[tuple[TrainingRow, Pack]], said: Sequence[float]) -> dict[str, Any]:
    rows = [row for row, _ in packed]
    if rows[0].mode is Mode.DIRECT:
        labels = [sum(score * p for score, p in enumerate(row.target, start=1)) for row in rows]
        defined = np.ptp(labels) > 0 and np.ptp(said) > 0
        value = float(np.corrcoef(labels, said)[0, 1]) if defined else None
        return {"metric": "pearson", "value": value, "n": len(rows)}
    decided = [(row.target[0] > 0.5) == (p > 0.5) for row, p in zip(rows, said, strict=True) if row.target[0] != 0.5]
    return {"metric": "accuracy", "value": sum(decided) / len(decided) if decided else None, "n": len(decided)}


def run(workplace: Path) -> None:
    """Train by spec.json in the workplace, from its newest checkpoint if there is one. Raises InvalidInputError."""
    spec = ExpertSpec.model_validate_json((workplace / "spec.json").read_text("utf-8"))
    started = time.monotonic()
    torch.manual_seed(spec.seed)
    base = Path(spec.base)
    tokenizer = PromptTokenizer(base)
    encoder = Encoder(spec, tokenizer, prompt_format(spec.prompt_format))
    chosen = choose_rows(spec, spec.data)
    packs = _packs(spec, encoder, chosen)
    model = _model(spec, base, workplace)
    trainer = _trainer(spec, workplace, model, base, packs, DevSets(spec, encoder))
    if spec.start_from is not None:
        begin_at(trainer.model, spec.start_from, base, workplace.parent)
    trainer.train(resume_from_checkpoint=_newest_checkpoint(workplace))
    whole = trainer.accelerator.get_state_dict(trainer.model) if spec.method == "full" else None
    if not trainer.is_world_process_zero():
        return
    made = workplace / "made.partial"
    _write_model(trainer.model, whole, base, made)
    curve = (workplace / "progress.jsonl").read_text("utf-8").splitlines()
    told = card(spec, chosen.rows, chosen.counts, curve, seconds=time.monotonic() - started, versions=_versions())
    if spec.start_from is not None:
        told += f"\n## What it went on from\n\n{card_before(spec.start_from)}\n"
    (made / "README.md").write_text(told, "utf-8")
    _write_manifest(made, spec)
    made.rename(workplace / MADE)


def _packs(spec: ExpertSpec, encoder: Encoder, chosen: Chosen) -> list[Pack]:
    draw = random.Random(spec.seed)  # noqa: S311 - a draw of data, no secret
    encoded = [encoder.encode(row, with_feedback=draw.random() < spec.feedback_share) for row in chosen.rows]
    fitting = [one for one in encoded if one.tokens <= spec.max_tokens]
    chosen.counts.too_long = len(encoded) - len(fitting)
    chosen.counts.with_feedback = sum(len(goals.examples[-1].goals) > 1 for goals in fitting)
    chosen.counts.trained = len(fitting)
    if not fitting:
        raise InvalidInputError(
            f"No row is left to train on: {len(encoded)} were read, and all are longer than {spec.max_tokens} tokens "
            f"or none is of the format {spec.format}. Name other data, or raise max_tokens."
        )
    packs = pack_rows([one.examples for one in fitting], spec.pack_tokens)
    chosen.counts.tokens = sum(map(len, packs))
    chosen.counts.plain_tokens = sum(len(example.ids) for one in fitting for example in one.examples)
    return packs


def _model(spec: ExpertSpec, base: Path, workplace: Path) -> Any:
    """The base, or what it is with the expert beside it, which lies in a folder of its own meanwhile."""
    if spec.beside is None:
        return _loaded(spec, base)
    require_base(spec.beside, base, workplace.parent)
    with tempfile.TemporaryDirectory(prefix=BESIDE, dir=workplace, ignore_cleanup_errors=True) as folder:
        apply_adapter(base, adapter_of(spec.beside), Path(folder), weight=spec.beside_weight)
        return _loaded(spec, Path(folder))


def _loaded(spec: ExpertSpec, folder: Path) -> Any:
    dtype = getattr(torch, spec.dtype)
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, attn_implementation="sdpa"
    )


def _trainer(
    spec: ExpertSpec, workplace: Path, model: Any, base: Path, packs: list[Pack], dev: DevSets
) -> ExpertTrainer:
    mean_rows = sum(pack.rows for pack in packs) / len(packs)
    accumulation = max(1, round(spec.rows_per_step / mean_rows))
    steps = max(1, round(spec.epochs * len(packs) / accumulation))
    arguments = SFTConfig(
        output_dir=str(workplace),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        max_steps=steps,
        learning_rate=spec.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(spec.warmup_ratio * steps),
        logging_steps=1,
        save_steps=spec.checkpoint_steps,
        save_total_limit=2,
        seed=spec.seed,
        data_seed=spec.seed,
        bf16=False,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
        report_to=[],
        disable_tqdm=True,
        average_tokens_across_devices=False,
    )
    trainer = ExpertTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"pack": list(range(len(packs)))}),
        data_collator=lambda features: collate([packs[feature["pack"]] for feature in features]),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
        peft_config=_lora(spec, model) if spec.method == "lora" else None,
        callbacks=[Reporter(workplace / "progress.jsonl", dev, spec.evaluate_steps)],
    )
    trainer.mean_rows = mean_rows
    trainer.model_accepts_loss_kwargs = False  # the loss is a mean over rows: divide it by the accumulation
    return trainer


def _lora(spec: ExpertSpec, model: Any) -> LoraConfig:
    layers = model.config.num_hidden_layers
    if spec.layers_from >= layers:
        raise InvalidInputError(f"layers_from is {spec.layers_from}, but the base has the layers 0 to {layers - 1}.")
    return LoraConfig(
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=list(LINEAR_LAYERS),
        layers_to_transform=list(range(spec.layers_from, layers)),
        task_type="CAUSAL_LM",
    )


def _newest_checkpoint(workplace: Path) -> str | None:
    """The newest one that is whole: the trainer's state is written last."""
    whole = [path for path in workplace.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)
    return None if newest is None else str(newest)


def _write_model(model: Any, whole: dict[str, torch.Tensor] | None, base: Path, folder: Path) -> None:
    """The whole model in the base's own dtypes, and inside its folder the adapter alone where there is one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if whole is None:
        _write_adapter(model, base, folder / "adapter")
        apply_adapter(base, folder / "adapter", folder)
    else:
        write_like(base, folder, whole)


def _write_adapter(model: Any, base: Path, folder: Path) -> None:
    """The LoRA matrices in bfloat16, as PEFT saves them, without the path of this machine's base."""
    model.save_pretrained(folder)
    path = folder / "adapter_model.safetensors"
    save_file({name: tensor.to(torch.bfloat16) for name, tensor in load_file(path).items()}, path)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    config["base_model_name_or_path"] = base.name
    config["target_modules"] = sorted(config["target_modules"])  # a set's order differs from process to process
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def _write_manifest(folder: Path, spec: ExpertSpec) -> None:
    """Written last: a folder that has it is whole."""
    manifest: dict[str, Any] = {
        "kind": "expert",
        "name": spec.name,
        "trained_on": spec.format,
        "prompt_format": spec.prompt_format,
        "spec": spec.model_dump(mode="json"),
        "spec_digest": spec.digest,
        "parents": {"base": weights_digest(Path(spec.base), folder.parent, lambda _message, _fraction: None)},
        "made_with": _versions(),
        "files": files_of(folder),
    }
    if spec.start_from is not None:
        manifest["went_on_from"] = {"adapter": matrices_digest(spec.start_from)}
    if spec.beside is not None:
        manifest["trained_beside"] = {"adapter": matrices_digest(spec.beside), "weight": spec.beside_weight}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "transformers", "trl", "peft", "safetensors")}


def main(workplace: Path) -> int:
    """Run, and tell a failure that a person can mend in failure.json, for the process that waits."""
    failure = workplace / "failure.json"
    failure.unlink(missing_ok=True)
    try:
        run(workplace)
    except SHOWN as error:
        kind = "input" if isinstance(error, InvalidInputError) else "training"
        failure.write_text(json.dumps({"kind": kind, "message": str(error)}), "utf-8")
        return 1
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main(Path(sys.argv[1])))
