"""Pickling for another process that cannot import all that this one has loaded.

torch.hub takes a repository off ``sys.path`` again, a file spec was never on it, a source text
that was executed has no file, and a file may have been edited or deleted since. What comes from
such modules is sent by value, everything else by reference.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pickle
import site
import sys
import sysconfig
import threading
import types
from collections.abc import Sequence
from dataclasses import fields
from importlib.machinery import BuiltinImporter, FrozenImporter, ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, ClassVar, cast

import cloudpickle
import psutil

#: cloudpickle's list of modules to send by value is one for the whole process.
_registry = threading.RLock()
#: Entries of a module that belong to this process's import of it.
_OF_THE_IMPORT = {"__builtins__", "__loader__", "__spec__", "__cached__"}


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """cloudpickle, with what a new interpreter could not import sent by value.

    Parameters
    ----------
    file : io.BytesIO
    changed : bool
        Send by value also what could be imported, but from a file that has changed since this
        process began.
    pick : bool
        Leave what cannot be pickled out of modules that are sent by value.

    Attributes
    ----------
    sent : set of str
        Names of the modules of which something was sent by value.
    """

    def __init__(self, file: io.BytesIO, *, changed: bool = True, pick: bool = False) -> None:
        super().__init__(file)
        self._changed = changed
        self._pick = pick
        self._known: dict[str, bool] = {}
        self.sent: set[str] = set()

    def dump(self, obj: Any) -> None:
        """Write `obj`; cloudpickle's own list is afterwards as it was."""
        with _registry:
            before = cloudpickle.list_registry_pickle_by_value()
            try:
                super().dump(obj)
            finally:
                for name in cloudpickle.list_registry_pickle_by_value() - before:
                    with contextlib.suppress(ValueError):
                        cloudpickle.unregister_pickle_by_value(types.ModuleType(name))

    def reducer_override(self, obj: Any) -> Any:
        """As in `pickle.Pickler`."""
        if isinstance(obj, types.ModuleType):
            if self._by_value(obj.__name__) and sys.modules.get(obj.__name__) is obj:
                # In two steps, because modules of a package hold each other.
                return (types.ModuleType, (obj.__name__,), self._content(obj))
        elif isinstance(obj, type | types.FunctionType):
            self._by_value(obj.__module__)
        elif isinstance(obj, functools._lru_cache_wrapper):
            name = obj.__module__
            if name == "__main__" or name not in sys.modules or self._by_value(name):
                return (_cached, (obj.__wrapped__, obj.cache_parameters()))
        return super().reducer_override(obj)

    def _by_value(self, name: str | None) -> bool:
        """Whether to send what is of that module by value; then cloudpickle is told so."""
        if name is None or name == "__main__" or name not in sys.modules:
            return False  # cloudpickle does so by itself
        if name not in self._known:
            module = sys.modules[name]
            self._known[name] = not importable(name) or (self._changed and _has_changed(module))
            if self._known[name]:
                self.sent.add(name)
                if name not in cloudpickle.list_registry_pickle_by_value():
                    cloudpickle.register_pickle_by_value(module)
        return self._known[name]

    def _content(self, module: types.ModuleType) -> dict[str, Any]:
        content = {k: v for k, v in vars(module).items() if k not in _OF_THE_IMPORT}
        if not self._pick:
            return content
        return {name: value for name, value in content.items() if self._can_send(value)}

    def _can_send(self, value: Any) -> bool:
        if isinstance(value, types.ModuleType):
            return True
        try:
            ByValuePickler(io.BytesIO(), changed=self._changed).dump(value)
        except Exception:  # noqa: BLE001 - objects raise what they like
            return False
        return True


class ByValueUnpickler(pickle.Unpickler):
    """Reads what `ByValuePickler` wrote; for bytes that this user's own processes made.

    Attributes
    ----------
    modules : set of str
        Names of the modules that were imported for it.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """As in `pickle.Unpickler`."""
        self.modules.add(module)
        found = super().find_class(module, name)
        if module.partition(".")[0] == "cloudpickle" and name.startswith("_make_skeleton"):
            return functools.partial(_new_class, found)
        return found


class SendsByValue:
    """A dataclass some fields of which a notebook may have defined, whoever pickles it.

    Attributes
    ----------
    by_value : tuple of str
        Names of these fields.
    """

    __slots__ = ()
    by_value: ClassVar[tuple[str, ...]] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        values = {one.name: getattr(self, one.name) for one in fields(cast("Any", self))}
        sent = {name: dumps(values.pop(name)) for name in self.by_value}
        return _received, (type(self), values, sent)


def _received(kind: type[Any], values: dict[str, Any], sent: dict[str, bytes]) -> Any:
    return kind(**values, **{name: loads(value) for name, value in sent.items()})


def loads(data: bytes) -> Any:
    """What `dumps` was given, in another process of this user."""
    return ByValueUnpickler(io.BytesIO(data)).load()


def dumps(obj: Any, pickler: type[ByValuePickler] = ByValuePickler, *arguments: Any) -> bytes:
    """`obj` as bytes, sending by value as much as is needed and as little as works.

    `pickler` is called with a file and `arguments`.
    """
    ways: Sequence[dict[str, bool]] = ({}, {"pick": True}, {"changed": False, "pick": True})
    for number, way in enumerate(ways):
        file = io.BytesIO()
        writer = pickler(file, *arguments, **way)
        try:
            writer.dump(obj)
        except Exception:
            if not writer.sent or number == len(ways) - 1:
                raise
        else:
            return file.getvalue()
    raise AssertionError


def search_path() -> list[str]:
    """``sys.path`` for a process in another folder."""
    return [str(Path(entry).absolute()) for entry in sys.path]


def importable(name: str) -> bool:
    """Whether a new interpreter with this ``sys.path`` would find the loaded module `name`.

    False also where it would find another module of that name.
    """
    module = sys.modules.get(name)
    path: Sequence[str] | None = search_path()
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        found = None if path is None else _find(".".join(parts[:depth]), path)
        if found is None:
            # Some packages make modules while they are imported, without a file or as another
            # name of a module, such as os.path: the package's import makes them again.
            alias = module is not None and module.__name__ != name
            return depth > 1 and (alias or getattr(module, "__file__", None) is None)
        path = found.submodule_search_locations
    assert found is not None  # noqa: S101 - a name has one part at least
    file = getattr(module, "__file__", None)
    return not found.has_location or (file is not None and _same_file(file, found.origin))


def findable(name: str) -> bool:
    """Whether module `name` is importable, or an import hook of this process knows its package."""
    if importable(name):
        return True
    package = name.partition(".")[0]
    hooks: list[Any] = [hook for hook in sys.meta_path if hook is not PathFinder]
    return any(hook.find_spec(package, None) is not None for hook in hooks)


def _find(name: str, path: Sequence[str]) -> ModuleSpec | None:
    # An editable installation has a finder of its own, in a new interpreter too.
    editable: list[Any] = [f for f in sys.meta_path if _module_of(f).startswith("__editable__")]
    for finder in (BuiltinImporter, FrozenImporter, *editable):
        found: ModuleSpec | None = finder.find_spec(name, None)
        if found is not None:
            return found
    return PathFinder.find_spec(name, path)


def _module_of(finder: object) -> str:
    kind = finder if isinstance(finder, type) else type(finder)
    return kind.__module__


def _same_file(one: str, other: str | None) -> bool:
    if other is None or one == other:
        return one == other
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 - of paths inside a zip file too
    except OSError:
        return False


def _has_changed(module: types.ModuleType) -> bool:
    """Whether the module's file is newer than this process; never one of an installed package."""
    file = getattr(module, "__file__", None)
    if file is None or any(Path(file).is_relative_to(folder) for folder in _installed()):
        return False
    try:
        known = Path(file).stat()
    except OSError:  # inside a zip file
        return False
    # The second one is of renaming and of files that bring their old time along.
    return max(known.st_mtime, known.st_ctime) > _began()


@functools.cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = [*site.getsitepackages(), *(paths[k] for k in ("stdlib", "purelib", "platlib"))]
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    return (*found, str(Path(__file__).parents[1]))


@functools.cache
def _began() -> float:
    # Linux counts from a boot that it knows to the second.
    return psutil.Process().create_time() + 1


def _new_class(make: Any, *arguments: Any) -> Any:
    """A class of its own: in the process that sent it cloudpickle would write over the original."""
    *first, _, last = arguments
    return make(*first, None, last)


def _cached(function: Any, parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)
