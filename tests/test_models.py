"""Model folders, hub names and digests: what is accepted, what is refused before anything is loaded, and why."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from backend.errors import ModelFetchError, ModelFilesError, ModelUnsupportedError
from backend.models import ModelFiles, find_model, weights_digest
from tests.conftest import free_port
from tests.local_server import LocalServer


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_model, tmp_path / "copy"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def silent(_message: str, _fraction: float | None) -> None:
    pass


def find(model: Path | str, home: Path) -> ModelFiles:
    """Find it, and check that its folder is left as it was, whether it was accepted or refused."""
    before = contents(model)
    try:
        return find_model(str(model), home, prompt_format=None, report=silent)
    finally:
        assert contents(model) == before


def contents(model: Path | str) -> dict[Path, bytes | None]:
    """Of every file of a model folder; None where this user may not read it."""
    if not isinstance(model, Path):
        return {}
    return {
        path: path.read_bytes() if os.access(path, os.R_OK, effective_ids=True) else None for path in model.glob("*")
    }


def change_json(path: Path, **entries: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_whole_folder_is_found_with_all_that_is_known_of_it(folder: Path, home: Path) -> None:
    files = find(folder, home)
    assert (files.name, files.kind, files.path) == ("copy", "external", folder)
    assert (files.architecture, files.prompt_format, files.recipe) == ("LlamaForCausalLM", "assay", None)
    assert files.bytes == (folder / "model.safetensors").stat().st_size
    assert len(files.digest) == 64


def test_finding_a_folder_imports_neither_torch_nor_transformers(folder: Path, home: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from backend.models import find_model; "
        "find_model(sys.argv[1], Path(sys.argv[2]), prompt_format=None, report=lambda *_: None); "
        "print(sorted({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, folder, home], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_name_prometheus_means_its_prompt_format(folder: Path, home: Path) -> None:
    renamed = folder.rename(folder.with_name("My-Prometheus-7b"))
    assert find(renamed, home).prompt_format == "prometheus-2"


def test_a_prompt_format_that_was_asked_for_wins(folder: Path, home: Path) -> None:
    renamed = folder.rename(folder.with_name("prometheus"))
    assert find_model(str(renamed), home, prompt_format="assay", report=silent).prompt_format == "assay"


@pytest.mark.parametrize("model", ["/nowhere/model", "./nowhere", "~/nowhere-at-all", "model", "a/b/c", "x\0y"])
def test_what_is_neither_a_folder_nor_a_hub_name_is_refused(model: str, home: Path) -> None:
    with pytest.raises(ModelFilesError, match="no model folder"):
        find(model, home)


def test_a_file_is_no_model_folder(folder: Path, home: Path) -> None:
    with pytest.raises(ModelFilesError, match="is a file"):
        find(folder / "model.safetensors", home)


def test_a_folder_without_config_is_refused(folder: Path, home: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(ModelFilesError, match=r"no config\.json"):
        find(folder, home)


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_a_damaged_config_is_refused(text: str, folder: Path, home: Path) -> None:
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFilesError, match=r"config\.json is damaged"):
        find(folder, home)


def test_a_folder_without_weights_is_refused(folder: Path, home: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelFilesError, match="no weights"):
        find(folder, home)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth"])
def test_pickle_weights_alone_are_refused_with_the_way_to_convert_them(name: str, folder: Path, home: Path) -> None:
    (folder / "model.safetensors").rename(folder / name)
    with pytest.raises(ModelFilesError, match=rf"{name}.*save_pretrained"):
        find(folder, home)


def test_pickle_weights_beside_safetensors_are_not_counted(folder: Path, home: Path) -> None:
    before = find(folder, home)
    (folder / "pytorch_model.bin").write_bytes(b"anything")
    assert find(folder, home) == before


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 5000, -1])
def test_a_cut_off_safetensors_file_is_refused_by_name(kept: int, folder: Path, home: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFilesError, match=r"model\.safetensors.*fetch the model again"):
        find(folder, home)


@pytest.mark.parametrize(
    "header",
    [b"not json", b"[]", b"{}", b'{"a": 1}', b'{"a": {"data_offsets": []}}', b'{"a": {"data_offsets": [0, "x"]}}'],
)
def test_a_safetensors_file_with_a_damaged_header_is_refused(header: bytes, folder: Path, home: Path) -> None:
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ModelFilesError, match="header can't be read"):
        find(folder, home)


def test_a_git_lfs_pointer_in_place_of_the_weights_names_its_cure(folder: Path, home: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 565016\n"
    (folder / "model.safetensors").write_text(pointer)
    with pytest.raises(ModelFilesError, match="git lfs pull"):
        find(folder, home)


def in_shards(folder: Path, *names: str) -> None:
    """The index of a model in shards, every one of them a whole safetensors file."""
    single = folder / "model.safetensors"
    for name in names:
        shutil.copy(single, folder / name)
    single.unlink()
    index = {"metadata": {}, "weight_map": {f"tensor {name}": name for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_weights_in_shards_are_found_and_counted_together(folder: Path, home: Path) -> None:
    single = find(folder, home)
    in_shards(folder, "model-1.safetensors", "model-2.safetensors")
    sharded = find(folder, home)
    assert sharded.bytes == 2 * single.bytes
    assert sharded.digest != single.digest


def test_a_missing_shard_is_named(folder: Path, home: Path) -> None:
    in_shards(folder, "model-1.safetensors", "model-2.safetensors")
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelFilesError, match=r"lacks model-2\.safetensors"):
        find(folder, home)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "weights.bin"])
def test_a_shard_outside_the_folder_or_of_another_kind_is_refused(shard: str, folder: Path, home: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
    (folder / "weights.bin").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"tensor": shard}}))
    with pytest.raises(ModelFilesError, match="own folder"):
        find(folder, home)


def test_an_index_that_names_nothing_is_refused(folder: Path, home: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(ModelFilesError, match="names no files"):
        find(folder, home)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_model_that_asks_for_remote_code_is_refused(name: str, folder: Path, home: Path) -> None:
    change_json(folder / name, auto_map={"AutoModelForCausalLM": "modeling.Model"})
    with pytest.raises(ModelUnsupportedError, match="auto_map"):
        find(folder, home)


@pytest.mark.parametrize(
    "architectures", [["MadeUpForCausalLM"], ["BertForMaskedLM"], [], None, [{}], "LlamaForCausalLM"]
)
def test_an_unknown_architecture_is_refused(architectures: object, folder: Path, home: Path) -> None:
    change_json(folder / "config.json", architectures=architectures)
    with pytest.raises(ModelUnsupportedError, match="architecture"):
        find(folder, home)


@pytest.mark.parametrize("model_type", ["made_up", ["made_up"]])
def test_an_unknown_model_type_is_refused(model_type: object, folder: Path, home: Path) -> None:
    change_json(folder / "config.json", model_type=model_type)
    with pytest.raises(ModelUnsupportedError, match="made_up"):
        find(folder, home)


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [("mistral", "MistralForCausalLM"), ("mixtral", "MixtralForCausalLM"), ("qwen3", "Qwen3ForCausalLM")],
)
def test_the_architectures_of_published_judges_are_known(
    model_type: str, architecture: str, folder: Path, home: Path
) -> None:
    change_json(folder / "config.json", model_type=model_type, architectures=[architecture])
    assert find(folder, home).architecture == architecture


def test_a_folder_without_a_tokenizer_is_refused(folder: Path, home: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelFilesError, match="no tokenizer"):
        find(folder, home)


def test_a_model_without_a_chat_template_is_refused(folder: Path, home: Path) -> None:
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnsupportedError, match="no chat template"):
        find(folder, home)


def test_a_chat_template_inside_the_tokenizers_settings_is_accepted(folder: Path, home: Path) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    change_json(folder / "tokenizer_config.json", chat_template=template)
    assert find(folder, home).architecture == "LlamaForCausalLM"


def test_weights_that_this_user_may_not_read_say_so(tiny_model: Path) -> None:
    with tempfile.TemporaryDirectory() as place:  # not tmp_path, whose parents shut other users out
        Path(place).chmod(0o755)
        folder = Path(shutil.copytree(tiny_model, Path(place) / "model"))
        (folder / "model.safetensors").chmod(0)
        was_root = os.geteuid() == 0
        try:
            if was_root:  # root may read everything
                os.seteuid(65534)
            with pytest.raises(ModelFilesError, match=r"model\.safetensors can't be read"):
                find(folder, Path(place))
        finally:
            if was_root:
                os.seteuid(0)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "chat_template.jinja", "config.json"])
def test_the_digest_changes_with_every_file_that_changes_what_is_said(name: str, folder: Path, home: Path) -> None:
    before = weights_digest(folder, home, silent)
    path = folder / name
    if name == "config.json":
        change_json(path, rms_norm_eps=0.5)
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    assert weights_digest(folder, home, silent) != before


def test_the_digest_does_not_change_with_the_place_or_the_library_that_saved_it(folder: Path, home: Path) -> None:
    before = weights_digest(folder, home, silent)
    moved = folder.rename(folder.with_name("moved"))
    change_json(moved / "config.json", transformers_version="9.9", _name_or_path="/elsewhere")
    (moved / "README.md").write_text("Words about the model.")
    assert weights_digest(moved, home, silent) == before


def test_only_a_new_or_changed_file_is_hashed(folder: Path, home: Path) -> None:
    def hashed() -> list[str]:
        messages: list[str] = []
        weights_digest(folder, home, lambda message, _fraction: messages.append(message))
        return messages

    assert len(hashed()) == 3
    assert hashed() == []
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + "\n")
    assert hashed() == ["Computing the digest of tokenizer.json (once)."]


@pytest.mark.parametrize("remembered", ["", "{", "[]", '{"FOLDER": 1}', '{"FOLDER": {"model.safetensors": [1]}}'])
def test_a_damaged_memory_of_digests_is_ignored_and_rewritten(remembered: str, folder: Path, home: Path) -> None:
    digest = weights_digest(folder, home, silent)
    whole = (home / "digests.json").read_text()
    (home / "digests.json").write_text(remembered.replace("FOLDER", str(folder)))
    assert weights_digest(folder, home, silent) == digest
    assert (home / "digests.json").read_text() == whole
    assert [path.name for path in home.iterdir()] == ["digests.json"]


def test_a_home_that_takes_no_file_costs_only_the_memory_of_digests(folder: Path, home: Path) -> None:
    digest = weights_digest(folder, home, silent)
    assert weights_digest(folder, home / "missing", silent) == digest


SHA = "a" * 40


class Hub(LocalServer):
    """A model hub on this machine, as far as huggingface_hub asks it for one repository."""

    def __init__(self, folder: Path, name: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                if path == f"/api/models/{name}/revision/main":
                    self.answer(json.dumps({"id": name, "sha": SHA, "siblings": []}).encode())
                elif path == f"/api/models/{name}/tree/{SHA}":
                    files = [
                        {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": _oid(file)}
                        for file in folder.iterdir()
                    ]
                    self.answer(json.dumps(files).encode())
                elif path.startswith(f"/{name}/resolve/{SHA}/"):
                    file = folder / path.rsplit("/", 1)[1]
                    self.answer(file.read_bytes(), etag=_oid(file))
                elif "gated" in path:
                    self.answer(b"{}", status=403, error="GatedRepo")
                else:
                    self.answer(b"{}", status=404, error="RepoNotFound")

            def answer(self, body: bytes, *, status: int = 200, etag: str = "", error: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Repo-Commit", SHA)
                for header, value in (("ETag", f'"{etag}"' if etag else ""), ("X-Error-Code", error)):
                    if value:
                        self.send_header(header, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests look at what was asked."""

        super().__init__(Handler)


def _oid(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for the hub's client, and no hub in reach."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    use_hub(monkeypatch, f"http://127.0.0.1:{free_port()}")
    return cache


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """As HF_ENDPOINT would, had the client not been imported before."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(folder: Path, hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "consolidated.safetensors").write_bytes(b"the same weights for another program")
    with Hub(folder, "org/tiny") as hub:
        use_hub(monkeypatch, hub.url)
        yield hub


def test_a_hub_name_is_fetched_into_the_hubs_cache(hub: Hub, hub_cache: Path, folder: Path, home: Path) -> None:
    told: list[tuple[str, float | None]] = []
    files = find_model("org/tiny", home, prompt_format=None, report=lambda *news: told.append(news))
    assert files.name == "org/tiny"
    assert files.path.is_relative_to(hub_cache)
    assert files.digest == find(folder, home).digest
    assert any(fraction is not None and "Downloading org/tiny" in message for message, fraction in told)


def test_only_the_files_that_a_judge_needs_are_fetched(hub: Hub, home: Path) -> None:
    files = find("org/tiny", home)
    assert {path.name for path in files.path.iterdir()}.isdisjoint({"pytorch_model.bin", "consolidated.safetensors"})


def test_fetching_prints_nothing(hub: Hub, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    find("org/tiny", home)
    assert capfd.readouterr() == ("", "")


def test_a_fetched_model_is_found_again_without_the_hub(hub: Hub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find("org/tiny", home)
    use_hub(monkeypatch, f"http://127.0.0.1:{free_port()}")
    assert find("org/tiny", home) == before


@pytest.mark.usefixtures("hub_cache")
def test_a_hub_out_of_reach_is_told_with_the_cure(home: Path) -> None:
    with pytest.raises(ModelFetchError, match=r"org/tiny could not be fetched.*--model FOLDER"):
        find("org/tiny", home)


@pytest.mark.usefixtures("hub_cache")
def test_an_offline_hub_is_told_with_the_cure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelFetchError, match="org/tiny could not be fetched"):
        find("org/tiny", home)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("name", ["org/missing", "org/not--a--name"])
def test_a_name_that_the_hub_does_not_know_is_told(name: str, home: Path) -> None:
    with pytest.raises(ModelFetchError, match=f"neither a folder {name} .* nor a model of that name"):
        find(name, home)


@pytest.mark.usefixtures("hub")
def test_a_model_behind_terms_says_where_to_accept_them(home: Path) -> None:
    with pytest.raises(ModelFetchError, match="Accept them on its page"):
        find("org/gated", home)
