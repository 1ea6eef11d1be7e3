"""Judged items, put straight into a store: what services and pages are tested on."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from backend.types import SCORES, SIDES, Item, Maker, RankedResponse, Rubric, Sampling, Status, digest_of
from db import models
from db.session import Store
from tests.conftest import add_user

LEVELS = (
    "It misses the question or misleads.",
    "It touches the question but helps little.",
    "It answers in part, with gaps that matter.",
    "It answers well, with small gaps.",
    "It answers fully, clearly and correctly.",
)
RECIPE = {"method": "linear", "alpha": 0.5, "parents": ["direct", "pairwise"]}
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


class Bench:
    """A store with a person, a rubric and a model, to which verdicts can be added; each a minute later."""

    def __init__(self, store: Store, author: str = "owner") -> None:
        self.store = store
        self.author_id = add_user(store, author, "admin")
        self.rubric_version_id = self.rubric("Helpfulness")
        self.judge_id = self.judge("starter")
        self._count = itertools.count()

    def rubric(self, name: str, criterion: str = "Does it help the person who asked?", number: int = 1) -> int:
        """A rubric, or a further version of the one of this name; the version's id."""
        value = Rubric(criterion, LEVELS)
        with self.store.write() as session:
            rubric = session.scalars(select(models.Rubric).where(models.Rubric.name == name)).one_or_none()
            if rubric is None:
                rubric = models.Rubric(name=name, created_by_id=self.author_id)
            levels = {f"level_{score}": level for score, level in zip(SCORES, LEVELS, strict=True)}
            version = models.RubricVersion(
                rubric=rubric, number=number, digest=value.digest, criterion=criterion, **levels
            )
            session.add(version)
            session.flush()
            return version.id

    def model(self, name: str, recipe: dict[str, Any] | None = None) -> int:
        version = models.ModelVersion(
            digest=digest_of("weights", name),
            name=name,
            kind="merge" if recipe else "base",
            path=f"/models/{name}",
            architecture="LlamaForCausalLM",
            bytes=269_060_552,
            prompt_format="assay",
            recipe=recipe,
        )
        return self._add(version)

    def judge(self, name: str, sampling: Sampling | None = None, model_version_id: int | None = None) -> int:
        """A judge on a new merged model of this name, or on the model given."""
        sampling = sampling or Sampling()
        if model_version_id is None:
            model_version_id = self.model(name, recipe=RECIPE)
        with self.store.read() as session:
            version = session.get_one(models.ModelVersion, model_version_id)
        maker = Maker(
            model_name=version.name,
            model_digest=version.digest,
            recipe=None if version.recipe is None else json.dumps(version.recipe, sort_keys=True),
            prompt_format="assay",
            format_digest=digest_of("format"),
            engine="transformers",
            engine_version="transformers 5.19.0, torch 2.13.0",
            device="cpu",
            dtype="bfloat16",
            sampling=sampling,
        )
        judge = models.Judge(
            digest=maker.digest,
            model_version_id=model_version_id,
            prompt_format=maker.prompt_format,
            format_digest=maker.format_digest,
            engine=maker.engine,
            engine_version=maker.engine_version,
            device=maker.device,
            dtype=maker.dtype,
            **asdict(sampling),
        )
        return self._add(judge)

    def direct(
        self,
        score: int = 4,
        *,
        instruction: str | None = None,
        response: str = "Mix one part of white vinegar with two parts of water and let it soak overnight.",
        reference: str | None = "Soak the kettle in diluted vinegar or citric acid, then rinse it twice.",
        feedback: str = "It answers the question and gives amounts, but does not say to rinse afterwards.",
        **changes: Any,
    ) -> int:
        """A direct assessment; the verdict's id."""
        item = Item(instruction or self._instruction(), (response,), reference)
        probabilities = [0.6 if str(score) == result else 0.1 for result in SCORES]
        reading = self._reading(item, SCORES, probabilities, feedback, 0)
        expected = sum(p * int(result) for p, result in zip(probabilities, SCORES, strict=True))
        fields: dict[str, Any] = {"score": score, "expected_score": expected, "confidence": 0.6}
        return self._verdict(item, "direct", [(reading, 0, None)], fields | changes)

    def pairwise(
        self,
        winner: str = "A",
        *,
        p_a_first: float = 0.8,
        p_a_second: float = 0.7,
        instruction: str | None = None,
        responses: tuple[str, str] = ("Paris is the capital of France.", "I think it might be Lyon."),
        feedback: str = "Response A names the city correctly; Response B guesses.",
        **changes: Any,
    ) -> int:
        """A pairwise ranking in both orders; the verdict's id."""
        item = Item(instruction or self._instruction(), responses)
        first = self._reading(item, SIDES, [p_a_first, 1 - p_a_first], feedback, 0, 1)
        second = self._reading(item, SIDES, [1 - p_a_second, p_a_second], feedback, 1, 0)
        p_a = (p_a_first + p_a_second) / 2
        fields: dict[str, Any] = {
            "winner": winner,
            "p_a": p_a,
            "p_a_first": p_a_first,
            "p_a_second": p_a_second,
            "confidence": max(p_a, 1 - p_a),
            "order_sensitive": (p_a_first > 0.5) != (p_a_second > 0.5),
            "tie_margin": 0.05,
        }
        return self._verdict(item, "pairwise", [(first, 0, 1), (second, 1, 0)], fields | changes)

    def ranking(
        self,
        ranks: Sequence[int] = (2, 1, 3),
        *,
        instruction: str | None = None,
        responses: Sequence[str] = (),
        sensitive_pairs: int = 1,
        **changes: Any,
    ) -> int:
        """A ranking of as many responses as there are ranks; the verdict's id."""
        texts = tuple(responses) or tuple(f"Answer number {position + 1}." for position in range(len(ranks)))
        item = Item(instruction or self._instruction(), texts)
        pairs = list(itertools.permutations(range(len(ranks)), 2))
        readings = []
        for first, second in pairs:
            p = 0.8 if ranks[first] < ranks[second] else 0.2
            readings.append((self._reading(item, SIDES, [p, 1 - p], "One is better.", first, second), first, second))
        for position, rank in enumerate(ranks):
            p = [0.6 if int(score) == max(1, 6 - rank) else 0.1 for score in SCORES]
            readings.append((self._reading(item, SCORES, p, "It is fair.", position), position, None))
        middle = (len(ranks) + 1) / 2
        ranked = [
            RankedResponse(
                position,
                rank,
                (middle - rank) * 0.9,
                (middle - rank) * 0.9 - 0.7,
                (middle - rank) * 0.9 + 0.6,
                6.0 - rank,
            )
            for position, rank in enumerate(ranks)
        ]
        stored = {
            "ranked": [asdict(response) for response in ranked],
            "pairs": len(pairs) // 2,
            "sensitive_pairs": sensitive_pairs,
        }
        fields = {"ranking": stored, "order_sensitive": sensitive_pairs > 0}
        return self._verdict(item, "ranking", readings, fields | changes)

    def unparsed(self, raw_text: str = "I would rather not say.") -> int:
        """A direct assessment whose result could not be read."""
        item = Item(self._instruction(), ("An answer.",))
        reading = self._reading(item, SCORES, None, raw_text, 0)
        return self._verdict(item, "direct", [(reading, 0, None)], {"status": Status.UNPARSED})

    def _instruction(self) -> str:
        return f"How do I get limescale out of kettle number {next(self._count)}?"

    def _reading(
        self,
        item: Item,
        results: Sequence[str],
        probabilities: list[float] | None,
        feedback: str,
        first: int,
        second: int | None = None,
    ) -> models.Reading:
        result = "" if probabilities is None else f" [RESULT] {results[probabilities.index(max(probabilities))]}"
        return models.Reading(
            judge_id=self.judge_id,
            prompt_digest=digest_of("prompt", item.digest, first, second, next(self._count)),
            status=Status.UNPARSED if probabilities is None else Status.READ,
            results=list(results),
            probabilities=probabilities,
            feedback=feedback,
            raw_text=feedback + result,
            finish="marker" if probabilities else "end_of_turn",
            prompt_tokens=412,
            new_tokens=57,
            seconds=3.25,
        )

    def _verdict(
        self,
        item: Item,
        mode: str,
        readings: list[tuple[models.Reading, int, int | None]],
        fields: dict[str, Any],
    ) -> int:
        with self.store.write() as session:
            row = session.scalars(select(models.Item).where(models.Item.digest == item.digest)).one_or_none()
            if row is None:
                responses = [models.Response(position=n, text=text) for n, text in enumerate(item.responses)]
                row = models.Item(
                    digest=item.digest,
                    mode=mode,
                    instruction=item.instruction,
                    reference=item.reference,
                    responses=responses,
                )
            defaults = {
                "rubric_version_id": self.rubric_version_id,
                "judge_id": self.judge_id,
                "status": Status.READ,
                "seconds": sum(reading.seconds for reading, _, _ in readings),
                "created_by_id": self.author_id,
                "created_at": START + timedelta(minutes=next(self._count)),
            }
            verdict = models.Verdict(item=row, mode=mode, **(defaults | fields))
            verdict.readings = [
                models.VerdictReading(reading=reading, first=first, second=second)
                for reading, first, second in readings
            ]
            session.add(verdict)
            session.flush()
            return verdict.id

    def _add(self, row: models.ModelVersion | models.Judge) -> int:
        with self.store.write() as session:
            session.add(row)
            session.flush()
            return row.id
