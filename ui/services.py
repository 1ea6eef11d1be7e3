"""What the pages may call: the services, wired by launch.py and handed to every page."""

from dataclasses import dataclass

from backend.history import History
from backend.judging import Judging
from backend.labels import Labels
from backend.rubrics import RubricLibrary
from backend.serving import Serving
from backend.types import Sampling


@dataclass(frozen=True)
class Services:
    """owner_id: the person at this machine. sampling: what the settings ask for by default."""

    serving: Serving
    judging: Judging
    library: RubricLibrary
    labels: Labels
    history: History
    owner_id: int
    sampling: Sampling
