"""The formats by name: readers and writers of this package and of any other that is installed."""

import inspect
from functools import partial
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Callable, Dict, List

import catalogue

from .errors import Errors

if TYPE_CHECKING:
    from .writing import RecordWriter

# Entry points in the groups "spacy_spert_readers" and "spacy_spert_writers".
readers = catalogue.create("spacy_spert", "readers", entry_points=True)
writers = catalogue.create("spacy_spert", "writers", entry_points=True)
# The writers among them that write one record for each document (RecordWriter), in "spacy_spert_records".
records = catalogue.create("spacy_spert", "records", entry_points=True)
# What readers and writers take apart from their options.
ARGUMENTS = ("path", "docs", "nlp", "losses")


def format_names(registry: catalogue.Registry) -> List[str]:
    """List the formats without importing their modules.

    registry (catalogue.Registry): `readers` or `writers`.
    RETURNS (List[str]): The names, sorted.
    """
    installed = {entry.name for entry in entry_points(group=registry.entry_point_namespace)}
    in_code = {path[-1] for path in catalogue.REGISTRY if path[:-1] == tuple(registry.namespace)}
    return sorted(installed | in_code)


def options_of(function: Callable[..., Any]) -> List[str]:
    """RETURNS (List[str]): The names of the options of a reader or a writer."""
    return [name for name in inspect.signature(function).parameters if name not in ARGUMENTS]


def load(registry: catalogue.Registry, name: str, **options: Any) -> Callable[..., Any]:
    """Look up a reader or a writer.

    registry (catalogue.Registry): `readers` or `writers`.
    name (str): The name of the format.
    options (Any): Options of the format, by name.
    RETURNS (Callable): The function, with the options filled in.
    RAISES (ValueError): If there is no such format, or it does not know an option.
    """
    names = format_names(registry)
    if name not in names:
        raise ValueError(Errors.F026.format(value=name, formats=", ".join(names)))
    function: Callable[..., Any] = registry.get(name)
    own = options_of(function)
    for option in options:
        if option not in own:
            known: Dict[str, List[str]] = {other: options_of(registry.get(other)) for other in names}
            formats = [other for other in names if option in known[other]]
            raise ValueError(
                Errors.F028.format(
                    option=option.replace("_", "-"),
                    name=name,
                    own=", ".join(own).replace("_", "-") or "none",
                    formats=", ".join(formats) or "none",
                )
            )
    return partial(function, **options) if options else function


def load_records(name: str, **options: Any) -> "RecordWriter":
    """Look up what writes the records of a format one by one.

    name (str): The name of the format.
    options (Any): Options of the format, by name.
    RETURNS (RecordWriter): The writer, with the options filled in.
    RAISES (ValueError): If there is no such format, it has no records, or it does not know an option or its unit.
    """
    names = format_names(records)
    if name not in names:
        raise ValueError(Errors.F026.format(value=name, formats=", ".join(names)))
    from .offsets import check_unit

    # Knows the options.
    load(writers, name, **options)
    check_unit(options.get("offsets"))
    writer: RecordWriter = records.get(name)
    return writer._replace(to_record=partial(writer.to_record, **options)) if options else writer
