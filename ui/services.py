"""What the pages may call: the services, wired by launch.py and handed to every page."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from backend.accounts import Accounts, Role
from backend.activating import Activating
from backend.adjudicating import Adjudicating
from backend.alpha_lab import AlphaLab
from backend.batch_job import BatchJudging
from backend.bench import Bench
from backend.comparing import Comparing
from backend.history import History
from backend.jobs import Jobs
from backend.judging import Judging
from backend.labelling import Labelling
from backend.labels import Labels
from backend.project_export import ProjectExport
from backend.project_import import ProjectImport
from backend.projects import Projects
from backend.recalibrating import Recalibrating
from backend.registering import Registering
from backend.registry import Registry
from backend.rubrics import RubricLibrary
from backend.serving import Serving
from backend.sign_in import SignIns
from backend.types import Sampling


@dataclass(frozen=True)
class Services:
    """home: the folder of the database and the models. owner_id: the person at this machine, for whom commands work.

    who: tells for whom a page works at this moment. sampling: what the settings ask for by default.
    """

    serving: Serving
    judging: Judging
    library: RubricLibrary
    labels: Labels
    history: History
    comparing: Comparing
    recalibrating: Recalibrating
    registry: Registry
    registering: Registering
    activating: Activating
    jobs: Jobs
    alpha_lab: AlphaLab
    bench: Bench
    projects: Projects
    importing: ProjectImport
    exporting: ProjectExport
    labelling: Labelling
    batches: BatchJudging
    adjudicating: Adjudicating
    accounts: Accounts
    sign_ins: SignIns
    home: Path
    owner_id: int
    who: Callable[[], int]
    sampling: Sampling

    def require_lead(self, to_do: str) -> None:
        """For what services tell anybody who calls them. Raises NotAllowedError."""
        self.accounts.require(self.who(), Role.LEAD, to_do)
