"""A reader of training data that takes the sentence marks from the data."""

import logging
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Union

import numpy
from spacy.errors import Errors as SpacyErrors
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus, Example
from spacy.vocab import Vocab

from .alignment import TokenMap
from .errors import Warnings
from .relations import span_as_doc
from .sentences import sentence_bounds

logger = logging.getLogger("spacy.spert")


def make_corpus(
    path: Optional[Path],
    gold_preproc: bool = False,
    max_length: int = 0,
    limit: int = 0,
    augmenter: Optional[Callable] = None,
    in_memory: bool = False,
) -> Callable[[Language], Iterable[Example]]:
    """Create a reader like spaCy's "spacy.Corpus.v1" with the sentence marks of the data on the documents that the
    pipeline sees. Register name: "spacy-spert.Corpus.v1".

    path (Optional[Path]): A .spacy file, or a folder of them.
    gold_preproc (bool): Read each sentence as a document, with the tokens of the data.
    max_length (int): Read documents of so many tokens or more sentence by sentence; 0 for no limit.
    limit (int): Most documents to read; 0 for all.
    augmenter (Optional[Callable]): Changes the documents. Wrap one of spaCy's in "spacy-spert.keep_relations.v1".
    in_memory (bool): Keep what was read, which takes a millisecond or two for each document, for later epochs.
    RETURNS (Callable[[Language], Iterable[Example]]): The reader.
    RAISES (ValueError): If there is no path.
    """
    if path is None:
        raise ValueError(SpacyErrors.E913)
    settings = {"gold_preproc": gold_preproc, "max_length": max_length, "limit": limit, "augmenter": augmenter}
    return SentenceCorpus(path, **settings, in_memory=in_memory)


class SentenceCorpus(Corpus):
    """Reads .spacy files. Sentences are those of the data, and keep their relations when they become documents."""

    def __init__(self, path: Path, *, in_memory: bool = False, **settings: Any) -> None:
        """Make the reader.

        path (Path): A .spacy file, or a folder of them.
        in_memory (bool): Keep what was read.
        **settings (Any): Those of spaCy's reader.
        """
        super().__init__(path, **settings)
        self._in_memory = in_memory
        self._vocab: Optional[Vocab] = None
        self._docs: List[Doc] = []

    def __call__(self, nlp: Language) -> Iterator[Example]:
        """Read the data.

        nlp (Language): The pipeline.
        YIELDS (Example): The documents.
        """
        for example in super().__call__(nlp):
            give_sentences(example)
            yield example

    def read_docbin(self, vocab: Vocab, locs: Iterable[Union[str, Path]]) -> Iterator[Doc]:
        """Read the files, or give what was read from them before.

        vocab (Vocab): The vocabulary of the documents.
        locs (Iterable[Union[str, Path]]): The files.
        RETURNS (Iterator[Doc]): The documents.
        """
        if not self._in_memory:
            return super().read_docbin(vocab, locs)
        if vocab is not self._vocab:
            self._vocab, self._docs = vocab, list(super().read_docbin(vocab, locs))
        return iter(self._docs)

    def make_examples(self, nlp: Language, reference_docs: Iterable[Doc]) -> Iterator[Example]:
        """Pair annotated documents with documents that the pipeline has yet to annotate.

        nlp (Language): The pipeline.
        reference_docs (Iterable[Doc]): The annotated documents.
        YIELDS (Example): The documents, or their sentences.
        """
        n_left_out = 0
        for doc in reference_docs:
            for part in self._parts(doc):
                if self.max_length and len(part) >= self.max_length:
                    n_left_out += 1
                elif len(part):
                    yield self._make_example(nlp, part, self.gold_preproc)
        if n_left_out:
            logger.warning(Warnings.W012.format(n=n_left_out, path=self.path, max_length=self.max_length))

    make_examples_gold_preproc = make_examples

    def _parts(self, doc: Doc) -> List[Doc]:
        too_long = self.max_length and len(doc) >= self.max_length
        if (self.gold_preproc or too_long) and doc.has_annotation("SENT_START"):
            return [span_as_doc(sentence) for sentence in doc.sents]
        return [doc]


def give_sentences(example: Example) -> bool:
    """Mark the sentences of the reference on the predicted document.

    example (Example): The pair.
    RETURNS (bool): Whether the reference has any marks. If not, nothing is done.
    """
    reference, predicted = example.reference, example.predicted
    if not reference.has_annotation("SENT_START"):
        return False
    tokens = TokenMap(reference, predicted, example)
    touching = numpy.flatnonzero(tokens.first < tokens.after)
    # A sentence begins with its first token that the predicted document has as well; it may lack white space.
    begins = numpy.searchsorted(touching, sentence_bounds([reference])[:-1])
    starts = set(tokens.first[touching[begins[begins < len(touching)]]].tolist())
    for token in predicted:
        token.is_sent_start = token.i == 0 or token.i in starts
    return True
