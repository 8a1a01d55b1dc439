"""Text from elsewhere, made fit to be shown: file names, table cells and the messages of other programs can hold anything."""

from typing import Final

ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)
"""How Python spells bytes of a file name that are no UTF-8: 0xDC00 and the byte."""

SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with everything spelled out that is no printable character, but for those in ``keep``.

    What is spelled out could clear or colour a terminal (escape codes, C1 codes), reverse what is read (bidirectional overrides),
    begin a new line, or not be encoded at all (bytes of a file name that are no UTF-8).

    >>> visible("Andr\udce9\x1b[31m"), visible("André"), visible("a\nb\u202e")
    ('Andr\\xe9\\x1b[31m', 'André', 'a\\nb\\u202e')
    """
    return text if text.isprintable() else "".join(one if one in keep else _spelled(one) for one in text)


def _spelled(character: str) -> str:
    """One character as it is shown."""
    number = ord(character)
    if character.isprintable():
        return character
    if number in ESCAPED_BYTES:
        return f"\\x{number - 0xDC00:02x}"
    return SHORT.get(character) or character.encode("unicode_escape").decode()
