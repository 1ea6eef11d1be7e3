"""Reads what Assay itself wrote of a model that it made: what kind it is, how it was made, and of which parents."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from backend.errors import ModelFilesError
from backend.starter import MANIFEST

CARD = "README.md"
CARD_CHARACTERS = 200_000
"""More of a card is not read."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Made(BaseModel):
    """A manifest of a training or a merge. parents: digests of the weights by their role.

    recipe: how a merge was made. trained_on: of an expert, direct, pairwise or joint.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["expert", "merge"]
    recipe: dict[str, Any] | None = None
    trained_on: Literal["direct", "pairwise", "joint"] | None = None
    parents: dict[Literal["base", "direct", "pairwise"], Digest] = {}
    prompt_format: str | None = None


def is_ours(folder: Path, home: Path) -> bool:
    """Whether the folder lies where Assay puts what it makes. What other folders say of themselves is not believed."""
    return folder.resolve().parent == (home / "models").resolve()


def made_in(folder: Path, home: Path) -> Made | None:
    """How the model in this folder was made, if Assay made it. Raises ModelFilesError for a damaged manifest."""
    path = folder / MANIFEST
    if not is_ours(folder, home) or not path.is_file():
        return None
    text = path.read_text("utf-8", errors="replace")
    try:
        if _Kind.model_validate_json(text).kind is None:
            return None
        return Made.model_validate_json(text)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(str(part) for part in detail["loc"]) or "its JSON"
        raise ModelFilesError(
            f"{path} is damaged ({where}: {detail['msg']}), so it is unknown how this model was made. Make it again, "
            f"or move its folder out of {folder.parent} to have it taken as any other model."
        ) from error


def manifest_text(folder: Path) -> str | None:
    """The manifest as it was written; None where there is none."""
    return _text(folder / MANIFEST)


def card_text(folder: Path) -> str | None:
    """The model's card, as Markdown; None where there is none."""
    return _text(folder / CARD)


class _Kind(BaseModel):
    """The starter's manifest has no kind."""

    kind: str | None = None


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(CARD_CHARACTERS).replace("\0", "\ufffd") or None
