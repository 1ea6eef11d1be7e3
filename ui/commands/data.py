"""The sub-command `data`: look at training data, build preferences, take one's own labels out as data."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from backend.config import Settings
from backend.errors import InvalidInputError
from backend.pair_scores import scores_of_pairs
from backend.preference_builder import ATTEMPTS, BuildProgress, BuildReport, Pairs, build, pairs_of
from backend.row_summary import RowSummary, summary_of
from backend.teachers import KEY_VARIABLE, EndpointTeacher, Teacher
from backend.training_forms import load_rows
from backend.training_rows import Loaded, RefusedRow, write_rows
from backend.types import Rubric
from ui.commands.terminal import told

SHOWN_REFUSALS = 20
"""Refused rows that are listed on the screen; --json lists all."""

Place = Annotated[str, typer.Argument(help="A file, a pattern in quotes, or a hub data set organisation/name.")]
Out = Annotated[Path, typer.Option(help="The file to write, with a name that ends in .jsonl.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on the standard output.")]


@dataclass(frozen=True)
class DataServices:
    """What the commands need of this store. judge: its judge as a teacher, loaded when first asked."""

    own_rows: Callable[[], Loaded]
    judge: Callable[[], Teacher]


def commands(open_services: Callable[[Settings], DataServices]) -> typer.Typer:
    """The commands; the services are opened by those alone that need them. context.obj: the settings."""
    app = typer.Typer(
        add_completion=False, help="Training data: look at it, build preferences, export your own labels."
    )

    @app.command()
    def show(place: Place, as_json: AsJson = False) -> None:
        """Count what a data set holds, and say which rows can't be used and why."""
        with told():
            loaded = load_rows(place)
            summary = summary_of(loaded)
            if as_json:
                typer.echo(_json({**_summary_fields(summary), "refused_rows": _fields(loaded.refused)}))
            else:
                typer.echo(_summary_words(place, summary))
                _echo_refused(loaded.refused)

    @app.command("build-preferences")
    def build_preferences(
        context: typer.Context,
        place: Place,
        out: Out,
        teacher_url: Annotated[
            str | None,
            typer.Option(
                help="An OpenAI-compatible endpoint, such as http://127.0.0.1:8000/v1; without it the judge of "
                f"this store writes. Its key is read from the environment variable {KEY_VARIABLE}."
            ),
        ] = None,
        teacher_model: Annotated[str | None, typer.Option(help="The model's name at the endpoint.")] = None,
        seed: Annotated[int, typer.Option(help="Decides on which side each winner is shown.")] = 0,
        attempts: Annotated[int, typer.Option(help="How often a pair is asked until the right one wins.")] = ATTEMPTS,
        limit: Annotated[int | None, typer.Option(help="At most so many pairs in this run.")] = None,
        parallel: Annotated[int, typer.Option(help="Questions asked at the endpoint at once.")] = 1,
        as_json: AsJson = False,
    ) -> None:
        """Make pairs of scored responses, and have a teacher compare them. Run it again to go on."""
        with told():
            loaded = load_rows(place)
            pairs = pairs_of(loaded.rows, seed)
            with _teacher(teacher_url, teacher_model, context.obj, open_services) as teacher, _progress() as report:
                built = build(
                    pairs.pairs,
                    teacher,
                    out,
                    seed=seed,
                    attempts=attempts,
                    limit=limit,
                    parallel=parallel,
                    report=report,
                )
            refused = [*loaded.refused, *pairs.refused, *built.refused]
            if as_json:
                typer.echo(_json({**_built_fields(pairs, built), "refused_rows": _fields(refused)}))
            else:
                typer.echo(_built_words(out, pairs, built))
                _echo_refused(refused)

    @app.command("score-pairs")
    def score_pairs(
        place: Place,
        out: Out,
        criterion: Annotated[
            str, typer.Option(help="What a response is scored by; the pairs' own asks which is better.")
        ],
        level: Annotated[
            list[str] | None, typer.Option(help="What a score means, from 1 to 5; give it five times or not at all.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Take pairs with winners apart, into responses with weak scores that direct assessment can learn from."""
        with told():
            loaded = load_rows(place)
            made = scores_of_pairs(loaded.rows, Rubric(criterion, tuple(level or ())))
            written = write_rows(made.rows, out)
            refused = [*loaded.refused, *made.refused]
            if as_json:
                typer.echo(_json({"written": written, "refused_rows": _fields(refused)}))
            else:
                typer.echo(f"{written:,} rows of {written // 2:,} pairs are in {out}.")
                _echo_refused(refused)

    @app.command()
    def own(context: typer.Context, out: Out, as_json: AsJson = False) -> None:
        """Write the labels and overrides of this store as training rows in the published field names."""
        with told():
            loaded = open_services(context.obj).own_rows()
            if not loaded.rows:
                raise InvalidInputError(_why_no_rows(loaded.refused))
            written = write_rows(loaded.rows, out)
            if as_json:
                typer.echo(
                    _json({"written": written, "sources": loaded.forms, "refused_rows": _fields(loaded.refused)})
                )
            else:
                typer.echo("\n".join([f"{written:,} rows are in {out}.", *_from(loaded.forms)]))
                _echo_refused(loaded.refused)

    return app


@contextmanager
def _teacher(
    url: str | None, model: str | None, settings: Settings, open_services: Callable[[Settings], DataServices]
) -> Iterator[Teacher]:
    if (url is None) != (model is None):
        missing = "--teacher-model" if model is None else "--teacher-url"
        raise InvalidInputError(f"{missing} is missing. Give both, or neither to have this store's judge write.")
    if url is None or model is None:
        yield open_services(settings).judge()
        return
    with EndpointTeacher(url, model, key=os.environ.get(KEY_VARIABLE)) as teacher:
        yield teacher


@contextmanager
def _progress() -> Iterator[Callable[[BuildProgress], None]]:
    """A bar on the standard error."""
    with closing(tqdm(unit=" pairs", desc="Compared", dynamic_ncols=True)) as bar:

        def report(progress: BuildProgress) -> None:
            bar.total = progress.total
            bar.set_postfix(refused=progress.refused, refresh=False)
            bar.update(progress.done - bar.n)

        yield report


def _summary_fields(summary: RowSummary) -> dict[str, object]:
    return {"rows": summary.rows, **asdict(summary), "tokens": summary.tokens}


def _summary_words(place: str, summary: RowSummary) -> str:
    forms = ", ".join(f"{count:,} in the form “{form}”" for form, count in summary.forms.items())
    lines = [
        f"{place}: {summary.rows:,} rows to learn from ({forms}).",
        f"Direct {summary.direct:,}, pairwise {summary.pairwise:,}; with feedback {summary.feedback:,}; "
        f"{summary.shared:,} have no single result.",
        f"Left out: {summary.duplicates:,} duplicates, {summary.refused:,} refused.",
    ]
    if summary.direct:
        lines.append("Scores: " + _said_words(summary.scores, summary.direct))
    if summary.pairwise:
        lines.append("Winners: " + _said_words(summary.winners, summary.pairwise))
    lines.append(f"{summary.words:,} words, roughly {summary.tokens:,} tokens.")
    return "\n".join([*lines, *_from(summary.sources)])


def _from(sources: Mapping[str, int]) -> list[str]:
    return [f"From {source}: {count:,}" for source, count in sources.items()]


def _why_no_rows(refused: Sequence[RefusedRow]) -> str:
    """What there is instead of labels that make rows, and what to do."""
    cure = "Agree with verdicts on one or two responses, override them, or label the items of a project first."
    if not refused:
        return f"No label stands in this store. {cure}"
    listed = " ".join(f"{row.where}: {row.reason}" for row in refused[:SHOWN_REFUSALS])
    return f"No label in this store makes a row to learn from. {listed} {cure}"


def _said_words(said: dict[str, float], rows: int) -> str:
    return ", ".join(f"{result} {share:,.0f} ({share / rows:.0%})" for result, share in said.items()) + "."


def _built_fields(pairs: Pairs, built: BuildReport) -> dict[str, object]:
    fields = {name: value for name, value in asdict(built).items() if name != "refused"}
    return {"groups": pairs.groups, "pairs": len(pairs.pairs), "duplicates": pairs.duplicates, **fields}


def _built_words(out: Path, pairs: Pairs, built: BuildReport) -> str:
    tokens = "not counted by the teacher"
    if built.prompt_tokens is not None and built.new_tokens is not None:
        tokens = f"{built.prompt_tokens:,} read and {built.new_tokens:,} written by the teacher"
    return "\n".join(
        [
            f"{built.written:,} pairs written to {out}; {built.known:,} were done before, {built.left:,} are left.",
            f"{pairs.groups:,} instructions with their rubric made {len(pairs.pairs):,} pairs of different scores; "
            f"{pairs.duplicates:,} duplicate responses were left out.",
            f"{built.attempts:,} questions asked; tokens: {tokens}.",
        ]
    )


def _echo_refused(refused: Sequence[RefusedRow]) -> None:
    for row in refused[:SHOWN_REFUSALS]:
        typer.echo(f"Refused, {row.where}: {row.reason}")
    if len(refused) > SHOWN_REFUSALS:
        typer.echo(f"{len(refused) - SHOWN_REFUSALS:,} more were refused; --json lists them all.")


def _fields(refused: Sequence[RefusedRow]) -> list[dict[str, str]]:
    return [asdict(row) for row in refused]


def _json(fields: dict[str, object]) -> str:
    return json.dumps(fields, ensure_ascii=False, indent=2)
