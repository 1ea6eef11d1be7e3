"""Labels and verdicts out of the store as columns of numbers; what was read before is not read again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy
from numpy.typing import NDArray
from sqlalchemy import Select
from sqlalchemy.orm import Session

from backend.agreement.bootstrap import Floats, Integers
from backend.agreement_rows import KINDS, NONE, Kind, Labels, Rows, SourceNames, Verdicts
from backend.types import SCORES, SIDES, Mode
from db import agreement_queries as queries
from db.agreement_queries import Newest

CHUNK = 20_000
"""Rows that are Python objects at a time: many more keep the garbage collector busy."""
AGAIN = 1_000
"""Newest ids that are read again. On PostgreSQL a row may become visible after one with a higher id."""
FIRST_RATER = 1_000_000_000
"""People whose labels were imported are numbered from here, above everybody in the store."""
DAY_SECONDS = 86_400
WINNER_NUMBERS = {side: number for number, side in enumerate((*SIDES, "tie"))}


@dataclass(frozen=True)
class Columns:
    """What was read of a mode up to a moment: the tables are only ever added to. Columns as the queries give them.

    came: of imported labels project item, project, item, rubric version, rater, and value, NaN where it is none.
    raters: their keys, a project and a name each. sources: who wrote the responses, by project item. gold: a project
    item and what a lead decided of it; few, so all are read anew.
    """

    mode: Mode
    newest: Newest = field(default_factory=Newest)
    said: Floats = field(default_factory=lambda: numpy.zeros((0, 13)))
    given: Floats = field(default_factory=lambda: numpy.zeros((0, 9)))
    lengths: Floats = field(default_factory=lambda: numpy.zeros((0, 3)))
    came: Floats = field(default_factory=lambda: numpy.zeros((0, 6)))
    raters: dict[tuple[int, str], int] = field(default_factory=dict)
    sources: dict[int, SourceNames] = field(default_factory=dict)
    gold: Floats = field(default_factory=lambda: numpy.zeros((0, 2)))


def read(session: Session, known: Columns) -> Columns:
    """With what was added since."""
    newest, mode = queries.newest(session), known.mode
    if newest == known.newest:
        return known
    after = Newest(
        label=max(0, known.newest.label - AGAIN),
        verdict=max(0, known.newest.verdict - AGAIN),
        project_item=max(0, known.newest.project_item - AGAIN),
    )
    raters = dict(known.raters)
    came = _imported(session.execute(queries.imported(mode, after)).all(), raters)
    named = {key: source_names(text) for key, text in session.execute(queries.sources(after))}
    return replace(
        known,
        newest=newest,
        said=_with(known.said, _table(session, queries.labels(mode, after), 13)),
        given=_with(known.given, _table(session, queries.verdicts(mode, after), 9)),
        lengths=_with(known.lengths, _table(session, queries.lengths(mode, after), 3)),
        came=_with(known.came, came),
        raters=raters,
        sources=known.sources | named,
        gold=_table(session, queries.gold(mode), 2),
    )


def rows_of(columns: Columns) -> Rows:
    """Every label that stands, of scores or of winners, and the verdicts on what they ask."""
    low, high = (1, len(SCORES)) if columns.mode is Mode.DIRECT else (0, 2)
    said, came = _standing(columns.said), columns.came
    value = numpy.concatenate([said[:, 4], came[:, 5]])
    inside = (value >= low) & (value <= high)
    whole = inside & (value == numpy.floor(value))
    count = len(said)
    here, there = said[whole[:count]], came[whole[count:]]

    def both(of_said: Floats, of_came: Floats) -> Floats:
        return numpy.concatenate([of_said, of_came])

    item, version = both(here[:, 1], there[:, 2]), both(here[:, 2], there[:, 3])
    keys, questions = numpy.unique(_keys(item, version), return_inverse=True)
    nothing = numpy.full(len(there), numpy.nan)
    seen = both(here[:, 5], nothing)
    length_a, length_b = _lengths(columns.lengths, _whole(item))
    source, sources = _sources(columns.sources, both(here[:, 8], there[:, 0]))
    kind = numpy.where(numpy.isnan(here[:, 5]), KINDS.index(Kind.BLIND), KINDS.index(Kind.AFTER))
    labels = Labels(
        question=questions,
        item=_whole(item),
        rubric_version=_whole(version),
        person=_whole(both(here[:, 3], FIRST_RATER + there[:, 4])),
        value=_whole(value[whole]),
        kind=numpy.concatenate([kind, numpy.full(len(there), KINDS.index(Kind.IMPORTED))]),
        verdict=_whole(seen),
        day=_whole(both(here[:, 6] // DAY_SECONDS, nothing)),
        length_a=length_a,
        length_b=length_b,
        project=_whole(both(here[:, 7], there[:, 1])),
        source=source,
        seconds=both(here[:, 9], nothing),
        gold=_gold(columns.gold, both(here[:, 8], there[:, 0])),
        drawn=both(here[:, 12], nothing),
        outside=int((~inside).sum()),
        between=int((inside & ~whole).sum()),
    )
    return Rows(labels, _verdicts(columns.given, keys), len(keys), sources, _numbered(columns.raters))


def _standing(said: Floats) -> Floats:
    """Labels that nothing supersedes, that are no withdrawals, and that say something of this mode."""
    superseded = numpy.isin(said[:, 0], said[:, 10][~numpy.isnan(said[:, 10])])
    stands: Floats = said[~superseded & (said[:, 11] == 0) & ~numpy.isnan(said[:, 4])]
    return stands


def _verdicts(given: Floats, keys: Integers) -> Verdicts:
    """Those on the questions of these keys."""
    of_verdict = _keys(given[:, 1], given[:, 2])
    place = numpy.searchsorted(keys, of_verdict).clip(max=max(len(keys) - 1, 0))
    asked = keys[place] == of_verdict if len(keys) else numpy.zeros(len(given), dtype=bool)
    given = given[asked]
    return Verdicts(
        id=_whole(given[:, 0]),
        question=place[asked],
        model=_whole(given[:, 3]),
        value=_whole(given[:, 4]),
        expected=given[:, 5],
        confidence=given[:, 6],
        p_a_first=given[:, 7],
        p_a_second=given[:, 8],
    )


def _lengths(rows: Floats, items: Integers) -> tuple[Floats, Floats]:
    found = []
    for position in (0, 1):
        of_position = rows[:, 1] == position
        by_item = numpy.full(int(max(items.max(initial=0), rows[:, 0].max(initial=0))) + 1, numpy.nan)
        by_item[rows[of_position, 0].astype(numpy.int64)] = rows[of_position, 2]
        found.append(by_item[items])
    return found[0], found[1]


def _gold(rows: Floats, project_items: Floats) -> Integers:
    """What was decided of each label's project item, NONE where nothing was."""
    if not len(rows):
        return numpy.full(len(project_items), NONE)
    place = numpy.searchsorted(rows[:, 0], project_items).clip(max=len(rows) - 1)
    return numpy.where(rows[place, 0] == project_items, rows[place, 1], NONE).astype(numpy.int64)


def _sources(of_item: dict[int, SourceNames], project_items: Floats) -> tuple[Integers, tuple[SourceNames, ...]]:
    """The number of each label's sources, NONE where they are not known, and the sources' names."""
    names = tuple(sorted(set(of_item.values()) - {()}))
    number = {name: place for place, name in enumerate(names)}
    found = numpy.full(len(project_items), NONE)
    for place in numpy.flatnonzero(~numpy.isnan(project_items)) if of_item else ():
        found[place] = number.get(of_item.get(int(project_items[place]), ()), NONE)
    return found, names


def source_names(text: str) -> SourceNames:
    """Who wrote each response, out of JSON; empty where that is not known of all."""
    names = json.loads(text)
    return tuple(str(name) for name in names) if all(names) else ()


def _imported(rows: Sequence[Any], raters: dict[tuple[int, str], int]) -> Floats:
    """(labels, 6) as Columns.came. Raters that are new get the next number."""
    found = []
    for project_item, project, item, version, text in rows:
        said = json.loads(text)
        named = said.items() if isinstance(said, dict) else ((f"imported {n}", one) for n, one in enumerate(said, 1))
        for name, one in named:
            rater = raters.setdefault((project, name), len(raters))
            value = WINNER_NUMBERS[one] if isinstance(one, str) else one
            found.append((project_item, project, item, version, rater, value))
    return numpy.array(found, dtype=numpy.float64).reshape(-1, 6)


def _numbered(raters: dict[tuple[int, str], int]) -> dict[int, tuple[int, str]]:
    return {FIRST_RATER + number: key for key, number in raters.items()}


def _with(known: Floats, more: Floats) -> Floats:
    """Rows by rising id, their first column; those that were read again once."""
    if not len(known):
        return more
    kept = known[~numpy.isin(known[:, 0], more[:, 0])]
    joined = numpy.vstack([kept, more])
    in_order: Floats = joined[numpy.argsort(joined[:, 0], kind="stable")]
    return in_order


def _keys(item: Floats, version: Floats) -> Integers:
    return _whole(item) * 1_000_003 + _whole(version)


def _whole(column: Floats) -> Integers:
    """As whole numbers, NONE where there is none."""
    missing: NDArray[numpy.bool_] = numpy.isnan(column)
    return numpy.where(missing, NONE, column).astype(numpy.int64)


def _table(session: Session, query: Select[*tuple[Any, ...]], width: int) -> Floats:
    """(rows, width), NaN where there is none. By the driver's own cursor: SQLAlchemy's rows take half as long again."""
    cursor = session.connection().execute(query).cursor
    parts = [numpy.zeros((0, width))]
    while rows := cursor.fetchmany(CHUNK):
        parts.append(numpy.array(rows, dtype=numpy.float64))
    return numpy.concatenate(parts)
