"""A store with people and a project in it: what tests of projects stand on."""

import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.labelling import Labelling
from backend.project_import import ProjectImport
from backend.projects import ProjectDraft, Projects, ProjectView
from backend.rubrics import RubricLibrary
from backend.types import Mode, Rubric
from db.session import Store
from tests.conftest import add_user
from tests.factories import LEVELS

RUBRIC = Rubric("Does it help the person who asked?", LEVELS)


class ProjectBench:
    """lead: makes the projects. ann, bob: label."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.lead = add_user(store, "lead", "lead")
        self.ann = add_user(store, "ann", "annotator")
        self.bob = add_user(store, "bob", "annotator")
        self.projects = Projects(store)
        self.importing = ProjectImport(store)
        self.rubric_version_id = RubricLibrary(store).in_place(RUBRIC, self.lead)

    def project(self, name: str = "Kettles", mode: Mode = Mode.DIRECT, **changes: Any) -> ProjectView:
        fields: dict[str, Any] = {"rubric_version_ids": (self.rubric_version_id,), "item_order": "given"}
        return self.projects.create(ProjectDraft(name, mode, **fields | changes), self.lead)

    def file(self, rows: Sequence[dict[str, Any]], name: str = "rows.jsonl") -> Path:
        path = self.folder / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    def filled(self, items: int = 5, mode: Mode = Mode.DIRECT, **changes: Any) -> ProjectView:
        """A project with this many items of its mode."""
        view = self.project(mode=mode, **changes)
        report = self.importing.run(str(self.file(rows_of(items, mode))), view.id, self.lead)
        assert report.imported == items
        return self.projects.get(view.id)


def label_items(bench: ProjectBench, view: ProjectView, person: int, choices: Sequence[str]) -> None:
    """One blind label after the other, as the page hands items out. Of a pair A is what was imported so."""
    labelling = Labelling(bench.store)
    for choice in choices:
        task = labelling.next(view.id, person)
        assert task is not None
        said = choice
        if choice in ("A", "B"):
            said = choice if task.responses[0].startswith("First") else "BA"["AB".index(choice)]
        labelling.submit(task.project_item_id, person, uuid.uuid4().hex, said, seconds=4)


def rows_of(number: int, mode: Mode = Mode.DIRECT) -> list[dict[str, Any]]:
    match mode:
        case Mode.DIRECT:
            return [{"instruction": f"Question {n}?", "response": f"Answer {n}."} for n in range(number)]
        case Mode.PAIRWISE:
            return [
                {"instruction": f"Question {n}?", "response_a": f"First {n}.", "response_b": f"Second {n}.",
                 "model_a": "alpha", "model_b": "beta"}
                for n in range(number)
            ]  # fmt: skip
        case Mode.RANKING:
            return [{"instruction": f"Question {n}?", "responses": [f"{w} {n}" for w in "xyz"]} for n in range(number)]
