"""A new project: the files of a template, with words put into them. No code of a template runs.

A template is a folder. A file whose name ends in ``.jinja`` is text for Jinja, in a sandbox; others
are copied. Names of files may have variables too. ``template.yaml`` is not copied: ``words`` says
what the template is for, ``variables`` are values by name, and ``over`` names a template of the
package whose files are there as well, unless this one has files of the same names.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from coflect_widget.config import nearest

HOME = Path(__file__).parent
#: Entry points of this group are templates of installed packages: a package whose folder is one.
ENTRY_POINTS = "coflect.templates"
_SETTINGS, _ENDING = "template.yaml", ".jinja"
#: Names of the package's own.
TEMPLATES = tuple(sorted(one.parent.name for one in HOME.glob(f"*/{_SETTINGS}")))
_KNOWN = ("words", "over", "variables")
#: Files of a template's folder that no project gets; an installed one is a package.
_NO_PART = (_SETTINGS, "__init__.py")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
#: Files of a template and bytes of one of them, at most.
_FILES, _BYTES = 1000, 16 * 2**20
_PASSED_OVER = (".git", "__pycache__", ".ipynb_checkpoints")


@dataclass(frozen=True)
class Template:
    """A folder that projects are made from.

    Attributes
    ----------
    folders : tuple of Path
        Those whose files a project gets; of files of one name the first folder's.
    words : str
    variables : mapping of str to object
    """

    folders: tuple[Path, ...]
    words: str
    variables: Mapping[str, Any]


def template_of(given: str) -> Template:
    """A template by its name, by that of an installed package's, or by the path of its folder.

    Raises
    ------
    LookupError
        If there is none.
    ValueError
        If its settings are none.
    """
    installed = _installed()
    folder = HOME / given if given in TEMPLATES else installed.get(given) or Path(given)
    if not folder.is_dir():
        known = nearest(given, [*TEMPLATES, *installed])
        raise LookupError(f"there is no template {given!r}, and no such folder; {known}")
    settings = _settings(folder)
    unknown = [name for name in settings if name not in _KNOWN]
    if unknown:
        raise ValueError(
            f"{folder / _SETTINGS}: {unknown[0]!r}; {nearest(unknown[0], list(_KNOWN))}"
        )
    variables = settings.get("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables):
        raise ValueError(f"{folder / _SETTINGS}: variables must be values by name")
    folders = [folder]
    if "over" in settings:
        over = settings["over"]
        if over not in ("common", *TEMPLATES):
            raise ValueError(
                f"{folder / _SETTINGS}: over: {over!r} must be a template of the package: common, "
                + ", ".join(TEMPLATES)
            )
        beneath = _settings(HOME / over)
        variables = {**beneath.get("variables", {}), **variables}
        folders += [HOME / over, *([HOME / beneath["over"]] if "over" in beneath else [])]
    return Template(tuple(folders), str(settings.get("words", "")), variables)


def _installed() -> dict[str, Path]:
    """Folders of templates that installed packages have, by name; none of their code runs."""
    found: dict[str, Path] = {}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        if "." in entry.module:  # to find what is below a package is to import that
            continue
        spec = importlib.util.find_spec(entry.module)
        places = [] if spec is None else list(spec.submodule_search_locations or [])
        if places:
            found[entry.name] = Path(places[0])
    return found


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / _SETTINGS
    if not file.is_file():
        return {}
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{file} is no YAML: {error}") from None
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{file} must hold settings by name: {', '.join(_KNOWN)}")
    return found or {}


def new(
    template: str,
    path: str | Path,
    *,
    variables: Mapping[str, Any] | None = None,
    git: bool = False,
    dvc: bool = False,
) -> Path:
    """Make a project.

    Parameters
    ----------
    template : str
        "sentiment", "timeseries", "image", "table", the name of an installed package's, or the path
        of a folder.
    path : path
        The project's folder, which is made. Its last part is the project's name: a letter, then up
        to 63 letters, digits, ``-`` and ``_``.
    variables : mapping, optional
        Values for the template, beside ``name``, ``title`` and ``version`` (of this package).
    git : bool
        Begin a git repository with all files added; nothing is committed.
    dvc : bool
        Add what DVC needs, as ``dvc init`` does, and a stage that trains. DVC itself is not called.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    LookupError
        If there is no such template.
    FileExistsError
        If there is something at `path`.
    ValueError
        If the name is none, or the template cannot be used: it says which file and why.
    RuntimeError
        If git is wanted and fails. The project is there without it.
    """
    from coflect_widget import __version__

    found, folder = template_of(template), Path(path).resolve()
    name = folder.name
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot be the name of a project: a letter, then letters, digits, - and _"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already; choose another name, or remove it")
    words = {
        **found.variables,
        **(variables or {}),
        "name": name,
        "title": re.sub(r"[-_]+", " ", name).strip().capitalize(),
        "version": __version__,
        "dvc": dvc,
    }
    if dvc:
        found = replace(found, folders=(*found.folders, HOME / "dvc"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, so that it is there whole or not at all.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as beside:
        made = Path(beside) / name
        made.mkdir()
        for target, content in _rendered(found, words).items():
            file = made / target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if folder.exists():  # and is empty; it may be where the user is
            for one in made.iterdir():
                shutil.move(one, folder)
        else:
            shutil.move(made, folder)
    if git:
        _begin_git(folder)
    return folder


def _rendered(template: Template, words: Mapping[str, Any]) -> dict[str, bytes]:
    """Content of each file by its path in the project."""
    from jinja2 import FunctionLoader, StrictUndefined, TemplateError, UndefinedError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    files = [(folder, inside) for folder in template.folders for inside in _files(folder)]
    # What may be included: of files of one name the first folder's, and none that is not listed.
    listed = {inside: folder for folder, inside in reversed(files)}

    def included(inside: str) -> str | None:
        return (listed[inside] / inside).read_text(encoding="utf-8") if inside in listed else None

    jinja = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(included),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # files of a project, no pages
    )
    found: dict[str, bytes] = {}
    for folder, inside in files:
        try:
            target = jinja.from_string(inside.removesuffix(_ENDING)).render(words)
            target = _within(target, inside)
            if target in found:
                continue
            content = (folder / inside).read_bytes()
            if inside.endswith(_ENDING):
                content = jinja.from_string(content.decode("utf-8")).render(words).encode()
        except UndefinedError as error:
            raise ValueError(
                f"template {inside}: {error.message}; give it with --set NAME=VALUE, or among "
                f"the variables of {_SETTINGS}"
            ) from None
        except RecursionError:
            raise ValueError(
                f"template {inside} includes itself, or is nested too deep; take the include out"
            ) from None
        except (TemplateError, TypeError, ArithmeticError) as error:
            raise ValueError(f"template {inside}: {error}") from None
        except UnicodeDecodeError:
            raise ValueError(
                f"template {inside} is no UTF-8; without {_ENDING} in its name it is copied"
            ) from None
        found[target] = content
    if not found:
        raise ValueError(f"{template.folders[0]} holds no files")
    return found


def _files(folder: Path) -> Iterator[str]:
    """Paths of a template's files within it, in order."""
    inside = sorted(
        one for one in folder.rglob("*")
        if not {*one.relative_to(folder).parts} & {*_PASSED_OVER}
    )  # fmt: skip
    if len(inside) > _FILES:
        raise ValueError(f"{folder} holds more than {_FILES:,} files: is it a template?")
    for one in inside:
        name = one.relative_to(folder).as_posix()
        if one.is_symlink():
            raise ValueError(f"template {name} is a link; a template holds files and folders alone")
        if not one.is_file() or name in _NO_PART:
            continue
        if one.stat().st_size > _BYTES:
            raise ValueError(f"template {name} is larger than {_BYTES >> 20} MiB")
        yield name


def _within(target: str, inside: str) -> str:
    path = PurePosixPath(target)
    same_depth = len(path.parts) == len(PurePosixPath(inside).parts)
    if not target or path.is_absolute() or "\\" in target or ".." in path.parts or not same_depth:
        raise ValueError(f"template {inside}: its name becomes {target!r}, no file of the project")
    return path.as_posix()


def _begin_git(folder: Path) -> None:
    for words in (["init", "--quiet"], ["add", "."]):
        try:
            subprocess.run(  # noqa: S603 - no word of it is given
                ["git", *words],  # noqa: S607 - the user's own git
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            raise RuntimeError(f"{folder} is made, but git is not installed") from None
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"{folder} is made, but git said: {error.stderr.strip()}") from None
