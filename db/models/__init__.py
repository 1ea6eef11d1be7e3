"""The tables, a topic a file. One word for one thing: the names are those of DESIGN's word list, and of backend.types.

Whoever needs a table imports it from here: so Alembic and the relations between topics know all of them.
"""

from db.models.base import Base, UtcDateTime, now
from db.models.items import Item, Response
from db.models.jobs import Job
from db.models.judges import WITHOUT_FILES, Activation, Judge, Measurement, ModelParent, ModelVersion
from db.models.labelling import Adjudication, Flag, LabelDraft, Lease, Reveal, Skip
from db.models.opinions import Asking, Label, Reading, Verdict, VerdictReading
from db.models.people import SignIn, User
from db.models.projects import BatchFailure, Project, ProjectItem, ProjectRubric, Recalibration, StagedItem
from db.models.rubrics import Rubric, RubricVersion

__all__ = [
    "WITHOUT_FILES",
    "Activation",
    "Adjudication",
    "Asking",
    "Base",
    "BatchFailure",
    "Flag",
    "Item",
    "Job",
    "Judge",
    "Label",
    "LabelDraft",
    "Lease",
    "Measurement",
    "ModelParent",
    "ModelVersion",
    "Project",
    "ProjectItem",
    "ProjectRubric",
    "Reading",
    "Recalibration",
    "Response",
    "Reveal",
    "Rubric",
    "RubricVersion",
    "SignIn",
    "Skip",
    "StagedItem",
    "User",
    "UtcDateTime",
    "Verdict",
    "VerdictReading",
    "now",
]
