"""A tiny random encoder of each family, with a tokenizer of the family's own class trained on the spot."""

from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import transformers as hf
from spacy.util import fix_random_seed
from tokenizers import (
    BertWordPieceTokenizer,
    ByteLevelBPETokenizer,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from util import TEXTS

MAX_LENGTH = 128
TRAINING_TEXTS = [
    *(text for text, _, _ in TEXTS),
    "Don't work for O'Neill & Sons (Bonn) - they're well-known: 1,500 partners!",
    "Hired near Graz, Ann's naïve café partners met there \u2026 and sued Zeta?",
]
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES: Dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
# Positions begin after the number of the padding piece. The epsilon is that of the published models.
OFFSET_POSITIONS: Dict[str, Any] = {"max_position_embeddings": MAX_LENGTH + 2, "layer_norm_eps": 1e-5}


class Family(NamedTuple):
    """What is known of a family.

    make (Callable[[Path], None]): Saves model and tokenizer to a folder.
    special (Optional[str]): The piece that stands for a sentence.
    last (bool): Whether that is the last piece, not the first.
    blanks (bool): Whether the blank before a word is in the offsets of its first piece.
    """

    make: Callable[[Path], None]
    special: Optional[str] = "[CLS]"
    last: bool = False
    blanks: bool = False


def save(path: Path, tokenizer: Any, model_class: Any, config_class: Any, **settings: Any) -> None:
    tokenizer.save_pretrained(path)
    fix_random_seed(0)
    ids = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    model_class(config_class(**{**ids, **settings})).save_pretrained(path)


def wordpiece(path: Path, tokenizer_class: Any, specials: List[str] = BERT_SPECIALS, lowercase: bool = False) -> Any:
    trained = BertWordPieceTokenizer(lowercase=lowercase, unk_token=specials[specials.index("[UNK]")])
    trained.train_from_iterator(TRAINING_TEXTS, vocab_size=150, min_frequency=1, special_tokens=specials)
    trained.save_model(str(path))
    return tokenizer_class(str(path / "vocab.txt"), do_lower_case=lowercase, model_max_length=MAX_LENGTH)


def byte_level(path: Path, tokenizer_class: Any, specials: List[str], **settings: Any) -> Any:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TRAINING_TEXTS, vocab_size=330, min_frequency=1, special_tokens=specials)
    trained.save_model(str(path))
    files = [str(path / "vocab.json"), str(path / "merges.txt")]
    return tokenizer_class(*files, model_max_length=MAX_LENGTH, **settings)


def sentencepiece(
    path: Path, tokenizer_class: Any, specials: List[str], template: str, *first: Any, split: bool = False
) -> Any:
    """A Unigram tokenizer with the steps that SentencePiece's own are converted to.

    first (Any): Normalizers before SentencePiece's own.
    split (bool): Split at blanks first, as published files of some models do, instead of putting them into pieces.
    """
    trained = Tokenizer(models.Unigram())
    # What SentencePiece calls nmt_nfkc.
    steps = [*first, normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    trained.normalizer = normalizers.Sequence(steps)
    metaspace = pre_tokenizers.Metaspace()
    trained.pre_tokenizer = metaspace
    if split:
        trained.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), metaspace])
    unknown = next(piece for piece in specials if "unk" in piece.lower())
    trainer = trainers.UnigramTrainer(
        vocab_size=110, special_tokens=specials, unk_token=unknown, initial_alphabet=[], show_progress=False
    )
    trained.train_from_iterator(TRAINING_TEXTS, trainer=trainer)
    ids = [(piece, trained.token_to_id(piece)) for piece in specials]
    trained.post_processor = processors.TemplateProcessing(single=template, special_tokens=ids)
    tokenizer = tokenizer_class(tokenizer_object=trained, model_max_length=MAX_LENGTH)
    # spacy-transformers wants the file that the slow tokenizer would read.
    tokenizer.vocab_file = str(path / tokenizer_class.vocab_files_names["vocab_file"])
    Path(tokenizer.vocab_file).write_bytes(b"")
    return tokenizer


def make_bert(path: Path) -> None:
    save(path, wordpiece(path, hf.BertTokenizerFast), hf.BertModel, hf.BertConfig, **SIZES)


def make_electra(path: Path) -> None:
    tokenizer = wordpiece(path, hf.ElectraTokenizerFast, lowercase=True)
    save(path, tokenizer, hf.ElectraModel, hf.ElectraConfig, embedding_size=16, **SIZES)


def make_distilbert(path: Path) -> None:
    tokenizer = wordpiece(path, hf.DistilBertTokenizerFast)
    sizes = {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "dropout": 0.0, "attention_dropout": 0.0}
    save(path, tokenizer, hf.DistilBertModel, hf.DistilBertConfig, initializer_range=0.1, **sizes)


def make_mpnet(path: Path) -> None:
    specials = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]
    tokenizer = wordpiece(path, hf.MPNetTokenizerFast, specials, lowercase=True)
    save(path, tokenizer, hf.MPNetModel, hf.MPNetConfig, **OFFSET_POSITIONS, **SIZES)


def make_roberta(path: Path) -> None:
    tokenizer = byte_level(path, hf.RobertaTokenizerFast, ROBERTA_SPECIALS)
    save(path, tokenizer, hf.RobertaModel, hf.RobertaConfig, type_vocab_size=1, **OFFSET_POSITIONS, **SIZES)


def make_deberta(path: Path) -> None:
    tokenizer = byte_level(path, hf.DebertaTokenizerFast, BERT_SPECIALS)
    settings = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "type_vocab_size": 0}
    save(path, tokenizer, hf.DebertaModel, hf.DebertaConfig, position_biased_input=False, **settings, **SIZES)


def make_gpt2(path: Path) -> None:
    tokenizer = byte_level(path, hf.GPT2TokenizerFast, ["<|endoftext|>"], pad_token="<|endoftext|>")
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    save(path, tokenizer, hf.GPT2Model, hf.GPT2Config, initializer_range=0.1, **sizes)


def make_xlm_roberta(path: Path, split: bool = False) -> None:
    tokenizer = sentencepiece(path, hf.XLMRobertaTokenizerFast, ROBERTA_SPECIALS, "<s> $A </s>", split=split)
    save(path, tokenizer, hf.XLMRobertaModel, hf.XLMRobertaConfig, type_vocab_size=1, **OFFSET_POSITIONS, **SIZES)


def make_xlm_roberta_split(path: Path) -> None:
    make_xlm_roberta(path, split=True)


def make_deberta_v2(path: Path, **settings: Any) -> None:
    tokenizer = sentencepiece(
        path,
        hf.DebertaV2TokenizerFast,
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
        "[CLS] $A [SEP]",
        normalizers.Strip(),
    )
    relative = {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "position_buckets": 32,
        "max_position_embeddings": MAX_LENGTH,
        "type_vocab_size": 0,
    }
    save(path, tokenizer, hf.DebertaV2Model, hf.DebertaV2Config, **relative, **settings, **SIZES)


def make_deberta_v2_conv(path: Path) -> None:
    make_deberta_v2(path, conv_kernel_size=3, conv_act="gelu")


def make_albert(path: Path) -> None:
    tokenizer = sentencepiece(
        path,
        hf.AlbertTokenizerFast,
        ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"],
        "[CLS] $A [SEP]",
        normalizers.NFKD(),
        normalizers.StripAccents(),
        normalizers.Lowercase(),
    )
    save(path, tokenizer, hf.AlbertModel, hf.AlbertConfig, embedding_size=16, inner_group_num=1, **SIZES)


def make_xlnet(path: Path) -> None:
    specials = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>"]
    tokenizer = sentencepiece(path, hf.XLNetTokenizerFast, specials, "$A <sep> <cls>")
    sizes = {"d_model": 32, "n_layer": 2, "n_head": 2, "d_inner": 64, "dropout": 0.0}
    save(path, tokenizer, hf.XLNetModel, hf.XLNetConfig, initializer_range=0.1, **sizes)


FAMILIES = {
    "bert": Family(make_bert),
    "roberta": Family(make_roberta, "<s>"),
    "deberta": Family(make_deberta, blanks=True),
    "deberta-v2": Family(make_deberta_v2_conv, blanks=True),
    "deberta-v3": Family(make_deberta_v2, blanks=True),
    "xlm-roberta": Family(make_xlm_roberta, "<s>", blanks=True),
    "xlm-roberta, split": Family(make_xlm_roberta_split, "<s>"),
    "albert": Family(make_albert, blanks=True),
    "electra": Family(make_electra),
    "distilbert": Family(make_distilbert),
    "mpnet": Family(make_mpnet, "<s>"),
    "xlnet": Family(make_xlnet, "<cls>", last=True, blanks=True),
    "gpt2": Family(make_gpt2, None, blanks=True),
}
