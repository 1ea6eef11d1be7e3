"""What a child process of ours does so that it never outlives who started it."""

import os
import threading


def end_with_parent() -> None:
    """End at once when standard input closes, which the parent holds open as long as it lives and wants this."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    os.read(0, 1)  # past sys.stdin, whose lock would trip the interpreter's end
    os._exit(1)
