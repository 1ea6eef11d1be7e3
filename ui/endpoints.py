"""The same without a page: every action as a named endpoint, for gradio_client and for MCP clients.

Each works for who is signed in, and their role is checked by the service that it calls. The docstrings are what a
client is shown: `Args` and `Returns` are read from them.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from backend.adjudicating import Why
from backend.agreement_report import as_json
from backend.batch_job import BatchOrder
from backend.comparing import Selection
from backend.errors import InvalidInputError
from backend.history import NO_RESULT_WORDS, VerdictDetail
from backend.judging import Question, RunPhase
from backend.labelling_desk import Given, Task
from backend.passes import Pass
from backend.project_export import FORMS
from backend.projects import ItemOrder, ProjectDraft
from backend.results import result_words
from backend.streams import Foremost
from backend.types import Item, Sampling
from ui.commands.project import MODES, rubric_named
from ui.services import Services
from ui.shell import shown

MAX_EXPORT_BYTES = 20_000_000
Fields = dict[str, Any]


def build(services: Services) -> None:
    """Add the endpoints to the page that is open."""
    endpoints = _Endpoints(services)
    for function in (
        endpoints.judge, endpoints.list_rubrics,
        endpoints.project_create, endpoints.project_import, endpoints.project_judge, endpoints.project_status,
        endpoints.project_export, endpoints.project_restore,
        endpoints.next_item, endpoints.save_label, endpoints.skip_item, endpoints.flag_item,
        endpoints.disputed_items, endpoints.decide_item, endpoints.agreement,
    ):  # fmt: skip
        # Without the queue: gradio 6.31 calls queued endpoints for an MCP client by HTTP, as nobody who is signed in.
        gr.api(shown(function), api_name=function.__name__, queue=False)


class _Endpoints:
    """Gather, call one service, and answer with JSON values."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def judge(
        self, instruction: str, responses: list[str], rubric: str, reference: str = "", feedback: bool = True
    ) -> Fields:
        """Judge one response by a score from 1 to 5, or several against each other.

        Args:
            instruction: What the responses were asked to do.
            responses: One text for a score, two for a winner, more for a ranking.
            rubric: The name of a rubric of the library; list_rubrics names them.
            reference: An answer that would deserve the highest score; may be empty.
            feedback: Whether the judge writes feedback too, which takes longer.

        Returns:
            The verdict: its id, its result in words and in numbers, its feedback and what each is on (of a pair which
            was Response A and which Response B to the judge), and who made it.
        """
        view = rubric_named(self._services.library, rubric)
        item = Item(instruction, tuple(responses), reference if reference.strip() else None)
        sampling = Sampling(**{**asdict(self._services.sampling), "feedback": feedback})
        asked = Question(item, view.rubric, view.version_id)
        self._services.serving.start()
        state = self._services.judging.start(asked, sampling, self._services.who()).wait()
        if state.phase is not RunPhase.DONE or state.verdict_id is None:
            raise InvalidInputError(state.message)
        return {**self._verdict(state.verdict_id), "from_store": state.from_store}

    def list_rubrics(self) -> list[Fields]:
        """The rubrics of the library.

        Returns:
            Of each its name, its criterion, and what the scores 1 to 5 mean.
        """
        views = self._services.library.search()
        return [
            {"name": one.name, "criterion": one.rubric.criterion, "levels": list(one.rubric.levels)} for one in views
        ]

    def project_create(
        self,
        name: str,
        mode: str = "score",
        rubrics: list[str] | None = None,
        guidelines: str = "",
        blind: bool = True,
        people_per_item: int = 1,
        order: str = "random",
        repeats: int = 0,
        audit_share: float = 0.3,
        foremost: str = "uncertain",
    ) -> Fields:
        """Make a project. For leads.

        Args:
            name: Its name, not in use yet.
            mode: score, pair or rank.
            rubrics: Names of rubrics of the library; may be empty where rows bring their own.
            guidelines: Markdown for those who label.
            blind: Whether people label before they see the verdict.
            people_per_item: How many people label each item, 1 to 100.
            order: given, random or two streams.
            repeats: How many items come back to each person.
            audit_share: Of two streams: the share of items that is drawn by chance, 0.01 to 0.99.
            foremost: Of two streams: what comes first among the others, uncertain or disputed.

        Returns:
            The project's id and name.
        """
        if mode not in MODES or order not in list(ItemOrder) or foremost not in list(Foremost):
            raise InvalidInputError(
                f"mode {mode}, order {order}, foremost {foremost}: known are {', '.join(MODES)}; "
                f"{', '.join(ItemOrder)}; {', '.join(Foremost)}."
            )
        ids = tuple(rubric_named(self._services.library, one).version_id for one in rubrics or [])
        draft = ProjectDraft(
            name, MODES[mode], ids, guidelines, blind=blind, people_per_item=people_per_item,
            item_order=ItemOrder(order), repeats=repeats, audit_share=audit_share, foremost=Foremost(foremost),
        )  # fmt: skip
        view = self._services.projects.create(draft, self._services.who())
        return {"id": view.id, "name": view.name}

    def project_import(self, project: str, rows: list[Fields], leave_out_refused: bool = False) -> Fields:
        """Take rows into a project, all of them or none. For leads.

        Args:
            project: The project's name or number.
            rows: Objects with the fields that the page Projects recognises, such as instruction and response.
            leave_out_refused: Import the others if some can't be used.

        Returns:
            How many were imported and were there already, and why any was refused.
        """
        view = self._services.projects.named(project)
        with tempfile.TemporaryDirectory(prefix="assay-") as folder:
            place = Path(folder) / "rows.jsonl"
            place.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            report = self._services.importing.run(
                str(place), view.id, self._services.who(), leave_out_refused=leave_out_refused
            )
        return {**asdict(report), "refused": [asdict(row) for row in report.refused]}

    def project_judge(self, project: str, failed_only: bool = False) -> Fields:
        """Have all items of a project judged behind the page; project_status tells how far it is. For leads.

        Args:
            project: The project's name or number.
            failed_only: Only what has no result so far.

        Returns:
            The number of the job.
        """
        served = self._services.serving.served
        order = BatchOrder(
            self._services.projects.named(project).id,
            self._services.sampling,
            model_version_id=None if served is None else served.model_version_id,
            failed_only=failed_only,
        )
        return {"job": self._services.batches.submit(self._services.jobs, order, self._services.who())}

    def project_status(self, project: str = "") -> list[Fields]:
        """How far projects are, and each of their people. For leads.

        Args:
            project: The project's name or number; empty: all projects.

        Returns:
            Of each project its state, its items, labels, verdicts and failures, and what each person has done.
        """
        self._services.require_lead("look at how far projects are")
        projects = self._services.projects
        views = [projects.named(project)] if project else projects.list(include_archived=True)
        return [
            {"id": view.id, "name": view.name, "state": view.state, **asdict(projects.progress(view.id))}
            for view in views
        ]

    def project_export(self, project: str, form: str = "long") -> str:
        """A project's items, labels, decisions and verdicts, or rows to train on. For leads.

        Args:
            project: The project's name or number.
            form: long, feedback-collection, preference-collection or dpo.

        Returns:
            JSON Lines, at most 20 MB; larger ones by the page or by `launch.py project export`.
        """
        if form not in FORMS:
            raise InvalidInputError(f"The form is {form!r}; it must be one of {', '.join(FORMS)}.")
        with tempfile.TemporaryDirectory(prefix="assay-") as folder:
            out = Path(folder) / "project.jsonl"
            self._services.exporting.write(self._services.projects.named(project).id, form, out, self._services.who())
            if out.stat().st_size > MAX_EXPORT_BYTES:
                raise InvalidInputError(
                    f"It has {out.stat().st_size:,} bytes; at most {MAX_EXPORT_BYTES:,} are sent. Export it on the "
                    "page Projects, or by `launch.py project export`."
                )
            return out.read_text(encoding="utf-8")

    def project_restore(self, export: str, name: str = "") -> Fields:
        """A project again from its export: policy, items, labels, decisions and verdicts. For admins.

        Args:
            export: What project_export gave in the form long: JSON Lines.
            name: Of the new project; empty: as it was.

        Returns:
            The new project's id, what it holds, and who was made anew, unable to sign in.
        """
        with tempfile.TemporaryDirectory(prefix="assay-") as folder:
            place = Path(folder) / "export.jsonl"
            place.write_text(export, encoding="utf-8")
            return asdict(self._services.importing.restore(str(place), name, self._services.who()))

    def next_item(self, project: str) -> Fields:
        """The item to label next, or the one in hand. In a blind project without anything of the verdict.

        Args:
            project: The project's name or number.

        Returns:
            The item with its responses in the order in which to show them, and its rubric; empty if nothing waits.
        """
        task = self._services.labelling.next(self._services.projects.named(project).id, self._services.who())
        return {} if task is None else self._task(task)

    def save_label(self, item: int, choice: str, client_id: str, note: str = "", seconds: float = 0.0) -> Fields:
        """Give your label on the item in hand.

        Args:
            item: As next_item names it.
            choice: 1 to 5; A, B or tie; or an order such as B > A > C, in the letters of the order that was shown.
            client_id: Made for this label, at most 50 characters; the same once more changes nothing.
            note: Why; may be empty.
            seconds: Since the item was shown.

        Returns:
            What is stored, and, where it may be seen now, the verdict.
        """
        given = self._services.labelling.submit(item, self._services.who(), client_id, choice, note, seconds=seconds)
        return self._given(given)

    def skip_item(self, item: int) -> Fields:
        """Pass an item by; others still get it.

        Args:
            item: As next_item names it.

        Returns:
            The item that was skipped.
        """
        self._services.labelling.skip(item, self._services.who())
        return {"skipped": item}

    def flag_item(self, item: int, note: str, client_id: str) -> Fields:
        """Tell the lead what is wrong with an item; it stays in hand.

        Args:
            item: As next_item names it.
            note: What is wrong.
            client_id: Made for this flag; the same once more changes nothing.

        Returns:
            The item that was flagged.
        """
        self._services.labelling.flag(item, self._services.who(), client_id, note)
        return {"flagged": item}

    def disputed_items(self, project: str, why: str = "people") -> list[Fields]:
        """Items for a lead to settle. For leads.

        Args:
            project: The project's name or number.
            why: people (they disagree), model (people agree, and not with the model) or decided.

        Returns:
            Of each its id, number and instruction, and how many people labelled it.
        """
        if why not in list(Why):
            raise InvalidInputError(f"why is {why!r}; it must be one of {', '.join(Why)}.")
        project_id = self._services.projects.named(project).id
        return [asdict(one) for one in self._services.adjudicating.queue(project_id, self._services.who(), Why(why))]

    def decide_item(self, item: int, choice: str, reason: str, client_id: str) -> Fields:
        """The final decision on an item, in the place of an earlier one, which is kept. For leads.

        Args:
            item: As disputed_items names it.
            choice: 1 to 5; A, B or tie; or an order such as B > A > C, in the imported order of responses.
            reason: Why it is so.
            client_id: Made for this decision; the same once more changes nothing.

        Returns:
            What is decided, in words.
        """
        decision = self._services.adjudicating.decide(item, self._services.who(), client_id, choice, reason)
        return {"id": decision.id, "decided": decision.words, "reason": decision.reason}

    def agreement(self, mode: str = "score", project: str = "") -> Fields:
        """How far people and the model agree, with intervals. For leads.

        Args:
            mode: score, pair or rank.
            project: The project's name or number; empty: labels from everywhere.

        Returns:
            Every figure of the page Agreement.
        """
        if mode not in MODES:
            raise InvalidInputError(f"The mode is {mode!r}; it must be one of {', '.join(MODES)}.")
        project_id = self._services.projects.named(project).id if project else None
        report = self._services.comparing.report(Selection(MODES[mode], project_id=project_id), self._services.who())
        figures: Fields = json.loads(as_json(report))
        return figures

    def _task(self, task: Task) -> Fields:
        seen = None if task.verdict_id is None else self._verdict(task.verdict_id)
        return {
            "item": task.project_item_id,
            "mode": task.mode,
            "instruction": task.instruction,
            "responses": list(task.responses),
            "reference": task.reference,
            "criterion": task.rubric.criterion,
            "levels": list(task.rubric.levels),
            "came_back": task.round == 2,
            "choice": task.choice,
            "note": task.note,
            "verdict": seen,
        }

    def _given(self, given: Given) -> Fields:
        seen = None if given.verdict_id is None else self._verdict(given.verdict_id)
        return {
            "label": given.label_id, "kind": given.kind, "said": given.words, "rushed": given.rushed,
            "decided_meanwhile": given.decided, "verdict": seen,
        }  # fmt: skip

    def _verdict(self, verdict_id: int) -> Fields:
        return verdict_fields(self._services.history.open(verdict_id, self._services.who()))


def verdict_fields(detail: VerdictDetail) -> Fields:
    """A verdict as JSON values."""
    written = [one for one in detail.readings if one.reading.feedback]
    return {
        "verdict": detail.id,
        "mode": detail.mode,
        "result": NO_RESULT_WORDS if detail.result is None else result_words(detail.result),
        "details": None if detail.result is None else asdict(detail.result),
        "order_sensitive": detail.order_sensitive,
        "feedback": [one.reading.feedback for one in written],
        "feedback_on": [Pass(one.first, one.second).label for one in written],
        "model": detail.maker.model_name,
        "maker": detail.maker_digest,
        "rubric": detail.rubric_name,
    }
