"""Settings: read once, in launch.py, from the environment (ASSAY_*) and the command line."""

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.errors import InvalidInputError, SettingsError
from backend.types import Sampling


class Settings(BaseSettings):
    """Every setting. Its environment variable is ASSAY_ and its name in capitals; docs/settings.md lists all."""

    model_config = SettingsConfigDict(env_prefix="ASSAY_", frozen=True, extra="ignore")

    home: Path = Field(Path("~/.assay"), description="Folder of the database and the models.")
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Without --auth only this machine's own are accepted."
    )
    port: int = Field(7860, ge=1, le=65535, description="Port to listen on.")
    auth: bool = Field(
        False, description="People sign in by name and password. Off: everybody at this machine is its owner."
    )
    mcp: bool = Field(False, description="Offer the endpoints as MCP tools, at /gradio_api/mcp/.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL of the database. Unset: the SQLite file assay.db in the home folder."
    )
    data_folder: Path | None = Field(
        None, description="Folder with the labelled sets, in benchmarks/ and dev/. Unset: data in the home folder."
    )
    model: str = Field(
        "starter", description="The judge's model: starter, starter-base, a local folder, or a hub name."
    )
    engine: Literal["auto", "transformers", "openvino", "vllm", "openai"] = Field(
        "auto",
        description="What runs the model. auto: vLLM where it and a CUDA GPU are there; openvino on a CPU; else "
        "transformers.",
    )
    base_url: str | None = Field(
        None, description="Address of an OpenAI-compatible endpoint to judge with, such as http://127.0.0.1:8000/v1."
    )
    tokenizer: Path | None = Field(
        None, description="Folder with the tokenizer of the endpoint's model; a verdict's distribution needs it."
    )
    vllm_python: Path | None = Field(
        None, description="The Python of an environment that has vLLM. Unset: the one that runs Assay."
    )
    vllm_tensor_parallel: int = Field(1, ge=1, description="Over how many GPUs vLLM spreads the model.")
    vllm_quantization: str | None = Field(
        None, description="vLLM's method of quantisation, such as fp8. Unset: as the model's files say."
    )
    vllm_memory_share: float | None = Field(
        None, gt=0, le=1, description="Share of each GPU's memory that vLLM takes. Unset: vLLM's own default."
    )
    vllm_max_model_len: int | None = Field(
        None, ge=1, description="The most tokens of prompt and answer that vLLM takes. Unset: the model's own."
    )
    prompt_format: Literal["assay", "prometheus-2"] | None = Field(
        None, description="How the model is asked. Unset: by the model's name."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where the model runs.")
    dtype: Literal["auto", "float32", "bfloat16", "float16", "int8"] = Field(
        "auto",
        description="Number format of the weights. auto: float32 on openvino, else bfloat16 where the hardware "
        "multiplies it. int8: on openvino only. float16: not there.",
    )
    feedback: bool = Field(True, description="Write feedback before the verdict; off is the verdict-only mode.")
    max_new_tokens: int = Field(256, description="The most tokens of feedback.")
    temperature: float = Field(0.0, description="0 writes the most probable feedback; above 0 it is drawn.")
    top_p: float = Field(1.0, description="Draw from the most probable tokens that sum to this share.")
    seed: int = Field(0, description="Seed of what is drawn.")
    open_browser: bool | None = Field(
        None, description="Open the page in a browser at start. Unset: on a desktop, yes; on a server, no."
    )

    @property
    def home_folder(self) -> Path:
        return self.home.expanduser().absolute()

    @property
    def sets_folder(self) -> Path:
        return self.home_folder / "data" if self.data_folder is None else self.data_folder.expanduser().absolute()

    @property
    def store_url(self) -> str:
        return self.database_url or f"sqlite:///{self.home_folder / 'assay.db'}"

    @property
    def torch_dtype(self) -> str:
        """For what runs on torch whatever the engine is."""
        return "auto" if self.dtype == "int8" else self.dtype

    @property
    def sampling(self) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            max_new_tokens=self.max_new_tokens,
            feedback=self.feedback,
        )


def read_settings(**given: object) -> Settings:
    """The settings from the environment, overridden by what was given and is not None.

    Raises SettingsError that names each value that can't be used.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        settings.sampling  # noqa: B018  (its checks are this setting's checks)
    except ValidationError as error:
        problems = "; ".join(f"{detail['loc'][0]} = {detail['input']!r}: {detail['msg']}" for detail in error.errors())
        raise SettingsError(f"Some settings can't be used: {problems}. `launch.py --help` explains each.") from error
    except InvalidInputError as error:
        raise SettingsError(f"Some settings can't be used: {error}") from error
    if not settings.auth:
        _require_own_address(settings.host)
    if settings.engine == "openai" and settings.base_url is None:
        raise SettingsError("--engine openai needs the endpoint's address. Name it with --base-url.")
    if settings.engine in ("transformers", "openvino", "vllm") and settings.base_url is not None:
        raise SettingsError(
            f"--base-url names an endpoint, and --engine {settings.engine} runs the model here. Leave one of them out."
        )
    if settings.engine == "openvino" and settings.device not in ("auto", "cpu"):
        raise SettingsError(f"--engine openvino runs on the CPU, not on --device {settings.device}. Leave one out.")
    if settings.engine == "openvino" and settings.dtype == "float16":
        raise SettingsError("--engine openvino has no --dtype float16. Known: auto, float32, bfloat16, int8.")
    if settings.engine != "openvino" and settings.dtype == "int8":
        raise SettingsError("--dtype int8 needs --engine openvino.")
    return settings


def _require_own_address(host: str) -> None:
    try:
        own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = False
    if not own:
        raise SettingsError(
            f"The host {host!r} would open Assay to other machines without accounts: anybody who reaches the port "
            "could read and change everything. Add --auth, so that people sign in, or use 127.0.0.1."
        )
