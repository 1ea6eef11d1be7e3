"""What perf.peer and perf.roofline run inside vLLM's own environment: a job of JSON in, its answer out.

It imports nothing of Assay, whose packages need not be there. Loading is not timed; a first prompt warms up.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    job, answer = Path(sys.argv[1]), Path(sys.argv[2])
    wanted = json.loads(job.read_text(encoding="utf-8"))
    found = _peer(wanted) if wanted["kind"] == "peer" else _bare(wanted)
    answer.write_text(json.dumps(found), encoding="utf-8")


def _peer(wanted: dict[str, Any]) -> Any:
    """PrometheusEval as its README shows it. Its own default has best_of, which today's vLLM refuses: left out."""
    from prometheus_eval import PrometheusEval
    from prometheus_eval.prompts import ABSOLUTE_PROMPT_WO_REF, RELATIVE_PROMPT_WO_REF, SCORE_RUBRIC_TEMPLATE
    from prometheus_eval.vllm import VLLM

    model = VLLM(model=wanted["model"], dtype=wanted["dtype"], max_model_len=wanted["context"])
    calls: list[dict[str, Any]] = []
    complete = model.completions

    def counted(prompts: list[str], **how: Any) -> list[str]:
        outputs = complete(prompts, **{**how, "use_tqdm": False})
        calls.append({"prompts": len(prompts), "first": prompts[0]})
        return outputs

    model.completions = counted
    complete(["Hello"], max_tokens=4, use_tqdm=False)
    peer = PrometheusEval(
        model, absolute_grade_template=ABSOLUTE_PROMPT_WO_REF, relative_grade_template=RELATIVE_PROMPT_WO_REF
    )
    found = []
    for load in wanted["loads"]:
        calls.clear()
        started = time.perf_counter()
        fields = load["fields"]
        if load["mode"] == "direct":
            rubrics = [SCORE_RUBRIC_TEMPLATE.format(**rubric) for rubric in fields["rubric"]]
            _feedbacks, scores = peer.absolute_grade(**{**fields, "rubric": rubrics}, params=load["params"])
        else:
            _feedbacks, scores = peer.relative_grade(**fields, params=load["params"])
        seconds = time.perf_counter() - started
        found.append({"scores": scores, "seconds": seconds, "calls": list(calls)})
    return found


def _bare(wanted: dict[str, Any]) -> Any:
    """The same token ids, and of each as many new tokens as ours had: what vLLM alone needs for them."""
    from vllm import LLM, SamplingParams

    model = LLM(model=wanted["model"], dtype=wanted["dtype"], max_model_len=wanted["context"])
    model.generate([{"prompt_token_ids": [1, 2, 3]}], SamplingParams(max_tokens=4), use_tqdm=False)
    found = []
    for load in wanted["loads"]:
        prompts = [{"prompt_token_ids": ids} for ids in load["prompts"]]
        how = [SamplingParams(temperature=0.0, max_tokens=new, ignore_eos=True) for new in load["new_tokens"]]
        started = time.perf_counter()
        model.generate(prompts, how, use_tqdm=False)
        found.append({"seconds": time.perf_counter() - started})
    return found


if __name__ == "__main__":
    main()
