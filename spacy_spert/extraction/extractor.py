"""From records to records: plain values in, entities and relations as plain values out.

What reads and writes them lies around it: lines of files (`codec`, `workers`), the service, a cluster.
"""

from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch
from spacy.vocab import Vocab

from ..components import find_component
from ..devices import load_pipeline
from ..errors import Errors
from ..formats import Losses
from ..formats.gold import Gold
from ..formats.jsonl import add_annotations, given_meta, make_doc, to_json
from ..formats.values import check_meta, expect
from ..relations import have_moved

# Texts at a time.
BATCH_SIZE = 64
# After this many tokens the tables of the vocabulary are made anew: at 16 bytes a place a few MB.
MAX_TOKENS = 2**18
# What a record is called by, and what belongs to it: kept as they are.
KEPT = ("id", "meta")


class Extractor:
    """Finds entities and relations in records.

    A record is what a line of our JSON lines holds: `text` or `tokens`, and if they are known `token_offsets`,
    `sent_starts`, `id` and `meta`. A batch of records is processed within a memory zone of spaCy, which forgets the
    words of the texts afterwards, so that the process does not grow with their number. Not to be used within a memory
    zone, and by one thread at a time, as any pipeline.
    """

    def __init__(
        self,
        nlp: Language,
        *,
        component: Optional[str] = None,
        batch_size: int = BATCH_SIZE,
        given_sentences: bool = False,
        to_record: Optional[Callable[[Doc], Any]] = None,
    ) -> None:
        """Take a pipeline.

        nlp (Language): The pipeline.
        component (Optional[str]): The name of the component, needed only if there are several.
        batch_size (int): How many records are processed at a time.
        given_sentences (bool): Use the `sent_starts` of a record. By default the pipeline's own marks count.
        to_record (Optional[Callable[[Doc], Any]]): Makes what comes out of a processed document, in another form than
            ours. It runs within the memory zone, so it must return plain values.
        RAISES (ValueError): If the component is not there, or there are several and none is named.
        """
        self.nlp = nlp
        self.name, self.component = find_component(nlp, component)
        self.batch_size = batch_size
        self.given_sentences = given_sentences
        self.to_record = to_record
        self._n_tokens = 0

    def records(self, records: Iterable[Any]) -> Iterator[Any]:
        """Extract what the texts of some records say, one batch after the other.

        records (Iterable[Any]): The records.
        YIELDS (Any): For each of them, in their order, its `id`, `text` or `tokens`, `entities`, `relations` and
            `meta`; or, if it can't be used, the `error`, its `id` and `meta`. There are no `relations` if the
            component does not look for them.
        """
        for batch in minibatch(records, self.batch_size):
            yield from self.batch(batch)

    def batch(self, records: Sequence[Any]) -> List[Any]:
        """Extract what the texts of some records say, all at a time.

        records (Sequence[Any]): The records.
        RETURNS (List[Any]): What `records` yields for them.
        """
        with self.nlp.memory_zone():
            found = self._extract(records)
        if self._n_tokens >= MAX_TOKENS:
            self._n_tokens = 0
            _renew(self.nlp.vocab)
        return found

    def _extract(self, records: Sequence[Any]) -> List[Any]:
        """Extract within a memory zone. What belongs to the zone does not leave this method, nor do errors."""
        found: List[Any] = [None] * len(records)
        read: List[Tuple[int, Doc]] = []
        for i, record in enumerate(records):
            try:
                read.append((i, self._make_doc(expect(record, dict, "the record"))))
            except Exception as err:  # tokenizers of all kinds among them
                found[i] = _refused(record, err)
        try:
            docs = list(self.nlp.pipe([doc for _, doc in read], batch_size=max(1, len(read))))
            if len(docs) != len(read):
                raise ValueError(Errors.S068.format(names=self.nlp.pipe_names, got=len(docs), n=len(read)))
            for (i, _), doc in zip(read, docs):
                found[i] = self._found(records[i], doc)
        except Exception as err:
            # Whatever a component meets in a text. That doesn't say in which, so try them one by one.
            if len(records) == 1:
                return [_refused(records[0], err)]
            return [each for record in records for each in self._extract([record])]
        self._n_tokens += sum(len(doc) for doc in docs)
        return found

    def _make_doc(self, record: Dict[str, Any]) -> Doc:
        length = len(record["text"]) if isinstance(record.get("text"), str) else 0
        if length > self.nlp.max_length:
            raise ValueError(SpacyErrors.E088.format(length=length, max_length=self.nlp.max_length))
        meta = given_meta(record)
        check_meta(meta or {})
        doc = make_doc(self.nlp, record if self.given_sentences else {**record, "sent_starts": None})
        if meta is not None:
            doc.user_data["meta"] = meta
        cfg = self.component.cfg
        if cfg["task"] == "relations" and record.get("entities"):
            # Entities to relate. For the other tasks they are predicted, whatever the record says.
            gold = Gold(doc, Losses(strict=True), "the record", exact=True, meta=meta)
            add_annotations(gold, {"entities": record["entities"]}, "label", "text" in record)
            gold.finish()
            if cfg["entities_key"] is not None:
                doc.spans[cfg["entities_key"]] = gold.spans
        return doc

    def _found(self, record: Dict[str, Any], doc: Doc) -> Any:
        spans_key = self.component.cfg["spans_key"]
        if have_moved(doc, doc.spans[spans_key]):
            later = self.nlp.pipe_names[self.nlp.pipe_names.index(self.name) + 1 :]
            changing = [name for name in later if self.nlp.get_pipe_meta(name).retokenizes]
            raise ValueError(Errors.S080.format(name=self.name, pipes=changing or later))
        return _to_record(record, doc, spans_key) if self.to_record is None else self.to_record(doc)


def load_extractor(model: str, *, threshold: Optional[float] = None, **settings: Any) -> Extractor:
    """Load a pipeline.

    model (str): Its name or path.
    threshold (Optional[float]): Lowest probability of a relation; by default that of the pipeline.
    **settings (Any): Those of `Extractor`.
    RETURNS (Extractor): What extracts with it.
    RAISES (ValueError): If it has no such component, or the threshold is out of range.
    """
    extractor = Extractor(load_pipeline(model), **settings)
    if threshold is not None:
        extractor.component.cfg["relation_threshold"] = threshold
        extractor.component.check_settings()
    return extractor


def _to_record(record: Dict[str, Any], doc: Doc, spans_key: str) -> Dict[str, Any]:
    """Entities and relations in our own form."""
    found = to_json(doc, spans_key, "text" in record)
    found.pop("meta", None)
    return {
        **{name: record[name] for name in ("id",) if name in record},
        **found,
        **{name: record[name] for name in ("meta",) if name in record},
    }


def _refused(record: Any, err: Exception) -> Dict[str, Any]:
    # Errors that are no ValueError come from components, and are often no sentences.
    text = str(err) if isinstance(err, ValueError) else f"{type(err).__name__}: {err}"
    kept = {name: record[name] for name in KEPT if name in record} if isinstance(record, dict) else {}
    return {"error": text, **kept}


def _renew(vocab: Vocab) -> None:
    """Make the tables of the vocabulary small again. A memory zone frees the words, but not their places in there.

    spaCy has no other way to this than loading a vocabulary.
    """
    getters = dict(vocab.lex_attr_getters)  # type: ignore[attr-defined]
    others = ["vectors", "lookups"]
    vocab.from_bytes(vocab.to_bytes(exclude=others), exclude=others)
    # from_bytes wraps the one for norms each time.
    vocab.lex_attr_getters.update(getters)  # type: ignore[attr-defined]
