"""A component's settings and how it is saved and loaded: `cfg`, the pipeline's config and the weights stay one."""

import json
from pathlib import Path
from textwrap import shorten
from typing import Any, Dict, Iterable, Optional, TypeVar, Union

import srsly
from spacy import util
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.vocab import Vocab
from thinc.api import Model

from . import __version__
from .errors import Errors
from .settings import CONFIG_KEY, DEFAULTS, Owner, SaidT, Settings, check_settings, edits, plain, said_beside, same
from .versions import FORMAT, FORMAT_KEY, VERSION_KEY, add_requirement, check_format

# In `cfg` beside the settings.
LEARNED: Dict[str, Any] = {"entity_labels": [], "relation_labels": [], "learned_types": None, "width": None}

PipeT = TypeVar("PipeT", bound="SavedPipe")


class SavedPipe(TrainablePipe):
    """What the component is but for its work: a model, and settings that are checked, saved and loaded.

    vocab (Vocab): The vocabulary.
    model (Model): The model, see `spacy-spert.Spert.v1`.
    name (str): Name of the component.
    settings (Any): The settings of the factory, which are kept in `cfg`; those left out have their defaults.
    RAISES (ValueError): If a setting is unknown or out of range.
    """

    def __init__(self, vocab: Vocab, model: Model, name: str, **settings: Any):
        self.vocab = vocab
        self.model = model
        self._owner = Owner()
        self._said: SaidT = {}
        self._is_new = True
        self._saved_by: Optional[str] = None
        self.name = name
        unknown = sorted(set(settings) - set(DEFAULTS))
        if unknown:
            raise ValueError(Errors.S037.format(setting=unknown[0], name=name, known=", ".join(DEFAULTS)))
        values = {setting: plain(value) for setting, value in {**DEFAULTS, **settings}.items()}
        self.cfg = {**values, **{name: plain(value) for name, value in LEARNED.items()}}
        self.check_settings()

    @property
    def cfg(self) -> Settings:
        """RETURNS (Settings): The settings, the labels, and the width of the embeddings."""
        return TrainablePipe.cfg.__get__(self)

    @cfg.setter
    def cfg(self, cfg: Dict[str, Any]) -> None:
        TrainablePipe.cfg.__set__(self, Settings(cfg, self._keep_in_step))
        for name, value in self.cfg.items():
            self._keep_in_step(name, value)

    def make_head(self) -> None:
        """Make the model's head, with fresh weights, once the labels and the encoder's width (in `cfg`) are set."""
        for name, size in self._sizes(self.cfg).items():
            self.model.set_dim(name, size, force=True)
        init = self.model.init
        if init is not None:
            # Not model.initialize: the encoder is initialized, or loaded, on its own.
            init(self.model, None, None)

    def attach(self, nlp: Language, said: Dict[str, Any]) -> None:
        """Keep the config of a pipeline in step with `cfg`.

        nlp (Language): The pipeline that the component is in, or will be.
        said (Dict[str, Any]): The settings in its config.
        """
        self._owner = Owner(nlp)
        self._said = {name: [plain(value)] for name, value in said.items()}

    def check_settings(self) -> None:
        """Make sure that `cfg` holds nothing that makes no sense.

        RAISES (ValueError): If a setting is of the wrong kind or out of range.
        """
        check_settings(self.cfg, self.name)

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Save the component to bytes.

        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (bytes): The component.
        """
        serialize = {
            "cfg": lambda: srsly.json_dumps(self._cfg_to_save()),
            "vocab": lambda: self.vocab.to_bytes(exclude=exclude),
            "model": lambda: self.model.to_bytes(),
        }
        return util.to_bytes(serialize, exclude)

    def to_disk(self, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> None:
        """Save the component to a directory.

        path (Union[str, Path]): The directory.
        exclude (Iterable[str]): Names of parts to leave out.
        """
        serialize = {
            "cfg": lambda p: srsly.write_json(p, self._cfg_to_save(said_beside(Path(path)))),
            "vocab": lambda p: self.vocab.to_disk(p, exclude=exclude),
            "model": lambda p: self.model.to_disk(p),
        }
        util.to_disk(path, serialize, exclude)

    def from_bytes(self: PipeT, bytes_data: bytes, *, exclude: Iterable[str] = ()) -> PipeT:
        """Load the component from bytes.

        bytes_data (bytes): What to_bytes returned.
        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (SavedPipe): The component.
        RAISES (ValueError): If the weights don't fit the labels and the width.
        """
        deserialize = {
            # Not srsly: it reads numbers without their last digit.
            "cfg": lambda b: self._load_cfg(json.loads(b), exclude),
            "vocab": lambda b: self.vocab.from_bytes(b, exclude=exclude),
            "model": lambda b: self._load_model(b),
        }
        util.from_bytes(bytes_data, deserialize, exclude)
        return self

    def from_disk(self: PipeT, path: Union[str, Path], *, exclude: Iterable[str] = ()) -> PipeT:
        """Load the component from a directory.

        path (Union[str, Path]): The directory.
        exclude (Iterable[str]): Names of parts to leave out.
        RETURNS (SavedPipe): The component.
        RAISES (ValueError): If the weights don't fit the labels and the width.
        """
        deserialize = {
            "cfg": lambda p: self._load_cfg(json.loads(Path(p).read_text("utf8")), exclude),
            "vocab": lambda p: self._load_vocab(p, exclude),
            "model": lambda p: self._load_model(Path(p).read_bytes()),
        }
        util.from_disk(path, deserialize, exclude)
        return self

    def _sizes(self, cfg: Dict[str, Any]) -> Dict[str, int]:
        """The dimensions of the model for these settings."""
        return {
            "nI": cfg["width"],
            "nE": len(cfg["entity_labels"]),
            "nR": len(cfg["relation_labels"]) if cfg["task"] != "entities" else 0,
            "nW": cfg["max_span_width"],
        }

    def _attach_again(self, nlp: Language) -> None:
        """Keep the config of a pipeline in step that took the component as its source, or is a copy."""
        if self._owner.is_of(nlp):
            return
        self._owner = Owner(nlp)
        block = self._owner.block(self)
        if block is not None:
            block.update({name: plain(self.cfg[name]) for name in self._said})
            self._said = {name: [plain(self.cfg[name])] for name in self._said}

    def _keep_in_step(self, name: str, value: Any) -> None:
        """Change the pipeline's config as `cfg` was changed."""
        if name in self._said and not same(value, self._said[name][-1]):
            block = self._owner.block(self)
            if block is not None:
                block[name] = plain(value)
                self._said[name].append(plain(value))

    def _cfg_to_save(self, beside: Optional[SaidT] = None) -> Dict[str, Any]:
        said = dict(beside or self._said)
        for name, values in self._said.items():
            if name in said and not any(same(said[name][-1], value) for value in values):
                # The config was edited itself. At load it differs from this record, so that the edit counts.
                said[name] = values
        return {VERSION_KEY: __version__, FORMAT_KEY: FORMAT, **self.cfg, CONFIG_KEY: said}

    def _load_cfg(self, cfg: Dict[str, Any], exclude: Iterable[str]) -> None:
        saved = cfg.pop(CONFIG_KEY, {})
        self._saved_by = check_format(cfg, [*DEFAULTS, *LEARNED], self.name)
        loaded = {**self.cfg, **cfg}
        # The config may have been edited where a whole pipeline is loaded, which reads its vocabulary itself, into
        # components that were made for this. A component that is loaded alone was made with any config.
        edited = edits(loaded, self._said, saved) if self._is_new and "vocab" in exclude else {}
        sizes = self._sizes(loaded)
        for name, value in edited.items():
            if loaded["width"] is not None and self._sizes({**loaded, name: value}) != sizes:
                text = Errors.S034.format(name=self.name, setting=name, value=repr(value), trained=repr(loaded[name]))
                raise ValueError(text)
        loaded.update(edited)
        check_settings(loaded, self.name)
        if self.model.has_ref("head") and any(self.model.maybe_get_dim(name) != n for name, n in sizes.items()):
            raise ValueError(self._misfit())
        self._is_new = False
        self.cfg = loaded
        if self._owner.nlp is not None:
            # Its meta is that of the saved pipeline now.
            add_requirement(self._owner.nlp)
        self._said = {name: values[-1:] for name, values in self._said.items()}
        if loaded["width"] is not None and not self.model.has_ref("head"):
            self.make_head()

    def _load_vocab(self, path: Path, exclude: Iterable[str]) -> None:
        self.vocab.from_disk(path, exclude=exclude)

    def _load_model(self, bytes_data: bytes) -> None:
        try:
            self.model.from_bytes(bytes_data)
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            raise ValueError(self._misfit(str(error))) from error

    def _misfit(self, reason: str = "") -> str:
        return Errors.S025.format(
            name=self.name,
            width=self.cfg["width"],
            entities=len(self.cfg["entity_labels"]),
            relations=len(self.cfg["relation_labels"]),
            max_width=self.cfg["max_span_width"],
            saved=self._saved_by or "?",
            version=__version__,
            reason=f" ({shorten(reason, 500)})" if reason else "",
        )
