"""From a model folder to a loaded judge on the engine that was chosen."""

import json
import shutil
from pathlib import Path

from backend.loading import load_judge
from backend.models import find_model
from backend.registry import Registry
from db.session import Store


def silent(message: str, fraction: float | None) -> None:
    pass


def test_a_model_that_openvino_does_not_know_runs_on_transformers_and_says_so(
    store: Store, tiny_model: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    scaling = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 2.0, "original_max_position_embeddings": 2048}
    (folder / "config.json").write_text(json.dumps({**config, "rope_parameters": scaling}))
    files = find_model(str(folder), tmp_path, prompt_format=None, report=silent)
    served = load_judge(files, Registry(store, tmp_path), silent, device="cpu", dtype="auto", engine="openvino")
    assert served.engine.info.name == "transformers"
    assert "yarn" in served.note


def test_a_model_that_openvino_knows_runs_there(store: Store, tiny_model: Path, tmp_path: Path) -> None:
    files = find_model(str(tiny_model), tmp_path, prompt_format=None, report=silent)
    served = load_judge(files, Registry(store, tmp_path), silent, device="cpu", dtype="auto", engine="openvino")
    assert (served.engine.info.name, served.engine.info.dtype, served.note) == ("openvino", "float32", "")
