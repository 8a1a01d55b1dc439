"""Where all text of the command line goes out: nothing foreign reaches a terminal raw, and an output that is gone ends no work."""

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from typing import IO, Any, Final, Protocol, cast, runtime_checkable

from rich.console import Console
from rich.text import Text

from hypojax.reason import visible

PLAIN: Final = str.maketrans({"³": "3", "–": "-", "…": "...", "×": "x", "•": "*"})
"""Replacements of characters of our own sentences where the encoding of the terminal lacks them."""

STANDARD: Final = (0, 1, 2)
"""File descriptors of standard input, output and error."""


@runtime_checkable
class Stream(Protocol):
    """What an `Outlet` asks of the stream behind it."""

    def write(self, text: str, /) -> int:
        """Take text."""

    def flush(self) -> None:
        """Hand it on."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""

    def fileno(self) -> int:
        """Its descriptor."""


class Outlet(io.TextIOBase):
    """A text stream that never raises: whoever reads it may go, its disk may be full, its encoding may lack characters.

    Parameters
    ----------
    stream
        Where the text goes; nowhere when None, as where a descriptor was closed before the process began.

    Examples
    --------
    >>> inner = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> outlet = Outlet(inner)
    >>> _ = outlet.write("7 mm³"), outlet.flush()
    >>> inner.buffer.getvalue(), outlet.fault
    (b'7 mm3', None)
    """

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self.fault: Exception | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def fileno(self) -> int:
        """That of the stream."""
        if self._stream is None:
            raise io.UnsupportedOperation("no stream, no descriptor")
        return self._stream.fileno()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str, /) -> int:
        """Write what can be written; after the first fault nothing is."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.write(encodable(text, self.encoding))
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written."""
        if self._stream is not None and self.fault is None:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        """Remember the fault, and lead the descriptor to nowhere: what Python still holds for it would be a fault at its end."""
        self.fault = error
        with suppress(OSError, ValueError):
            descriptor = self.fileno()
            if descriptor in STANDARD:
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


class Terminal(Console):
    """A console on which text that is not printable is spelled out, wherever it is shown: in a line, a table or its title.

    Parameters
    ----------
    outlet
        Where it prints.
    """

    def __init__(self, outlet: Outlet) -> None:
        super().__init__(file=cast("IO[str]", outlet), emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:  # noqa: ANN401  (as rich has them)
        """Every string that is printed comes through here."""
        return super().render_str(visible(text), **options)


def encodable(text: str, encoding: str) -> str:
    r"""The text as far as an encoding can hold it; what it lacks is written in plain letters, or spelled out.

    >>> encodable("7 mm³ ± 1", "ascii"), encodable("7 mm³", "utf-8")
    ('7 mm3 \\xb1 1', '7 mm³')
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


@contextmanager
def standard_streams() -> Iterator[None]:
    """See to it that the standard streams of this process are there and never end it.

    Those that were closed before it began lead to nowhere: the next file opened would take the place of one. What is printed without
    a `Terminal`, as help is, may lack characters or readers too.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")
    try:
        yield
    except BrokenPipeError:
        pass  # of help, whose reader had enough
    finally:
        for stream in (sys.stdout, sys.stderr):
            Outlet(stream).flush()


def _open_closed() -> None:
    """Open standard streams that are closed."""
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free, which is this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for as long as the process runs


@contextmanager
def spelled_out(arguments: Sequence[str]) -> Iterator[None]:
    """Spell out what is said of arguments that are not printable, as file names given with ``*`` can be, while the block runs."""
    if all(argument.isprintable() for argument in arguments):
        yield
        return
    terminal = Terminal(Outlet(sys.stderr))
    with redirect_stderr(io.StringIO()) as said:
        try:
            yield
        finally:
            for line in said.getvalue().split("\n"):
                terminal.print(line, markup=False, highlight=False, soft_wrap=True)
