"""The labels that the people of this store gave, as labelled sets."""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.accounts import Role, require_role
from backend.agreement_rows import Kind
from backend.benchmarks.labelled import Label, LabelledRow, LabelledSet, LeftOut
from backend.errors import InvalidInputError, NotAllowedError, NotFoundError
from backend.rubrics import rubric_of
from backend.streams import Stream
from backend.types import SIDES, Item, Mode, Rubric
from db.models import ProjectItem
from db.session import Store
from db.training_queries import after_counts, blind_counts, labels_in_project, project_named, standing_labels

OWN = "own"
OWN_MODES = (Mode.DIRECT, Mode.PAIRWISE)
PROJECT = "project:"
"""How the name of a project as a set begins; behind the project's name may stand /blind, /after or /pooled."""
KINDS = {
    Kind.BLIND: "labels given before the verdict was seen",
    Kind.AFTER: "labels given after the verdict was seen",
    Kind.POOLED: "labels given before and after the verdict was seen, pooled",
}
CHOSEN = (
    "It was labelled because it was doubtful. A set holds what chance drew, or it would be harder than the project."
)


@dataclass(frozen=True)
class OwnSet:
    """A set of this store's own labels that can be named. size: its rows; of own/direct and own/pairwise it may be 0.

    licence: whose data it is, and of which kind its labels are. not_drawn: labelled items of a project that are left
    out, since they were chosen for their doubt.
    """

    name: str
    mode: Mode
    size: int
    licence: str
    not_drawn: int = 0


def own_sets(store: Store) -> tuple[OwnSet, ...]:
    """The labels given after a verdict was seen, and each project with blind labels on items that chance drew."""
    with store.read() as session:
        after = _after_counts(session)
        projects = session.execute(blind_counts()).all()
    return (
        *(OwnSet(f"{OWN}/{mode}", mode, after.get(mode, 0), _licence(Kind.AFTER)) for mode in OWN_MODES),
        *(
            OwnSet(f"{PROJECT}{name}", Mode(mode), drawn, _licence(Kind.BLIND), not_drawn=chosen)
            for name, mode, drawn, chosen in projects
            if mode in OWN_MODES and drawn
        ),
    )


def own_labels(store: Store, mode: Mode) -> LabelledSet:
    """What the people of this store say now of the items that were judged: their labels that stand.

    Only labels that were given after a verdict was seen. Several people's labels of one item by one rubric are one
    row: the mean score, or the winner that most named ("tie" where A and B were named as often). Of one person's labels
    on verdicts of several judges the last one counts. Raises InvalidInputError where there is none of this mode.
    """
    said: dict[tuple[str, str], dict[int, Label]] = defaultdict(dict)
    asked: dict[tuple[str, str], tuple[Item, Rubric]] = {}
    with store.read() as session:
        for label in session.scalars(standing_labels()):
            verdict = label.verdict
            opinion = label.score if mode is Mode.DIRECT else label.winner
            if verdict is None or verdict.mode != mode or opinion is None:
                continue
            responses = tuple(response.text for response in verdict.item.responses)
            item = Item(verdict.item.instruction, responses, verdict.item.reference)
            rubric = rubric_of(verdict.rubric_version)
            key = (item.digest, rubric.digest)
            asked[key], said[key][label.author_id] = (item, rubric), opinion
    if not asked:
        raise InvalidInputError(_why_empty(store, mode))
    rows = tuple(
        LabelledRow(f"own-{key[0][:12]}-{key[1][:8]}", item, rubric, _pooled(list(said[key].values())), "people")
        for key, (item, rubric) in asked.items()
    )
    return LabelledSet(f"{OWN}/{mode}", mode, rows, _licence(Kind.AFTER))


def _why_empty(store: Store, mode: Mode) -> str:
    """What there is instead of labels on verdicts of this mode, why it is no part of the set, and what to do."""
    name = f"{OWN}/{mode}"
    said = [f"The set {name} has no row: nobody has agreed with a {mode} verdict or overridden one."]
    blind = [f"{one.name} ({one.size:,})" for one in own_sets(store) if one.mode is mode and is_project(one.name)]
    if blind:
        said.append(
            f"{KINDS[Kind.BLIND].capitalize()} are sets of their own and not pooled with it: measure on "
            f"{', '.join(blind)}."
        )
    with store.read() as session:
        orders = _after_counts(session).get(Mode.RANKING, 0)
    if orders:
        said.append(f"Labelled rankings ({orders:,}) are no part of it: a set has scores or pairs.")
    return " ".join([*said, f"To fill {name}, judge something, and agree with the verdict or override it."])


def _after_counts(session: Session) -> dict[str, int]:
    return dict(session.execute(after_counts()).all())


def _licence(kind: Kind) -> str:
    return f"your own data; {KINDS[kind]}"


def is_project(name: str) -> bool:
    return name.startswith(PROJECT)


def project_labels(store: Store, name: str, by_id: int | None) -> LabelledSet:
    """What the people of a project say of its items, in the first round, pooled as own_labels does.

    Of two streams the items of the audit stream alone, and so that each was drawn with the same probability: those
    chosen for their doubt are left out, and of items drawn with several probabilities p all but a random share
    min(p) / p. name: "project:NAME", which takes blind labels alone, or with the kind behind it. by_id: who asks, a
    lead. Raises NotAllowedError, NotFoundError, InvalidInputError for rankings and where there is no label of this
    kind on an item that was drawn.
    """
    project_name, kind = _project_and_kind(name)
    with store.read() as session:
        if by_id is None:
            raise NotAllowedError("Only a lead may measure on a project's labels, and nobody is signed in here.")
        require_role(session, by_id, Role.LEAD, "measure on a project's labels")
        project = session.scalar(project_named(project_name))
        if project is None:
            raise NotFoundError(f"There is no project {project_name!r}. The page Projects lists them.")
        if project.mode not in (Mode.DIRECT, Mode.PAIRWISE):
            raise InvalidInputError(f"The project {project_name} has rankings; a set has scores or pairs.")
        mode = Mode(project.mode)
        labelled = _labelled_items(session, project.id, mode, kind)
    if not labelled:
        raise InvalidInputError(
            f"The project {project_name} has no {KINDS[kind]}. Label some items, or name another kind: "
            f"{PROJECT}NAME/blind, /after or /pooled."
        )
    not_drawn = _not_drawn([one.row for one in labelled])
    if len(not_drawn) == len(labelled):
        raise InvalidInputError(
            f"In the project {project_name} all {len(labelled):,} labelled items were chosen for their doubt, and a "
            "set of them would be harder than the project. Label items of its audit stream."
        )
    rows = tuple(
        LabelledRow(_row_id(one.row.id), one.item, one.rubric, _pooled(list(one.said.values())), "people")
        for one in labelled
        if one.row.id not in not_drawn
    )
    left_out = tuple(LeftOut(_row_id(number), reason) for number, reason in not_drawn.items())
    return LabelledSet(name, mode, rows, _licence(kind), not_drawn=left_out)


@dataclass
class _LabelledItem:
    """An item of the project with what each person, by id, says of it now."""

    row: ProjectItem
    item: Item
    rubric: Rubric
    said: dict[int, Label]


def _labelled_items(session: Session, project_id: int, mode: Mode, kind: Kind) -> list[_LabelledItem]:
    """The items with labels of this kind, by id."""
    found: dict[int, _LabelledItem] = {}
    for label, row in session.execute(labels_in_project(project_id)):
        opinion = label.score if mode is Mode.DIRECT else label.winner
        blind = label.verdict_id is None
        if opinion is None or (kind is not Kind.POOLED and blind != (kind is Kind.BLIND)):
            continue
        if row.id not in found:
            item = Item(row.item.instruction, tuple(one.text for one in row.item.responses), row.item.reference)
            found[row.id] = _LabelledItem(row, item, rubric_of(row.rubric_version), {})
        found[row.id].said[label.author_id] = opinion
    return [found[number] for number in sorted(found)]


def _row_id(number: int) -> str:
    return f"project-{number}"


def _not_drawn(items: Sequence[ProjectItem]) -> dict[int, str]:
    """The numbers of items that a random sample of equal probabilities does not hold, and why.

    Thinning by min(p) / p makes an independent draw with p one with min(p) (C.-E. Särndal, B. Swensson, J. Wretman,
    "Model Assisted Survey Sampling", 1992, section 3.5). The same items are left out every time.
    """
    least = min((row.sampling_probability for row in items if row.sampling_probability is not None), default=1.0)
    found = dict[int, str]()
    for row in items:
        p = row.sampling_probability
        if row.stream == Stream.CHOSEN:
            found[row.id] = CHOSEN
        elif p is not None and random.Random(f"thinned {row.id}").random() * p >= least:  # noqa: S311 - no secret
            found[row.id] = (
                f"It was drawn with probability {p:g}, others with {least:g}. So that all count alike, chance left out "
                "some of the former."
            )
    return found


def _project_and_kind(name: str) -> tuple[str, Kind]:
    whole = name.removeprefix(PROJECT)
    before, _, kind = whole.rpartition("/")
    return (before, Kind(kind)) if before and kind in KINDS else (whole, Kind.BLIND)


def _pooled(labels: Sequence[Label]) -> Label:
    scores = [label for label in labels if not isinstance(label, str)]
    if scores:
        return sum(scores) / len(scores)
    votes = Counter(labels)
    a, b = (votes[side] for side in SIDES)
    return "tie" if a == b or votes["tie"] > max(a, b) else SIDES[0] if a > b else SIDES[1]
