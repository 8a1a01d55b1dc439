"""`hypojax completion`: what a shell needs to complete verbs, options and file names."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final, Literal, get_args, get_type_hints

from tyro.conf import FlagCreatePairsOff, Positional

from hypojax.cli.verb import Verb

Shell = Literal["bash", "zsh", "fish"]

WHOLE: Final = ("--help", "--version")
"""Options that are given instead of a verb."""

POSITIONAL: Final = Positional[int].__metadata__[0]  # type: ignore[attr-defined]  # a marker of tyro, which hides in the annotation
ALONE: Final = FlagCreatePairsOff[bool].__metadata__[0]  # type: ignore[attr-defined]

BASH: Final = """_hypojax() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words=
    if ((COMP_CWORD == 1)); then
        words='{verbs}'
    elif [[ $word == -* ]]; then
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o bashdefault -o default -F _hypojax hypojax
"""
"""Where nothing is offered, bash falls back to file names."""

ZSH: Final = """#compdef hypojax
_hypojax() {{
    local -a options
    if ((CURRENT == 2)); then
        compadd -- {verbs}
        return
    fi
    case $words[2] in
{cases}
    esac
    if [[ $PREFIX == -* ]]; then
        compadd -- $options
    else
        _files
    fi
}}
compdef _hypojax hypojax
"""


def script(shell: Shell, verbs: Mapping[str, type[Verb]]) -> str:
    """What a shell has to read to complete these verbs.

    >>> print(script("fish", {"status": Verb}).splitlines()[-1])
    complete -c hypojax -n '__fish_seen_subcommand_from status' -l json
    """
    known = {name: ["--help", *options(verb)] for name, verb in verbs.items()}
    if shell == "fish":
        return "\n".join([*(line for name, verb in verbs.items() for line in _fish(name, verb, known[name]))])
    names = " ".join([*verbs, *WHOLE])
    if shell == "zsh":
        cases = "\n".join(f"        {name}) options=({' '.join(of)}) ;;" for name, of in known.items())
        return ZSH.format(verbs=names, cases=cases)
    cases = "\n".join(f"            {name}) words='{' '.join(of)}' ;;" for name, of in known.items())
    return BASH.format(verbs=names, cases=cases)


def options(verb: type[Any], *, alone: bool = False) -> Iterator[str]:
    """The options of a verb, as its help names them; ``alone`` where none of its flags has a ``--no-`` form.

    >>> list(options(Verb))
    ['--debug', '--quiet', '--json']
    """
    hints = get_type_hints(verb, include_extras=True)
    for field in fields(verb):
        kind, *marks = get_args(hints[field.name]) if hasattr(hints[field.name], "__metadata__") else (hints[field.name],)
        if is_dataclass(kind) and isinstance(kind, type):
            yield from options(kind, alone=ALONE in marks)
        elif POSITIONAL not in marks:
            named = next((mark.name for mark in marks if getattr(mark, "name", None)), field.name)
            option = named.replace("_", "-")
            yield f"--{option}"
            yield from (alias for mark in marks for alias in getattr(mark, "aliases", None) or () if alias.startswith("--"))
            if kind is bool and not alone and ALONE not in marks:
                yield f"--no-{option}"


def _fish(name: str, verb: type[Verb], of: list[str]) -> Iterator[str]:
    """Lines for fish: the verb with the first sentence of its help, and its options."""
    about = str(verb.__doc__).partition("\n")[0].rstrip(".").replace("'", "\\'")
    yield f"complete -c hypojax -n __fish_use_subcommand -f -a {name} -d '{about}'"
    for option in of:
        yield f"complete -c hypojax -n '__fish_seen_subcommand_from {name}' -l {option.removeprefix('--')}"
