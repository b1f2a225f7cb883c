"""``coflect completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse
from functools import partial

from coflect_widget.cli.answer import Answer, Commands, command

_SCRIPT = """\
_coflect() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{names}" -- "$word"))
    return
  fi
  [[ "$word" == -* ]] || {{ COMPREPLY=(); return; }}
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
}}
complete -o default -F _coflect coflect
"""
_ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add(commands: Commands) -> None:
    """Add the command."""
    words = 'print what completes commands: eval "$(coflect completion bash)"'
    parser = command(commands, "completion", partial(_completion, commands), words)
    parser.add_argument("shell", choices=("bash", "zsh"))


def _completion(commands: Commands, given: argparse.Namespace) -> Answer:
    script = ("" if given.shell == "bash" else _ZSH) + completion(commands)
    return {"shell": given.shell, "script": script}, script


def completion(commands: Commands) -> str:
    """A script for bash: each command, and the options of each; files elsewhere."""
    cases = []
    for name, parser in commands.choices.items():
        options = " ".join(o for a in parser._actions for o in a.option_strings if o[:2] == "--")
        cases.append(f'    {name}) COMPREPLY=($(compgen -W "{options}" -- "$word")) ;;')
    return _SCRIPT.format(names=" ".join(commands.choices), cases="\n".join(cases))
