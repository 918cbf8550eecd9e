"""Callbacks for the config."""

from typing import Callable, List, Optional

from spacy.language import Language
from spacy.util import resolve_dot_names

from .errors import Errors
from .pipeline import Spert


def make_add_labels(components: Optional[List[str]] = None) -> Callable[[Language], None]:
    """Create a callback for `[initialize.before_init]`: it adds the labels of the training corpus to trained
    components, and shows what the corpus holds. Register name: "spacy-spert.add_labels.v1".

    A component that a training takes over with `source` is not initialized, and would meet new labels unprepared.

    components (Optional[List[str]]): Names of the components; by default all of this kind that are trained and
        not frozen.
    RETURNS (Callable[[Language], None]): The callback.
    """

    def add_labels(nlp: Language) -> None:
        pipes = {name: pipe for name, pipe in nlp.components if isinstance(pipe, Spert)}
        for name in components or ():
            if name not in pipes:
                raise ValueError(Errors.S036.format(name=name, names=nlp.component_names))
        config = nlp.config.interpolate()
        training = config["training"]
        (corpus,) = resolve_dot_names(config, [training["train_corpus"]])
        for name, pipe in pipes.items():
            if components is None:
                # Others are initialized with all labels right after this, or are not trained on.
                chosen = pipe.model.has_ref("head") and name not in training["frozen_components"]
            else:
                chosen = name in components
            if chosen:
                pipe.add_labels(lambda: corpus(nlp), nlp)

    return add_labels
