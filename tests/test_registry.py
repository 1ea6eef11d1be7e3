"""What the store knows of models: recorded once, families joined, deleted only when nothing needs them."""

import json
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import ConflictError, InvalidInputError, ModelFilesError, NotFoundError
from backend.lineage import Step
from backend.model_views import ModelView, Presence
from backend.models import ModelFiles, find_model
from backend.registry import Registry
from backend.starter import SMOLLM2
from backend.types import digest_of
from db import models as rows
from db.session import Store
from tests.conftest import add_user
from tests.factories import START, Bench
from tests.tiny import make_tiny_model

FILES = ModelFiles(
    name="tiny",
    kind="merge",
    path=Path("/models/tiny"),
    digest="d" * 64,
    architecture="LlamaForCausalLM",
    bytes=6_000_000_000,
    prompt_format="assay",
    recipe={"method": "linear", "alpha": 0.5},
)
HOSTILE = '<img src=x onerror="window.ran=1">'


def silent(_message: str, _fraction: float | None) -> None:
    pass


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    (path / "models").mkdir(parents=True)
    return path


@pytest.fixture
def registry(any_store: Store, home: Path) -> Registry:
    return Registry(any_store, home)


@pytest.fixture
def user_id(any_store: Store) -> int:
    return add_user(any_store, "somebody", "admin")


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the tiny model, with other weights."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "other", seed=1)


@pytest.fixture
def make(tiny_model: Path, home: Path) -> Callable[..., Path]:
    """A model folder as Assay makes it, in home/models; each has weights of its own."""
    return lambda name, **manifest: make_model(tiny_model, home / "models" / name, **manifest)


def make_model(like: Path, folder: Path, **manifest: Any) -> Path:
    """A copy that is another model, by a setting that changes what it says; with this manifest, if there is one."""
    shutil.copytree(like, folder)
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "max_length": len(folder.name) + 1000}))
    if manifest:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def found(folder: Path, home: Path) -> ModelFiles:
    return find_model(str(folder), home, prompt_format=None, report=silent)


def register(registry: Registry, folder: Path | str) -> ModelView:
    return registry.get(registry.register(str(folder), silent).id)


def family(registry: Registry, make: Callable[..., Path], home: Path) -> dict[str, ModelView]:
    """A base, two experts of it and their merge at alpha 0.3, registered in that order."""
    base = register(registry, make("base"))
    parents = {"base": base.digest}
    direct = register(registry, make("direct-expert", kind="expert", trained_on="direct", parents=parents))
    pairwise = register(registry, make("pairwise-expert-1", kind="expert", trained_on="pairwise", parents=parents))
    parents = {"direct": direct.digest, "pairwise": pairwise.digest}
    recipe = {"method": "linear", "alpha": 0.3, **parents}
    merged = register(registry, make("merged-model-of-both", kind="merge", recipe=recipe, parents=parents))
    return {"base": base, "direct": direct, "pairwise": pairwise, "merged": merged}


# Recording


def test_a_recorded_model_is_listed_as_it_is(registry: Registry) -> None:
    recorded = registry.record(FILES)
    (view,) = registry.list()
    assert (view.id, view.name, view.kind, view.path) == (recorded, "tiny", "merge", "/models/tiny")
    assert (view.digest, view.architecture, view.bytes) == (FILES.digest, FILES.architecture, FILES.bytes)
    assert (view.prompt_format, view.recipe) == ("assay", FILES.recipe)
    assert (view.children, view.verdicts, view.active, view.measurements) == (0, 0, False, ())


def test_the_same_weights_are_recorded_once_and_the_path_follows_them(registry: Registry) -> None:
    first = registry.record(FILES)
    assert registry.record(replace(FILES, path=Path("/moved/tiny"))) == first
    assert [view.path for view in registry.list()] == ["/moved/tiny"]


def test_models_are_listed_from_the_latest(registry: Registry) -> None:
    ids = [registry.record(replace(FILES, digest=digit * 64)) for digit in "123"]
    assert [view.id for view in registry.list()] == ids[::-1]


def test_recording_at_the_same_moment_makes_one_row_and_one_step_of_lineage(registry: Registry) -> None:
    parent = registry.record(replace(FILES, digest="p" * 64))
    start, ids, failures = threading.Barrier(8), [], []

    def record() -> None:
        start.wait()
        try:
            ids.append(registry.record(FILES, parents={"direct": parent}))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(ids) == 8
    assert len(set(ids)) == 1
    assert [(step.role, step.id) for step in registry.get(ids[0]).parents] == [("direct", parent)]


def test_what_is_given_is_recorded_with_the_model(registry: Registry) -> None:
    base = registry.record(replace(FILES, digest="b" * 64, kind="base", recipe=None))
    expert = replace(FILES, digest="e" * 64, kind="expert", recipe=None)
    view = registry.get(registry.record(expert, trained_on="joint", card="# Card", parents={"base": base}))
    assert (view.kind, view.trained_on, view.card) == ("expert", "joint", "# Card")
    assert [(parent.role, parent.id, parent.digest) for parent in view.parents] == [("base", base, "b" * 64)]
    assert registry.get(base).children == 1


def test_a_model_that_is_not_there_is_told(registry: Registry) -> None:
    for look in (registry.get, registry.lineage, registry.manifest):
        with pytest.raises(NotFoundError, match="no model 77"):
            look(77)


def test_recording_anew_keeps_what_was_known(registry: Registry) -> None:
    recorded = registry.record(FILES, trained_on="direct", card="# Card")
    registry.record(replace(FILES, kind="external", recipe=None))
    view = registry.get(recorded)
    assert (view.kind, view.recipe, view.trained_on, view.card) == ("merge", FILES.recipe, "direct", "# Card")


def test_a_recipe_is_learned_later_but_never_after_a_verdict_named_its_maker(any_store: Store, home: Path) -> None:
    registry, bench = Registry(any_store, home), Bench(any_store)
    plain = replace(FILES, kind="external", recipe=None)
    unjudged, judged = (
        registry.record(replace(plain, digest="1" * 64)),
        registry.record(replace(plain, digest="2" * 64)),
    )
    bench.judge("by it", model_version_id=judged)
    for digit in "12":
        registry.record(replace(FILES, digest=digit * 64))
    assert registry.get(unjudged).recipe == FILES.recipe
    assert registry.get(judged).recipe is None
    assert registry.get(judged).kind == "merge"


def test_verdicts_children_and_measurements_are_counted_by_model(any_store: Store, home: Path) -> None:
    bench, registry = Bench(any_store), Registry(any_store, home)
    for _ in range(3):
        bench.direct()
    bench.judge_id = bench.judge("another")
    bench.pairwise()
    with any_store.write() as session:
        session.add(
            rows.Measurement(
                judge_id=bench.judge_id,
                set_name="MT Bench",
                set_digest="s" * 64,
                mode="direct",
                metric="pearson",
                value=0.42,
                low=0.31,
                high=0.52,
                n=158,
                total=160,
                created_at=START,
            )
        )
    another, starter = registry.list()
    assert (starter.verdicts, another.verdicts) == (3, 1)
    assert starter.measurements == ()
    (measured,) = another.measurements
    assert (measured.set_name, measured.metric, measured.value) == ("MT Bench", "pearson", 0.42)
    assert (measured.low, measured.high, measured.n, measured.total) == (0.31, 0.52, 158, 160)
    assert (measured.feedback, measured.engine) == (True, "transformers on cpu, bfloat16")


# What Assay made


def test_a_merge_that_assay_made_is_recorded_with_its_recipe_and_parents(
    registry: Registry, make: Callable[..., Path], home: Path
) -> None:
    made = family(registry, make, home)
    merged = registry.get(made["merged"].id)
    assert (merged.kind, merged.recipe["method"], merged.recipe["alpha"]) == ("merge", "linear", 0.3)
    assert {parent.role: parent.name for parent in merged.parents} == {
        "direct": "direct-expert",
        "pairwise": "pairwise-expert-1",
    }
    assert [registry.get(made[name].id).trained_on for name in ("direct", "pairwise")] == ["direct", "pairwise"]
    assert registry.get(made["base"].id).children == 2
    assert found(Path(merged.path), home).recipe == merged.recipe


def test_an_experts_card_and_prompt_format_are_those_of_its_folder(
    registry: Registry, make: Callable[..., Path]
) -> None:
    folder = make("expert", kind="expert", trained_on="direct", prompt_format="prometheus-2", spec={"seed": 0})
    (folder / "README.md").write_text("# An expert")
    view = register(registry, folder)
    assert (view.prompt_format, view.card) == ("prometheus-2", "# An expert")
    assert json.loads(registry.manifest(view.id) or "")["trained_on"] == "direct"


def test_a_child_that_came_before_its_parent_finds_it(
    registry: Registry, make: Callable[..., Path], home: Path
) -> None:
    base = make("base")
    child = register(registry, make("child", kind="expert", parents={"base": found(base, home).digest}))
    assert child.parents == ()
    late = register(registry, base)
    assert [parent.id for parent in registry.get(child.id).parents] == [late.id]


def test_what_a_folder_elsewhere_says_of_itself_is_not_believed(
    registry: Registry, tiny_model: Path, tmp_path: Path
) -> None:
    folder = make_model(tiny_model, tmp_path / "elsewhere", kind="merge", recipe={"method": "magic"}, parents={})
    view = register(registry, folder)
    assert (view.kind, view.recipe, view.parents) == ("external", None, ())


@pytest.mark.parametrize("manifest", ["{", '{"kind": "cake"}', '{"kind": "merge", "parents": {"direct": "x"}}'])
def test_a_damaged_manifest_is_told_with_its_cure(manifest: str, registry: Registry, make: Callable[..., Path]) -> None:
    folder = make("odd")
    (folder / "manifest.json").write_text(manifest)
    with pytest.raises(ModelFilesError, match=r"manifest\.json is damaged .* Make it again"):
        registry.register(str(folder), silent)
    assert registry.list() == []


def test_the_starters_folder_is_the_base_by_its_path_too(registry: Registry, make: Callable[..., Path]) -> None:
    folder = make(SMOLLM2.name, source={"name": SMOLLM2.name}, files={})
    view = register(registry, folder)
    assert (view.name, view.kind) == ("SmolLM2-135M-Instruct", "base")


# Lineage


def test_a_lineage_holds_ancestors_and_descendants_and_the_weights_of_a_merge(
    registry: Registry, make: Callable[..., Path], home: Path
) -> None:
    made = {name: view.id for name, view in family(registry, make, home).items()}
    lineage = registry.lineage(made["merged"])
    assert [view.id for view in lineage.models] == [made[name] for name in ("base", "direct", "pairwise", "merged")]
    assert [lineage.generations[made[name]] for name in ("base", "direct", "pairwise", "merged")] == [0, 1, 1, 2]
    assert set(lineage.steps) == {
        Step(made["base"], made["direct"], "base", None),
        Step(made["base"], made["pairwise"], "base", None),
        Step(made["direct"], made["merged"], "direct", 0.3),
        Step(made["pairwise"], made["merged"], "pairwise", 0.7),
    }
    assert {view.id for view in registry.lineage(made["base"]).models} == set(made.values())
    assert {view.id for view in registry.lineage(made["direct"]).models} == set(made.values())
    assert registry.lineage(made["direct"]).ancestors == {made["base"], made["direct"]}


def test_a_lineage_leaves_out_what_has_no_part_in_it(registry: Registry, make: Callable[..., Path], home: Path) -> None:
    made = family(registry, make, home)
    joint = register(registry, make("joint", kind="expert", trained_on="joint", parents={"base": made["base"].digest}))
    assert [view.name for view in registry.lineage(joint.id).models] == ["base", "joint"]
    assert joint.id not in {view.id for view in registry.lineage(made["merged"].id).models}


def test_a_model_without_relatives_is_a_lineage_by_itself(registry: Registry) -> None:
    lineage = registry.lineage(registry.record(FILES))
    assert ([view.name for view in lineage.models], lineage.steps) == (["tiny"], ())


# Registering


def test_registering_the_same_folder_twice_changes_nothing_and_says_so(registry: Registry, tiny_model: Path) -> None:
    first = registry.register(str(tiny_model), silent)
    assert first.note.endswith("is registered.")
    again = registry.register(f"  {tiny_model}  ", silent)
    assert again.id == first.id
    assert "registered already: nothing was changed" in again.note
    assert len(registry.list()) == 1


def test_a_copy_elsewhere_is_the_same_model_in_a_new_place(
    registry: Registry, tiny_model: Path, tmp_path: Path
) -> None:
    first = registry.register(str(tiny_model), silent)
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    again = registry.register(str(copy), silent)
    assert again.id == first.id
    assert "only its place changed" in again.note
    assert registry.get(first.id).path == str(copy)


def test_a_folder_whose_files_changed_is_another_model_version_and_says_so(
    registry: Registry, tiny_model: Path, other_model: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "folder")
    first = registry.register(str(folder), silent)
    shutil.copy2(other_model / "model.safetensors", folder)
    second = registry.register(str(folder), silent)
    assert second.id != first.id
    assert f"have changed since they were registered as folder ({registry.get(first.id).digest[:12]})" in second.note
    assert [registry.get(one.id).presence for one in (first, second)] == [Presence.REPLACED, Presence.HERE]

    shutil.copy2(tiny_model / "model.safetensors", folder)
    assert registry.register(str(folder), silent).id == first.id
    assert [registry.get(one.id).presence for one in (first, second)] == [Presence.HERE, Presence.REPLACED]


@pytest.mark.parametrize("place", ["", "  ", "a\0b", "\ud800"])
def test_a_place_that_can_name_nothing_is_refused(place: str, registry: Registry) -> None:
    with pytest.raises(InvalidInputError, match="folder or hub name"):
        registry.register(place, silent)


def test_a_name_with_html_is_kept_as_it_is(registry: Registry, tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / HOSTILE)
    assert register(registry, folder).name == HOSTILE


def test_a_folder_that_went_away_shows_as_missing(registry: Registry, tiny_model: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "folder")
    view = register(registry, folder)
    assert view.presence is Presence.HERE
    shutil.rmtree(folder)
    assert registry.get(view.id).presence is Presence.MISSING


# Activating


def test_the_last_activation_is_the_active_one(registry: Registry, user_id: int) -> None:
    assert registry.active() is None
    first, second = registry.record(replace(FILES, digest="1" * 64)), registry.record(replace(FILES, digest="2" * 64))
    for one in (first, second, first):
        registry.activate(one, user_id)
    assert registry.active() == first
    assert [view.active for view in registry.list()] == [False, True]


def test_neither_a_deleted_nor_an_unknown_model_is_activated(registry: Registry, user_id: int) -> None:
    removed = registry.record(FILES)
    registry.remove(removed, user_id)
    with pytest.raises(ConflictError, match="deleted meanwhile"):
        registry.activate(removed, user_id)
    with pytest.raises(NotFoundError):
        registry.activate(99, user_id)
    assert registry.active() is None


# Removing


def test_what_others_were_made_of_is_not_deleted_before_them(
    registry: Registry, make: Callable[..., Path], home: Path, user_id: int
) -> None:
    made = family(registry, make, home)
    with pytest.raises(ConflictError, match=r"pairwise-expert-1 \(\w+\), direct-expert \(\w+\) were made of it"):
        registry.remove(made["base"].id, user_id)
    with pytest.raises(ConflictError, match=r"merged-model-of-both \(\w+\) was made of it .* Delete that first"):
        registry.remove(made["direct"].id, user_id)
    assert all(Path(view.path).is_dir() for view in made.values())
    for name in ("merged", "direct", "pairwise", "base"):
        registry.remove(made[name].id, user_id)
        assert not Path(made[name].path).exists()
    assert {view.presence for view in registry.list()} == {Presence.REMOVED}
    assert list((home / "models").iterdir()) == []


def test_a_deleted_model_keeps_its_row_its_lineage_and_its_verdicts(
    any_store: Store, make: Callable[..., Path], home: Path
) -> None:
    registry, bench = Registry(any_store, home), Bench(any_store)
    made = family(registry, make, home)
    bench.judge_id = bench.judge("by it", model_version_id=made["merged"].id)
    bench.direct()
    registry.remove(made["merged"].id, bench.author_id)
    view = registry.get(made["merged"].id)
    assert (view.presence, view.verdicts, len(view.parents)) == (Presence.REMOVED, 1, 2)
    assert view.removed_at is not None
    assert registry.get(made["direct"].id).children == 0


def test_a_folder_outside_is_forgotten_and_left_alone(
    registry: Registry, tiny_model: Path, tmp_path: Path, user_id: int
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "mine")
    registry.remove(register(registry, folder).id, user_id)
    assert (folder / "model.safetensors").is_file()


def test_a_link_out_of_the_models_folder_is_not_followed(
    registry: Registry, tiny_model: Path, tmp_path: Path, home: Path, user_id: int
) -> None:
    folder = shutil.copytree(tiny_model, tmp_path / "mine")
    (home / "models" / "link").symlink_to(folder)
    registry.remove(register(registry, home / "models" / "link").id, user_id)
    assert (folder / "model.safetensors").is_file()


def test_an_earlier_version_is_forgotten_without_the_files_of_the_later_one(
    registry: Registry, make: Callable[..., Path], other_model: Path, user_id: int
) -> None:
    folder = make("folder")
    earlier = register(registry, folder)
    shutil.copy2(other_model / "model.safetensors", folder)
    later = register(registry, folder)
    registry.remove(earlier.id, user_id)
    assert (folder / "model.safetensors").is_file()
    assert registry.get(later.id).presence is Presence.HERE


def test_the_active_model_is_not_deleted_until_another_one_is(
    registry: Registry, make: Callable[..., Path], user_id: int
) -> None:
    first, second = register(registry, make("first")), register(registry, make("second1"))
    registry.activate(first.id, user_id)
    with pytest.raises(ConflictError, match="put into service last"):
        registry.remove(first.id, user_id)
    registry.activate(second.id, user_id)
    registry.remove(first.id, user_id)
    assert not Path(first.path).exists()


def test_a_model_in_use_is_not_deleted_and_the_reason_is_told(
    any_store: Store, home: Path, make: Callable[..., Path], user_id: int
) -> None:
    needed: Mapping[int, str] = {}
    registry = Registry(any_store, home, in_use=lambda: needed)
    view = register(registry, make("serving"))
    needed = {view.id: "it is the judge that serves now. Activate another model first."}
    with pytest.raises(ConflictError, match="serving can't be deleted: it is the judge that serves now"):
        registry.remove(view.id, user_id)
    needed = {}
    registry.remove(view.id, user_id)


def test_deleting_twice_is_told_and_an_unknown_model_too(registry: Registry, user_id: int) -> None:
    recorded = registry.record(FILES)
    registry.remove(recorded, user_id)
    with pytest.raises(ConflictError, match="deleted already"):
        registry.remove(recorded, user_id)
    with pytest.raises(NotFoundError):
        registry.remove(99, user_id)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_model_that_an_open_job_names_is_not_deleted_before_the_job_has_ended(
    any_store: Store, home: Path, make: Callable[..., Path], user_id: int, state: str
) -> None:
    registry = Registry(any_store, home)
    view = register(registry, make("expert"))
    asked = {"sets": [{"place": "dev/x"}], "direct": {"path": view.path}}
    with any_store.write() as session:
        session.add(rows.Job(kind="sweep", title="Nine alphas", spec=asked, state=state, created_by_id=user_id))
    with pytest.raises(ConflictError, match=r"expert can't be deleted: job 1 \(Nine alphas\) needs it"):
        registry.remove(view.id, user_id)
    assert Path(view.path).is_dir()
    with any_store.write() as session:
        session.get_one(rows.Job, 1).state = "done"
    registry.remove(view.id, user_id)
    assert not Path(view.path).exists()


def test_a_deleted_model_that_is_registered_again_is_back(registry: Registry, tiny_model: Path, user_id: int) -> None:
    view = register(registry, tiny_model)
    registry.remove(view.id, user_id)
    again = registry.register(str(tiny_model), silent)
    assert again.id == view.id
    assert "is back" in again.note
    assert registry.get(view.id).presence is Presence.HERE


def test_a_folder_that_cant_be_renamed_leaves_everything_as_it_was(
    registry: Registry, make: Callable[..., Path], user_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = register(registry, make("stuck"))

    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(ModelFilesError, match="can't be deleted: Permission denied"):
            registry.remove(view.id, user_id)
    assert registry.get(view.id).presence is Presence.HERE
    registry.remove(view.id, user_id)


def test_what_a_killed_removal_left_is_finished_or_undone_by_the_next(
    registry: Registry, make: Callable[..., Path], home: Path, user_id: int
) -> None:
    gone, kept, other = (register(registry, make(name)) for name in ("gone", "kept1", "other12"))
    spare = shutil.copytree(gone.path, home / "spare")
    registry.remove(gone.id, user_id)
    spare.rename(home / "models" / f".removed-{gone.id}-gone")  # killed after the row, before the files were gone
    Path(kept.path).rename(home / "models" / f".removed-{kept.id}-kept1")  # killed before the row
    assert registry.get(kept.id).presence is Presence.MISSING
    registry.remove(other.id, user_id)
    assert registry.get(kept.id).presence is Presence.HERE
    assert [path.name for path in (home / "models").iterdir()] == ["kept1"]


def test_a_merge_in_memory_is_recorded_without_touching_what_lies_on_disk(
    registry: Registry, make: Callable[..., Path], home: Path
) -> None:
    made = family(registry, make, home)
    files = replace(
        found(Path(made["direct"].path), home), kind="live", digest=digest_of("live"), recipe={"alpha": 0.5}, name="0.5"
    )
    parents = {"direct": made["direct"].id, "pairwise": made["pairwise"].id}
    live = registry.get(registry.record(files, parents=parents))
    assert (live.kind, live.presence) == ("live", Presence.IN_MEMORY)
    assert {parent.role for parent in live.parents} == {"direct", "pairwise"}
    assert registry.get(made["direct"].id).presence is Presence.HERE
