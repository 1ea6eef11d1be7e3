"""Items a second beside bare vLLM, fed the same token ids and made to write as many tokens.

    python -m perf.roofline --model FOLDER --vllm-python VENV/bin/python --data FOLDER --items 200

Ours: feedback up to the marker, then the verdict's distribution, on the server that Assay starts, over HTTP.
Bare: `LLM.generate` in one process, all prompts at once, nothing streamed, read or checked. Half of the items are
scored, half are pairs in one order; greedy, in Assay's own format; the same with verdicts alone. Loading is timed
for neither.
"""

import tempfile
from pathlib import Path

from backend.benchmarks.labelled import subset
from backend.benchmarks.rows import load_set
from backend.engines.tokenizer import PromptTokenizer
from backend.prompts import AssayFormat, Prompt
from backend.types import Sampling
from perf.peer import DIRECT, PAIRWISE, in_child, our_server, parser_of_both, timed

SAMPLINGS = {"with feedback": Sampling(max_new_tokens=256), "verdict only": Sampling(feedback=False)}


def main() -> None:
    options = parser_of_both(__doc__).parse_args()
    prompts = _prompts(options.data, options.items)
    encode = PromptTokenizer(options.model).encode
    ours, loads = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with our_server(options.model, options, folder, format="assay") as engine:
            for sampling in SAMPLINGS.values():
                seconds, readings = timed(engine, prompts, sampling)
                ours.append((seconds, readings))
                # The verdict's own token is written by bare vLLM as well.
                news = [reading.new_tokens + 1 for reading in readings]
                loads.append({"prompts": [encode(prompt) for prompt in prompts], "new_tokens": news})
        job = {"kind": "bare", "model": str(options.model), "dtype": options.dtype, "context": options.context}
        bare = in_child(options.vllm_python, {**job, "loads": loads}, folder)
    for name, (seconds, readings), floor, load in zip(SAMPLINGS, ours, bare, loads, strict=True):
        valid = sum(reading.result is not None for reading in readings)
        print(
            f"{name}: {len(prompts)} items, {valid} valid, {sum(load['new_tokens']):,} tokens written: "
            f"ours {len(prompts) / seconds:.3f} items/s, bare vLLM {len(prompts) / floor['seconds']:.3f}, "
            f"ratio {floor['seconds'] / seconds:.2f}"
        )


def _prompts(data: Path, items: int) -> list[Prompt]:
    format = AssayFormat()
    direct = subset(load_set(data / DIRECT), items - items // 2, 0).rows
    pairs = subset(load_set(data / PAIRWISE), items // 2, 0).rows
    return [
        *(format.direct(row.item, row.rubric, 0) for row in direct),
        *(format.pairwise(row.item, row.rubric, 0, 1) for row in pairs),
    ]


if __name__ == "__main__":
    main()
