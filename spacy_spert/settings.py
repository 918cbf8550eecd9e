"""The settings of the component: what they may be, and how `cfg` and the pipeline's config stay one."""

import weakref
from math import isclose
from pathlib import Path
from typing import Any, Callable, Dict, List, Literal, NamedTuple, Optional, Tuple

import numpy
from spacy.language import Language
from spacy.util import load_config
from thinc.api import Model

from .decoding import LEARN
from .errors import Errors

TaskT = Literal["joint", "entities", "relations"]
SamplingT = Literal["strong", "weak"]

# In the saved `cfg`: what the config said.
CONFIG_KEY = "config"

# What a config says of each setting, the latest last. Several where it is not known which of them: the config of a
# pipeline that took the component as its source says what that of the source said before.
SaidT = Dict[str, List[Any]]
ListenerT = Callable[[str, Any], None]


class Check(NamedTuple):
    """What a setting may be.

    holds (Callable[[Any], bool]): Whether a value is allowed.
    expected (str): What is allowed, for messages.
    """

    holds: Callable[[Any], bool]
    expected: str


def _one_of(*options: str) -> Check:
    names = [repr(option) for option in options]
    return Check(lambda value: value in options, f"{', '.join(names[:-1])} or {names[-1]}")


def _name(optional: bool = False) -> Check:
    def holds(value: Any) -> bool:
        return (optional and value is None) or (isinstance(value, str) and value != "")

    return Check(holds, "the name of a span group" + (", or null" if optional else ""))


def _whole(least: int, note: str = "") -> Check:
    def holds(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return Check(holds, f"a whole number of at least {least}{note}")


def _number(least: float, most: Optional[float] = None, note: str = "", optional: bool = False) -> Check:
    def holds(value: Any) -> bool:
        if optional and value is None:
            return True
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return is_number and least <= value and (most is None or value <= most)

    limits = f"between {least:g} and {most:g}" if most is not None else f"of at least {least:g}"
    return Check(holds, f"a number {limits}{note}" + (", or null" if optional else ""))


def _scope() -> Check:
    def holds(value: Any) -> bool:
        is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        return is_number or value in ("sentence", "document")

    return Check(holds, "'sentence', a number of sentences of at least 1, or 'document'")


def _labels() -> Check:
    def holds(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and all(isinstance(label, str) for label in value)

    return Check(holds, "a list of labels")


def _is_row(value: Any, *kinds: Any) -> bool:
    if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
        return False
    return all(isinstance(part, kind) and not isinstance(part, bool) for part, kind in zip(value, kinds))


def _thresholds() -> Check:
    def holds(value: Any) -> bool:
        return isinstance(value, (list, tuple)) and all(
            _is_row(row, str, (int, float)) and 0 <= row[1] <= 1 for row in value
        )

    return Check(holds, "rows of [label, threshold], with thresholds between 0 and 1")


def _types() -> Check:
    def holds(value: Any) -> bool:
        is_list = isinstance(value, (list, tuple)) and all(_is_row(row, str, str, str) for row in value)
        return is_list or value is None or value == LEARN

    return Check(holds, f"rows of [relation, head label, tail label], '{LEARN}', or null")


def _calibration() -> Check:
    def holds(value: Any) -> bool:
        if value is None:
            return True
        if not isinstance(value, dict) or set(value) - {"entities", "relations"}:
            return False
        rows = value.get("relations", [])
        temperature = value.get("entities", 1.0)
        return (
            isinstance(temperature, (int, float))
            and temperature > 0
            and isinstance(rows, (list, tuple))
            and all(_is_row(row, str, (int, float), (int, float)) for row in rows)
        )

    return Check(holds, "null, or a temperature 'entities' and rows of [label, slope, offset] 'relations'")


NO_LIMIT = " (0 for no limit)"

DEFAULTS: Dict[str, Any] = {
    "spans_key": "spert",
    "task": "joint",
    "entities_key": None,
    "max_span_width": 10,
    "pairing_threshold": None,
    "relation_threshold": 0.4,
    "relation_thresholds": [],
    "entity_thresholds": [],
    "relation_types": None,
    "relation_types_share": 0.01,
    "calibration": None,
    "symmetric_labels": [],
    "negative_spans": 100,
    "negative_relations": 100,
    "negative_sampling": "strong",
    "near_misses": 0,
    "near_miss_none": 0.9,
    "boundary_smoothing": 0.0,
    "consistency": 0.0,
    "relation_scope": "sentence",
    "max_relation_distance": 128,
    "entities_per_token": 1.0,
    "relations_per_token": 2.0,
    "overwrite_ents": True,
}

CHECKS: Dict[str, Check] = {
    "spans_key": _name(),
    "task": _one_of("joint", "entities", "relations"),
    "entities_key": _name(optional=True),
    "max_span_width": _whole(1),
    "pairing_threshold": _number(0, 1, optional=True),
    "relation_threshold": _number(0, 1),
    "relation_thresholds": _thresholds(),
    "entity_thresholds": _thresholds(),
    "relation_types": _types(),
    "relation_types_share": _number(0, 1),
    "calibration": _calibration(),
    "symmetric_labels": _labels(),
    "negative_spans": _whole(0),
    "negative_relations": _whole(0),
    "negative_sampling": _one_of("strong", "weak"),
    "near_misses": _whole(0),
    "near_miss_none": _number(0, 1),
    "boundary_smoothing": _number(0, 1),
    "consistency": _number(0),
    "relation_scope": _scope(),
    "max_relation_distance": _whole(0, NO_LIMIT),
    "entities_per_token": _number(0, note=NO_LIMIT),
    "relations_per_token": _number(0, note=NO_LIMIT),
    "overwrite_ents": Check(lambda value: isinstance(value, bool), "true or false"),
}


def check_settings(settings: Dict[str, Any], name: str) -> None:
    """Make sure that all settings are of the right kind and in range.

    settings (Dict[str, Any]): The settings; what is not in CHECKS is passed over.
    name (str): Name of the component, for messages.
    RAISES (ValueError): If one is not.
    """
    for setting, (holds, expected) in CHECKS.items():
        if setting in settings and not holds(settings[setting]):
            value = repr(settings[setting])
            raise ValueError(Errors.S031.format(setting=setting, name=name, expected=expected, value=value))


class Settings(Dict[str, Any]):
    """The `cfg` of a component: a dict that tells its component of each change.

    values (Dict[str, Any]): The settings.
    on_change (Optional[ListenerT]): Called with name and value after each change.
    """

    on_change: Optional[ListenerT] = None

    def __init__(self, values: Dict[str, Any], on_change: Optional[ListenerT] = None):
        super().__init__()
        # Through __setitem__, so that all values are plain.
        self.update(values)
        self.on_change = on_change

    def __setitem__(self, name: str, value: Any) -> None:
        # `spacy find-threshold` assigns numbers of numpy, which JSON has not.
        value = value.item() if isinstance(value, numpy.generic) else value
        super().__setitem__(name, value)
        if self.on_change is not None:
            self.on_change(name, value)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Change several settings, as dict.update does."""
        for name, value in dict(*args, **kwargs).items():
            self[name] = value

    def __ior__(self, other: Any) -> "Settings":  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Any:
        """Change a setting that is missing, as dict.setdefault does."""
        if name not in self:
            self[name] = default
        return self[name]

    def __copy__(self) -> "Settings":
        # A copy changes no component.
        return Settings(self)

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Settings":
        return Settings({name: plain(value) for name, value in self.items()})


def plain(value: Any) -> Any:
    """RETURNS (Any): A setting as JSON has it: lists and dicts are new, and no tuples."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def same(one: Any, other: Any) -> bool:
    """RETURNS (bool): Whether two values of a setting are the same. Configs are read without a number's last digit."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return isclose(one, other, rel_tol=1e-12)
    return plain(one) == plain(other)


def edits(settings: Dict[str, Any], said: SaidT, saved: SaidT) -> Dict[str, Any]:
    """What was changed in a pipeline's config since the component was saved.

    settings (Dict[str, Any]): The settings as they were saved.
    said (SaidT): What the config says now.
    saved (SaidT): What it said when the component was saved. A setting that is missing was not known then.
    RETURNS (Dict[str, Any]): The settings that have another value now, and not that of `settings` anyway.
    """
    now = {name: values[-1] for name, values in said.items() if name in saved}
    changed = {name: value for name, value in now.items() if not any(same(value, each) for each in saved[name])}
    return {name: value for name, value in changed.items() if not same(value, settings[name])}


def said_beside(path: Path) -> SaidT:
    """What the config of a pipeline says that is being saved together with its components.

    path (Path): Where the component is to be saved.
    RETURNS (SaidT): The settings in the config; none if the component is saved alone.
    """
    # spaCy writes the config first.
    config = path.parent / "config.cfg"
    if not config.is_file():
        return {}
    components = load_config(config, interpolate=True).get("components", {})
    return {name: [value] for name, value in components.get(path.name, {}).items() if name in CHECKS}


class Owner:
    """The pipeline whose config has a block for a component, if it is known.

    nlp (Optional[Language]): The pipeline. It is not kept alive, and what is copied or pickled belongs to none.
    """

    def __init__(self, nlp: Optional[Language] = None):
        self._nlp = None if nlp is None else weakref.ref(nlp)

    def __reduce__(self) -> Tuple[Any, ...]:
        return Owner, ()

    @property
    def nlp(self) -> Optional[Language]:
        """RETURNS (Optional[Language]): The pipeline, if there still is one."""
        return None if self._nlp is None else self._nlp()

    def is_of(self, nlp: Language) -> bool:
        """RETURNS (bool): Whether this is the pipeline."""
        return self.nlp is nlp

    def models(self) -> List[Model]:
        """RETURNS (List[Model]): The models of all components of the pipeline, if it is known."""
        components = [] if self.nlp is None else self.nlp.components
        models = [getattr(pipe, "model", None) for _, pipe in components]
        return [model for model in models if isinstance(model, Model)]

    def block(self, pipe: Any) -> Optional[Dict[str, Any]]:
        """The component's block.

        pipe (Pipe): The component.
        RETURNS (Optional[Dict[str, Any]]): Its part of the config; None if it is in no pipeline that is known.
        """
        nlp = self.nlp
        if nlp is None:
            return None
        return next((nlp.get_pipe_config(name) for name, other in nlp.components if other is pipe), None)
