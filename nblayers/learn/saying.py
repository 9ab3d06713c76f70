"""What all commands say alike: what is wrong, and why a file is not written. Nothing heavy is imported here."""
import shutil
import sys
import textwrap
from pathlib import Path


def fail(message: str) -> int:
    """Say it on stderr, on a terminal broken between words; returns the exit code."""
    wide = shutil.get_terminal_size().columns if sys.stderr.isatty() else 100_000
    for line in f"nblayers: {message}".split("\n"):
        print(textwrap.fill(line, wide, break_long_words=False, break_on_hyphens=False), file=sys.stderr)
    return 2


def write_new(output: Path, text: str, force: bool) -> bool:
    """Write a file that is not there yet, or that may be overwritten by `force`; False after saying why not."""
    if output.exists() and not force:
        fail(f"{output} is there already: give another name with -o, or --force to overwrite it")
        return False
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}")
        return False
    return True
