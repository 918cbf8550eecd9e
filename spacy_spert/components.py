"""Finding the component in a pipeline, and changing its settings for a while."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Tuple

from spacy.language import Language

from .errors import Errors
from .pipeline import Spert


def find_component(nlp: Language, name: Optional[str] = None) -> Tuple[str, Spert]:
    """Find the pipeline's 'spert' component.

    nlp (Language): The pipeline.
    name (Optional[str]): Its name, needed only if there are several.
    RETURNS (Tuple[str, Spert]): Its name, and the component.
    RAISES (ValueError): If there is none, none of this name, or several and no name is given.
    """
    found = {each: pipe for each, pipe in nlp.pipeline if isinstance(pipe, Spert)}
    if not found:
        raise ValueError(Errors.S040.format(names=nlp.pipe_names))
    if name is None and len(found) > 1:
        raise ValueError(Errors.S042.format(names=list(found)))
    name = next(iter(found)) if name is None else name
    if name not in found:
        raise ValueError(Errors.S043.format(name=name, names=list(found)))
    return name, found[name]


@contextmanager
def changed(cfg: Dict[str, Any], **values: Any) -> Iterator[None]:
    """Change settings for a while, whatever happens meanwhile.

    cfg (Dict[str, Any]): The settings.
    values: What to change.
    """
    before = {name: cfg[name] for name in values}
    cfg.update(values)
    try:
        yield
    finally:
        cfg.update(before)
