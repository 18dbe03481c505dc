"""What do all commands share? The shape of a group, the options that mean the same everywhere, and where to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# What a command found, and what is shown while it looks: a pipe gets only the first.
console, meanwhile = Console(), Console(stderr=True)

Data = Annotated[Path, typer.Option(help="The folder of the system.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def group() -> typer.Typer:
    return typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
