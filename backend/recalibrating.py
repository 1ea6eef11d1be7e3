"""A project's recalibrated score: switched on by a lead, for the judge whose verdicts were compared, and marked."""

from backend.accounts import Role, require_role
from backend.agreement_rows import Kind, Selection
from backend.comparing import Comparing
from backend.errors import ConflictError, InvalidInputError
from backend.labels import require_shown
from backend.projects import project_row
from backend.recalibration import RecalibratedScore, score_of
from backend.types import Mode
from db import models as rows
from db import recalibration_queries as queries
from db.session import Store

TO_DO = "switch a project's recalibrated score"


class Recalibrating:
    """All raise StoreError where the database fails."""

    def __init__(self, store: Store, comparing: Comparing) -> None:
        self._store = store
        self._comparing = comparing

    def switch_on(self, project_id: int, user_id: int) -> None:
        """Fit it to the project's labels of now: blind ones, or imported ones where those are few.

        Raises NotFoundError, NotAllowedError for who is no lead, and ConflictError where the labels can't carry it.
        """
        with self._store.read() as session:
            require_role(session, user_id, Role.LEAD, TO_DO)
            project = project_row(session, project_id)
            if project.mode != Mode.DIRECT:
                raise InvalidInputError(f"“{project.name}” has no scores: only projects of scores can be recalibrated.")
        report = self._comparing.report(Selection(project_id=project_id), user_id)
        found = report.recalibration
        if report.kind not in (Kind.BLIND, Kind.IMPORTED) or found is None or found.missing:
            why = found.missing if found else "No label stands beside a verdict."
            raise ConflictError(
                f"{why} Only labels that were given without the verdict in view count: label more items blind first."
            )
        with self._store.write() as session:
            row = rows.Recalibration(
                project_id=project_id,
                model_version_id=queries.model_of(session, report.model_digest),
                curves=[[list(point) for point in curve] for curve in found.curves],
                kind=report.kind,
                labels=found.before.n,
                items=found.before.items,
                created_by_id=require_role(session, user_id, Role.LEAD, TO_DO).id,
            )
            session.add(row)

    def switch_off(self, project_id: int, user_id: int) -> None:
        """Raises NotFoundError, and NotAllowedError for who is no lead."""
        with self._store.write() as session:
            user = require_role(session, user_id, Role.LEAD, TO_DO)
            project_row(session, project_id)
            session.add(rows.Recalibration(project_id=project_id, labels=0, items=0, created_by_id=user.id))

    def score(self, project_id: int, verdict_id: int, viewer_id: int) -> RecalibratedScore | None:
        """What the project makes of a verdict; None where it is switched off, or was fitted to another judge.

        Raises NotFoundError, and NotAllowedError where the verdict is not shown to this person.
        """
        with self._store.read() as session:
            require_shown(session, verdict_id, viewer_id)
            verdict = session.get_one(rows.Verdict, verdict_id)
            return score_of(queries.last(session, project_id), verdict)
