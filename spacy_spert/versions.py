"""What reads what: the formats of saved components, the versions that a pipeline needs, and names that were retired."""

import re
import warnings
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, TypeVar

from spacy.language import Language

from . import __version__
from .errors import Errors, Warnings

FunctionT = TypeVar("FunctionT", bound=Callable)

NAME = "spacy-spert"
# The formats that are read, and the version that each of them came with. What earlier versions can't read is a new one:
# a new setting, as the config of a saved pipeline says all of them, and other weights. A format stays until the end of
# the next major version.
FORMATS = {1: "0.1.0"}
FORMAT = max(FORMATS)

# In the saved `cfg`.
VERSION_KEY, FORMAT_KEY = "version", "format"
# As `requirement` writes it. What people wrote otherwise is theirs.
OURS = re.compile(rf"^{NAME}(\[\w+\])?(>=(\d+(?:\.\d+)*),<\d+)$")


def requirement(extra: str = "") -> str:
    """The versions that read what this one saves, for the requirements of a pipeline's package.

    extra (str): What it needs besides, in brackets.
    RETURNS (str): The requirement.
    """
    major = int(__version__.split(".")[0])
    return f"{NAME}{extra}>={FORMATS[FORMAT]},<{major + 2}"


def add_requirement(nlp: Language) -> None:
    """Note in the meta of a pipeline which versions read it. `spacy package` would write the minor version alone.

    nlp (Language): The pipeline.
    """
    # A list of its own, as metas share theirs.
    lines: List[str] = [OURS.sub(lambda found: requirement(found[1] or ""), line) for line in _requirements(nlp)]
    nlp.meta["requirements"] = lines if any(line.startswith(NAME) for line in lines) else [*lines, requirement()]


def check_requirement(nlp: Language) -> None:
    """Make sure that this version reads a pipeline, before anything of it is made.

    nlp (Language): The pipeline, with its meta.
    RAISES (ImportError): If it was saved in a format that is not known yet, or not any more.
    """
    for line in _requirements(nlp):
        found = OURS.fullmatch(line)
        if found and found[3] not in FORMATS.values():
            raise ImportError(Errors.S206.format(needed=found[2], version=__version__))


def _requirements(nlp: Language) -> List[str]:
    return nlp.meta.get("requirements") or []


class _Readable:
    """Checked with the settings of a component, and before it is said that one of them is not known."""

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Language], Language]]:
        def validate(nlp: Language) -> Language:
            # An ImportError gets through. Others are collected, together with those of the settings.
            check_requirement(nlp)
            return nlp

        yield validate


if TYPE_CHECKING:
    ReadablePipeline = Language
else:
    ReadablePipeline = _Readable


def check_format(cfg: Dict[str, Any], known: List[str], name: str) -> Optional[str]:
    """Make sure that this version reads a saved component, and take out of its `cfg` what says so.

    cfg (Dict[str, Any]): The `cfg` as it was saved; version and format are removed. Without them it is of format 1.
    known (List[str]): What there can be in it besides.
    name (str): Name of the component, for messages.
    RETURNS (Optional[str]): The version that saved it; None if it does not say.
    RAISES (ValueError): If the format is not known yet or not any more, or if there is a setting that is not.
    """
    saved, number = cfg.pop(VERSION_KEY, None), cfg.pop(FORMAT_KEY, 1)
    if number not in FORMATS:
        formats = ", ".join(map(str, FORMATS))
        text = Errors.S203.format(name=name, saved=saved, format=number, version=__version__, formats=formats)
        raise ValueError(text)
    unknown = sorted(set(cfg) - set(known))
    if unknown:
        text = Errors.S204.format(name=name, saved=saved or "?", setting=unknown[0], version=__version__)
        raise ValueError(text)
    return saved


def retired(function: FunctionT, old: str, new: str, version: str) -> FunctionT:
    """Keep the old name of something that is registered: the function for its entry point.

    function (Callable): What has the new name.
    old (str): The old name.
    new (str): The new name.
    version (str): The version that renamed it.
    RETURNS (Callable): The same, with a warning.
    """

    @wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        warn_of(old, new, version)
        return function(*args, **kwargs)

    return renamed  # type: ignore[return-value]


def warn_of(old: str, new: str, version: str) -> None:
    """Say that an old name was used.

    old (str): The old name.
    new (str): The new name.
    version (str): The version that renamed it.
    """
    # The line that uses it calls the function that calls this one.
    warnings.warn(Warnings.W036.format(old=old, new=new, version=version), FutureWarning, stacklevel=3)
