"""A request's settings from its file, its folders' defaults and the program. Reads files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from runner.errors import Problem, RefusedError
from runner.requests.building.request import draft_from
from runner.requests.catalog.defaults import NAMES
from runner.requests.file_settings import RETENTION
from runner.requests.files.bounded_read import Trouble, read_bounded
from runner.requests.findings import DataPath, Spot, path_text, value_at
from runner.requests.model import ProcessRequest
from runner.requests.schema.lookup import below, owners_of
from runner.requests.schema.shipped import keys_excluded_by, schema_of
from runner.requests.settings import NAME as SETTINGS
from runner.requests.yaml.document import Document, documents_in
from runner.system.regular_files import is_file
from runner.values import duration_text

_MEMBERS = ("group", "members")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value of a request and its source.

    `file` is None for a default of the program.
    """

    path: str
    value: object
    file: str | None = None
    line: int | None = None

    @property
    def origin(self) -> str:
        """The source of the value in words."""
        return "default" if self.file is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    display: str
    document: Document


def settings_of(
    request: ProcessRequest, folder: Path, *, display: Callable[[str], str], zone: str
) -> list[Setting]:
    """Return all settings of a request, section by section.

    `display` turns a relative path into the one that messages show. `zone` is the zone
    of times without an offset. Raises RefusedError if the files changed since the
    request was read.
    """
    data = dict(draft_from(request.source.definition).data)
    own = _own(request, folder, display)
    layers = list(_layers(request.source.file, folder, display))
    stated = [_sourced(path, value, own, layers) for path, value in _leaves(data, ())]
    assumed = [
        Setting(path=path_text(path), value=value) for path, value in _assumed(data, request, zone)
    ]
    stated += _of_settings_file(data, folder, display)
    sections = list(schema_of("process-request")["properties"])
    absolute = {
        "process.directory": request.process.directory,
        "process.environment_file": list(request.process.environment_files),
    }
    settings = [
        Setting(
            path=each.path,
            value=absolute.get(each.path, each.value),
            file=each.file,
            line=each.line,
        )
        for each in (*stated, *assumed)
    ]
    return sorted(settings, key=lambda setting: sections.index(setting.path.partition(".")[0]))


def place_of(
    path: DataPath, request: ProcessRequest, folder: Path, *, display: Callable[[str], str]
) -> tuple[str, Spot]:
    """Return the file that sets a value of a request, and where.

    `display` is that of `settings_of`. Raises RefusedError if the files changed since the
    request was read.
    """
    own = _own(request, folder, display)
    layer, at = _setting_layer(path, own, _layers(request.source.file, folder, display))
    return layer.display, layer.document.spot(at)


def _own(request: ProcessRequest, folder: Path, display: Callable[[str], str]) -> _Layer:
    """Return the request's own document. Raises RefusedError if it moved or is gone."""
    source = request.source
    for document in _documents(folder / source.file, display(source.file)):
        if document.line == source.line:
            return _Layer(display=display(source.file), document=document)
    raise RefusedError(f"{display(source.file)} no longer defines {request.name}")


def _layers(file: str, folder: Path, display: Callable[[str], str]) -> Iterator[_Layer]:
    """Yield the defaults files that apply to a file, the nearest first."""
    for level in PurePosixPath(file).parents:
        for relative in (level / name for name in NAMES if is_file(folder / level / name)):
            for document in _documents(folder / relative, display(str(relative)))[:1]:
                yield _Layer(display=display(str(relative)), document=document)


def _documents(path: Path, display: str) -> tuple[Document, ...]:
    content = read_bounded(str(path))
    documents = () if isinstance(content, Trouble) else documents_in(content[0], display)
    return () if isinstance(documents, Problem) else documents


def _leaves(data: object, path: DataPath) -> Iterator[tuple[DataPath, object]]:
    """Yield each value that contains no further settings.

    A list counts as a value unless all of its entries are mappings.
    """
    parts: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict):
        parts = data.items()
    elif isinstance(data, list) and all(isinstance(each, dict) for each in data):
        parts = enumerate(data)
    if not parts or not data:
        yield path, data
        return
    for key, value in parts:
        yield from _leaves(value, (*path, key))


def _sourced(path: DataPath, value: object, own: _Layer, layers: Iterable[_Layer]) -> Setting:
    """Return a value with the nearest file and line that set it."""
    layer, at = _setting_layer(path, own, layers)
    line = layer.document.spot(at).line
    return Setting(path=path_text(path), value=value, file=layer.display, line=line)


def _setting_layer(
    path: DataPath, own: _Layer, layers: Iterable[_Layer]
) -> tuple[_Layer, DataPath]:
    """Return the nearest file that sets a value, and the path of the value in it."""
    for layer, at in ((own, path), *((layer, _shared(path)) for layer in layers)):
        if value_at(layer.document.data, at) is not None or not at:
            return layer, at
    return own, ()


def _of_settings_file(
    data: Mapping[str, Any], folder: Path, display: Callable[[str], str]
) -> Iterator[Setting]:
    """Yield the retention that neither the request nor its defaults set."""
    path = Path(display(".")).parent / SETTINGS
    document = next(iter(_documents(folder.absolute().parent / SETTINGS, str(path))), None)
    for key in below(schema_of("runner"), "retention")["properties"]:
        at: DataPath = ("retention", key)
        if value_at(data, at) is not None:
            continue
        if document is not None and (value := value_at(document.data, at)) is not None:
            line = document.spot(at).line
            yield Setting(path=path_text(at), value=value, file=str(path), line=line)
        elif (default := getattr(RETENTION, key)) is not None:
            yield Setting(path=path_text(at), value=duration_text(default))


def _shared(path: DataPath) -> DataPath:
    """Return the path at which a defaults file sets the value at `path`."""
    if path[:1] == ("timing",):
        return ("timing", *path[2:])
    while path[1:3] == _MEMBERS:
        path = ("process", *path[4:])
    return path


def _assumed(
    data: Mapping[str, Any], request: ProcessRequest, zone: str
) -> Iterator[tuple[DataPath, object]]:
    """Yield the program's defaults for the settings that no file sets."""
    schema, process = schema_of("process-request"), data["process"]
    found = {
        ("name",): request.name,
        ("process", "name"): request.process.name,
        ("process", "directory"): request.process.directory,
        ("scheduled",): below(schema, "scheduled")["default"],
        **{
            ("process", *path): value
            for path, value in _of_schema(below(schema, "process"), process)
        },
    }
    timing = data["timing"] if isinstance(data.get("timing"), dict) else {}
    for kind in timing:
        if kind != "run_immediately":
            at = ("timing", kind)
            found[*at, "timezone"] = zone
            of_kind = below(below(schema, "timing"), kind)
            found |= {(*at, *path): value for path, value in _of_schema(of_kind, timing[kind])}
            if timing[kind].get("frequency") not in owners_of(schema, "interval"):
                found.pop((*at, "interval"), None)
    if not request.process.prevent_concurrent:
        found.pop(("process", "on_overlap"), None)
    barred = [key for key in ("request", "group") if key in process]
    for path, value in found.items():
        is_barred = path[0] == "process" and any(path[1] in keys_excluded_by(key) for key in barred)
        if not is_barred and value_at(data, path) is None:
            yield path, value


def _of_schema(
    schema: Mapping[str, Any], data: Mapping[str, Any]
) -> Iterator[tuple[DataPath, object]]:
    """Yield the schema's defaults for a mapping and for the mappings in it."""
    for key in schema.get("properties", {}):
        demand = below(schema, key)
        if isinstance(data.get(key), dict):
            yield from (((key, *path), value) for path, value in _of_schema(demand, data[key]))
        elif "default" in demand:
            yield (key,), demand["default"]
