"""Where in what a judge wrote its verdict is read: behind the feedback alone, whatever was written after it."""

from collections.abc import Sequence

from backend.engines.tokenizer import PromptTokenizer
from backend.parsing import FeedbackReader


def before_result(tokenizer: PromptTokenizer, reader: FeedbackReader, written: Sequence[int]) -> tuple[list[int], str]:
    """The written tokens of the feedback alone, and the text between them and the result marker.

    written: the ids that reader.text was decoded from; without any, all of the feedback is in the text.
    """
    before = reader.text[: reader.end]
    kept = list(written)
    while kept and not before.startswith(tokenizer.decode(kept)):
        kept.pop()
    between = before[len(tokenizer.decode(kept)) :]
    if reader.marker_at is None and before and not before[-1].isspace():
        between += " "
    return kept, between
