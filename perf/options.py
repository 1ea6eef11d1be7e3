"""The options that several measurements have, each worded once; what only one of them has stands in that one."""

import argparse
from pathlib import Path

HOME = Path("~/.assay").expanduser()
ALL_SETS = "the folder of labelled sets (docs/data.md)"
DEV_SETS = "the folder dev of the labelled sets (docs/data.md)"


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """A parser without options yet, whose help shows a module's docstring as it stands."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_home(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """required: for a measurement that writes what nobody would want in their own home folder."""
    where = "a home folder of Assay" if required else "Assay's home folder"
    parser.add_argument("--home", type=Path, required=required, default=None if required else HOME, help=where)


def add_data(parser: argparse.ArgumentParser, what: str = ALL_SETS) -> None:
    parser.add_argument("--data", type=Path, required=True, help=what)


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, required=True, help="a judge's folder")


def add_dtype(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--dtype", default=default, help=f"in which the model computes; {default} unless said")


def add_runs(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--runs", type=int, default=default, help=f"how often each thing is timed; {default} unless said"
    )


def add_verdicts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verdicts", type=int, default=1_000_000, help="in the database that is made")


def add_folder(parser: argparse.ArgumentParser) -> None:
    place = "where what is measured on is made and removed; the system's folder for such files unless said"
    parser.add_argument("--folder", type=Path, help=place)
