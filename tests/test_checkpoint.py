"""Checkpoints of the original in all the forms they come in, and everything that can be wrong with them."""

import json
import os
import pickle
import shutil

import numpy
import pytest
import spacy
import torch
from original import (
    DATA,
    ORIGINAL,
    SENTENCES,
    change_json,
    check_entities,
    check_pair_probabilities,
    check_relations,
    check_span_probabilities,
    load_expected,
    load_weights,
    predict_all,
    write_checkpoint,
)
from safetensors.torch import save_file
from spacy.tokens import Doc
from transformers import BertTokenizer
from util import TEXTS, entities_of, torch_encoder, torch_head, train

from spacy_spert.checkpoint import import_checkpoint, read_weights

N_TYPES = len(DATA["entity_labels"]), len(DATA["relation_labels"])


class Code:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def weights():
    return load_weights()


@pytest.fixture
def checkpoint(tmp_path, weights):
    return write_checkpoint(tmp_path / "checkpoint", weights)


def load(checkpoint, **settings):
    settings = {"lang": "xx", "max_span_width": DATA["max_span_width"], **settings}
    return import_checkpoint(checkpoint, checkpoint.parent / "types.json", **settings)


def save(weights, checkpoint):
    torch.save(weights, checkpoint / "pytorch_model.bin")


def without(weights, start):
    return {name: weight for name, weight in weights.items() if not name.startswith(start)}


def assert_parity(nlp, expected):
    for i, prediction in enumerate(predict_all(nlp, 4)):
        check_span_probabilities(prediction, expected, i)
        check_pair_probabilities(prediction, expected, i)
        check_entities(prediction.doc, i)
        check_relations(prediction.doc, i)


@pytest.fixture(scope="module")
def expected():
    return load_expected()


class TestForms:
    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
    @pytest.mark.parametrize("tokenizer_config", [True, False])
    def test_files(self, tmp_path, weights, expected, name, tokenizer_config):
        checkpoint = write_checkpoint(tmp_path / "checkpoint", weights, name)
        if not tokenizer_config:
            (checkpoint / "tokenizer_config.json").unlink()
        assert_parity(load(checkpoint), expected)

    @pytest.mark.parametrize("form", ["legacy", "double", "buffers", "no pooler", "parameters"])
    def test_weights(self, checkpoint, weights, expected, form):
        if form == "buffers":
            weights["bert.embeddings.position_ids"] = torch.arange(512)[None]
        elif form == "no pooler":
            weights = without(weights, "bert.pooler.")
        elif form == "parameters":
            weights = {name: torch.nn.Parameter(weight) for name, weight in weights.items()}
        elif form == "double":
            weights = {name: weight.double() for name, weight in weights.items()}
        torch.save(weights, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=form != "legacy")
        nlp = load(checkpoint)
        assert_parity(nlp, expected)
        pooler = torch_encoder(nlp).pooler.dense.weight
        assert bool(pooler.any()) == (form != "no pooler")

    def test_safetensors_come_first(self, checkpoint, weights, expected):
        save_file(weights, checkpoint / "model.safetensors")
        (checkpoint / "pytorch_model.bin").write_bytes(b"not read")
        assert_parity(load(checkpoint), expected)

    @pytest.mark.parametrize(
        "changes",
        [
            {"model_type": None},
            {"architectures": ["SpERT"], "torch_dtype": "float16", "output_hidden_states": True, "num_labels": 7},
            # Neither code nor other places of files.
            {"auto_map": {"AutoModel": "code.Model"}, "_name_or_path": "/elsewhere/bert", "return_dict": False},
            {"hidden_size": None, "vocab_size": None, "spert_version": 1.1},
        ],
    )
    def test_config(self, checkpoint, expected, changes):
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf8"))
        config = {name: value for name, value in {**config, **changes}.items() if value is not None}
        (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf8")
        nlp = load(checkpoint)
        assert_parity(nlp, expected)
        used = torch_encoder(nlp).config.to_dict()
        assert not {"auto_map", "spert_version"} & set(used)
        assert used["torch_dtype"] is None and used["_name_or_path"] == "" and not used["output_hidden_states"]

    def test_every_weight_is_there(self, checkpoint, weights):
        nlp = load(checkpoint, max_span_width=99)
        state = {f"bert.{name}": weight for name, weight in torch_encoder(nlp).state_dict().items()}
        head = torch_head(nlp)
        state["entity_classifier.weight"] = head.span_head.output_layer.weight
        state["entity_classifier.bias"] = head.span_head.output_layer.bias
        state["rel_classifier.weight"] = head.relation_head.output_layer.weight
        state["rel_classifier.bias"] = head.relation_head.output_layer.bias
        state["size_embeddings.weight"] = torch.cat(
            [weights["size_embeddings.weight"][:1], head.width_embedding.weight]
        )
        assert set(state) == set(weights)
        assert all(torch.equal(state[name], weights[name]) for name in weights)

    def test_no_relations(self, checkpoint, weights):
        weights["rel_classifier.weight"] = weights["rel_classifier.weight"][:0].clone()
        weights["rel_classifier.bias"] = weights["rel_classifier.bias"][:0].clone()
        save(weights, checkpoint)
        change_json(checkpoint.parent / "types.json", relations={})
        nlp = load(checkpoint)
        for i, doc in enumerate(nlp.pipe(Doc(nlp.vocab, words=row["tokens"]) for row in SENTENCES)):
            check_entities(doc, i)
            assert doc._.relations == ()

    @pytest.mark.skipif(not ORIGINAL.is_dir(), reason="the original figures are not beside the repository")
    def test_original_folder(self, expected):
        folder, types = ORIGINAL / "checkpoint", ORIGINAL / "types.json"
        assert_parity(import_checkpoint(folder, types, max_span_width=5), expected)


class TestSettings:
    def test_component(self, checkpoint):
        nlp = load(checkpoint, relation_threshold=0.3)
        spert = nlp.get_pipe("spert")
        assert spert.label_data == {"entities": DATA["entity_labels"], "relations": DATA["relation_labels"]}
        expected = {
            "symmetric_labels": DATA["symmetric_labels"],
            "max_span_width": DATA["max_span_width"],
            "relation_threshold": 0.3,
            "max_relation_distance": 0,
            "entities_per_token": 0.0,
            "relations_per_token": 0.0,
            "width": 32,
        }
        assert {name: spert.cfg[name] for name in expected} == expected
        assert nlp.config["components"]["spert"]["model"]["width_embedding"] == DATA["width_embedding"]

    def test_defaults(self, checkpoint):
        cfg = load(checkpoint, max_span_width=10).get_pipe("spert").cfg
        assert (cfg["max_span_width"], cfg["relation_threshold"]) == (10, 0.4)

    def test_length_is_that_of_the_model(self, checkpoint):
        change_json(checkpoint / "tokenizer_config.json", model_max_length=10**30)
        nlp = load(checkpoint)
        assert nlp.get_pipe("transformer").model.tokenizer.model_max_length == 512

    def test_sentences(self, checkpoint):
        nlp = load(checkpoint, sentences=True)
        assert nlp.pipe_names == ["sentencizer", "transformer", "spert"]
        assert nlp.config["training"]["annotating_components"] == ["sentencizer"]
        # A text of two sentences is what both are, whatever stands in the other.
        first, second = (row["tokens"] for row in SENTENCES[:2])
        assert first[-1] == second[-1] == "." and "." not in first[:-1] + second[:-1]
        doc, *parts = nlp.pipe(Doc(nlp.vocab, words=words) for words in (first + second, first, second))
        shifted = [(start + len(first), end + len(first), label) for start, end, label in entities_of(parts[1])]
        assert entities_of(doc) == entities_of(parts[0]) + shifted
        for i, part in enumerate(parts):
            check_entities(part, i)
            check_relations(part, i)

    def test_a_document_is_one_sentence_without(self, checkpoint):
        nlp = load(checkpoint)
        assert nlp.pipe_names == ["transformer", "spert"]
        doc = nlp(Doc(nlp.vocab, words=SENTENCES[0]["tokens"] + SENTENCES[1]["tokens"]))
        assert len(doc._.trf_data.wordpieces) == 1

    def test_further_training(self, checkpoint):
        """The pipeline can be trained as it is: the encoder gets its gradients too."""
        types = {
            "entities": {label: {} for label in ["LOC", "ORG", "PER", "OTHER"]},
            "relations": {label: {} for label in ["based_in", "partner_of", "works_for", "other"]},
        }
        change_json(checkpoint.parent / "types.json", **types)
        nlp = load(checkpoint)
        before = torch_encoder(nlp).embeddings.word_embeddings.weight.clone()
        losses = train(nlp, 20, texts=TEXTS[:4], learn_rate=0.003)
        assert losses[-1] < losses[0] / 2
        assert not torch.equal(before, torch_encoder(nlp).embeddings.word_embeddings.weight)


class TestLowercase:
    """An uncased vocabulary: the lower-case letters and some words."""

    PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "an", "in", ".", ",", "-"]
    WORDS = ["The", "ÉTÉ", "café", "in", "NaCl", "an-An", "."]

    @pytest.fixture
    def uncased(self, checkpoint):
        letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
        pieces = [*self.PIECES, *letters, *("##" + letter for letter in letters), "é", "##é"]
        rows = load_weights()["bert.embeddings.word_embeddings.weight"].shape[0]
        pieces += [f"[unused{i}]" for i in range(rows - len(pieces))]
        (checkpoint / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf8")
        (checkpoint / "tokenizer_config.json").unlink()
        return checkpoint

    def pieces(self, nlp):
        doc = nlp(Doc(nlp.vocab, words=self.WORDS))
        return doc._.trf_data.wordpieces.strings[0]

    @pytest.mark.parametrize("in_file", [True, False, None])
    @pytest.mark.parametrize("given", [True, False, None])
    def test_pieces_are_those_of_the_original(self, uncased, caplog, in_file, given):
        if in_file is not None:
            (uncased / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": in_file}), encoding="utf8")
        lowercase = given if given is not None else bool(in_file)
        nlp = load(uncased, lowercase=given)
        # As the original encodes: token by token, with the tokenizer that is not fast.
        tokenizer = BertTokenizer(str(uncased / "vocab.txt"), do_lower_case=lowercase)
        expected = [piece for word in self.WORDS for piece in tokenizer.tokenize(word)]
        assert self.pieces(nlp) == ["[CLS]", *expected, "[SEP]"]
        assert ("[UNK]" in expected) != lowercase
        assert ("--lowercase" in caplog.text) == (given is None and not lowercase)

    def test_it_is_saved(self, uncased, tmp_path):
        nlp = load(uncased, lowercase=True)
        nlp.to_disk(tmp_path / "saved")
        assert self.pieces(spacy.load(tmp_path / "saved")) == self.pieces(nlp)

    def test_accents_may_be_kept(self, uncased):
        (uncased / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": false}')
        assert self.pieces(load(uncased))[2:6] == ["é", "##t", "##é", "c"]

    def test_a_cased_vocabulary_raises_no_suspicion(self, checkpoint, caplog):
        load(checkpoint)
        assert caplog.text == ""


class TestWrongFolder:
    @pytest.mark.parametrize("name", ["config.json", "vocab.txt", "pytorch_model.bin"])
    def test_missing_file(self, checkpoint, name):
        (checkpoint / name).unlink()
        with pytest.raises(ValueError, match=f"not the folder of a SpERT checkpoint: .*{name} is missing"):
            load(checkpoint)

    def test_no_folder(self, checkpoint):
        shutil.move(checkpoint, checkpoint.parent / "moved")
        with pytest.raises(ValueError, match="config.json is missing"):
            load(checkpoint)

    @pytest.mark.parametrize("name", ["config.json", "vocab.txt", "tokenizer_config.json", "pytorch_model.bin"])
    def test_link_to_another_folder(self, checkpoint, name):
        (checkpoint / name).rename(checkpoint.parent / name)
        (checkpoint / name).symlink_to(checkpoint.parent / name)
        with pytest.raises(ValueError, match=f"Can't read .*{name}: .*not a link to another folder"):
            load(checkpoint)

    def test_link_within_the_folder(self, checkpoint, expected):
        (checkpoint / "config.json").rename(checkpoint / "blob")
        (checkpoint / "config.json").symlink_to("blob")
        link = checkpoint.parent / "link"
        link.symlink_to(checkpoint)
        assert_parity(load(link), expected)

    def test_link_to_nothing(self, checkpoint):
        (checkpoint / "added_tokens.json").symlink_to("nothing")
        with pytest.raises(ValueError, match="added_tokens.json is missing"):
            load(checkpoint)

    def test_other_model(self, checkpoint, weights):
        save({name[5:]: weight for name, weight in weights.items() if name.startswith("bert.")}, checkpoint)
        message = "another model than SpERT: it has no weights entity_classifier.weight, .* It has embeddings.LayerNorm"
        with pytest.raises(ValueError, match=message):
            load(checkpoint)

    def test_other_encoder(self, checkpoint, weights):
        save({name.replace("bert.", "roberta."): weight for name, weight in weights.items()}, checkpoint)
        with pytest.raises(ValueError, match="no weights bert.embeddings.word_embeddings.weight. It has roberta."):
            load(checkpoint)

    @pytest.mark.parametrize("version", [None, "1.0", "2", ["1.1"]])
    def test_other_version(self, checkpoint, version):
        """Version 1.0 took zeros into the maximum over a span. Without a version the original assumes it."""
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf8"))
        del config["spert_version"]
        (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf8")
        if version is not None:
            change_json(checkpoint / "config.json", spert_version=version)
        with pytest.raises(ValueError, match="only models of version 1.1 can be imported"):
            load(checkpoint)


class TestWrongLabels:
    @pytest.mark.parametrize("kind, n", [("entity", N_TYPES[0]), ("relation", N_TYPES[1])])
    @pytest.mark.parametrize("change", [-1, 1])
    def test_number(self, checkpoint, kind, n, change):
        key = {"entity": "entities", "relation": "relations"}[kind]
        labels = [*DATA[f"{kind}_labels"], "More"][: n + change]
        change_json(checkpoint.parent / "types.json", **{key: {label: {} for label in labels}})
        message = f"has {n} {kind} labels, but .*types.json has {n + change}: {', '.join(labels)}"
        with pytest.raises(ValueError, match=message):
            load(checkpoint)

    @pytest.mark.parametrize(
        "text, message",
        [
            ("[]", "Expected the file to be an object"),
            ('{"entities": {}}', "'relations' is missing"),
            ("{", "Not valid JSON"),
            ('{"entities": ' + "[" * 100_000, "Not valid JSON"),
            ('{"entities": ' + "9" * 10_000 + "}", "Not valid JSON"),
        ],
    )
    def test_types(self, checkpoint, text, message):
        (checkpoint.parent / "types.json").write_text(text, encoding="utf8")
        with pytest.raises(ValueError, match=f"types.json: .*{message}"):
            load(checkpoint)

    def test_many(self, checkpoint):
        """The error has the size of an error."""
        change_json(checkpoint.parent / "types.json", entities={f"L{i}": {} for i in range(200_000)})
        with pytest.raises(ValueError, match="has 200000: L0, L1") as error:
            load(checkpoint)
        assert len(str(error.value)) < 1000


class TestWrongSettings:
    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"model_type": "roberta"}, "model_type must be 'bert', got: 'roberta'"),
            ({"is_decoder": True}, "is_decoder must be false"),
            ({"hidden_size": 64}, "hidden_size must be 32, as in the weights, got: 64"),
            ({"hidden_size": 10**12}, "hidden_size must be 32"),
            ({"num_hidden_layers": 10**9}, "num_hidden_layers must be 2, as in the weights, got: 1000000000"),
            ({"vocab_size": "many"}, "vocab_size must be 115, as in the weights, got: 'many'"),
            ({"max_position_embeddings": 511}, "max_position_embeddings must be 512"),
            ({"type_vocab_size": 0}, "type_vocab_size must be 2"),
            ({"intermediate_size": [64]}, r"intermediate_size must be 64, as in the weights, got: \[64\]"),
            ({"num_attention_heads": 3}, "num_attention_heads must be a divisor of 32, got: 3"),
            ({"num_attention_heads": -2}, "num_attention_heads must be a divisor of 32"),
            ({"hidden_act": "code.py"}, "hidden_act must be a known function, got: 'code.py'"),
            ({"hidden_act": ["gelu"]}, "hidden_act must be a known function"),
            ({"position_embedding_type": "none"}, "position_embedding_type must be 'absolute'"),
            ({"layer_norm_eps": "small"}, "layer_norm_eps must be from 0 to 1"),
            ({"hidden_dropout_prob": 1.5}, "hidden_dropout_prob must be from 0 to 1"),
            ({"attention_probs_dropout_prob": True}, "attention_probs_dropout_prob must be from 0 to 1"),
            ({"pad_token_id": 115}, "pad_token_id must be from 0 to 114"),
        ],
    )
    def test_config(self, checkpoint, changes, message):
        change_json(checkpoint / "config.json", **changes)
        with pytest.raises(ValueError, match=f"Can't import .*config.json: {message}"):
            load(checkpoint)

    @pytest.mark.parametrize(
        "changes, message",
        [
            ({"do_lower_case": "yes"}, "do_lower_case must be true or false, got: 'yes'"),
            ({"strip_accents": 1}, "strip_accents must be true, false or null"),
            ({"tokenize_chinese_chars": None}, "tokenize_chinese_chars must be true or false"),
            ({"do_basic_tokenize": False}, "do_basic_tokenize must be true"),
            ({"never_split": ["a-b"]}, "never_split must be empty"),
        ],
    )
    def test_tokenizer_config(self, checkpoint, changes, message):
        change_json(checkpoint / "tokenizer_config.json", **changes)
        with pytest.raises(ValueError, match=f"tokenizer_config.json: {message}"):
            load(checkpoint)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    @pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": ' + "9" * 10_000 + "}", '{"a": NaN}', "\xff"])
    def test_no_json(self, checkpoint, name, text):
        (checkpoint / name).write_text(text, encoding="latin1")
        with pytest.raises(ValueError, match=f"{name}: .*Not valid JSON"):
            load(checkpoint)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "vocab.txt", "../types.json"])
    def test_huge(self, checkpoint, name):
        """It is not even read."""
        with (checkpoint / name).open("ab") as file_:
            file_.truncate(10**10)
        with pytest.raises(ValueError, match="expected a file of at most 16 MB"):
            load(checkpoint)

    @pytest.mark.parametrize("value", [0, 100])
    def test_max_span_width(self, checkpoint, value):
        with pytest.raises(ValueError, match=f"up to 99 tokens, so max_span_width can't be {value}"):
            load(checkpoint, max_span_width=value)

    def test_relation_threshold(self, checkpoint):
        with pytest.raises(
            ValueError, match="relation_threshold of component 'spert' must be a number between 0 and 1"
        ):
            load(checkpoint, relation_threshold=40)


class TestWrongVocabulary:
    def lines(self, checkpoint):
        return (checkpoint / "vocab.txt").read_text(encoding="utf8").splitlines()

    def write(self, checkpoint, lines):
        (checkpoint / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf8")

    def test_longer_than_the_embeddings(self, checkpoint):
        self.write(checkpoint, [*self.lines(checkpoint), "more"])
        with pytest.raises(ValueError, match="number of wordpieces must be 115, as in the weights, got: 116"):
            load(checkpoint)

    def test_shorter_than_the_embeddings(self, checkpoint, caplog):
        self.write(checkpoint, self.lines(checkpoint)[:-5])
        load(checkpoint)
        assert "vocab.txt has 110 entries, but the model knows 115" in caplog.text

    def test_no_special_tokens(self, checkpoint):
        self.write(
            checkpoint, [line.replace("[CLS]", "<s>").replace("[SEP]", "</s>") for line in self.lines(checkpoint)]
        )
        with pytest.raises(ValueError, match=r"a list of wordpieces with \[CLS\], \[SEP\]"):
            load(checkpoint)

    def test_no_text(self, checkpoint):
        (checkpoint / "vocab.txt").write_bytes(b"\x80\xff\n")
        with pytest.raises(ValueError, match="vocab.txt: 'utf-8' codec can't decode"):
            load(checkpoint)

    def test_added_tokens(self, checkpoint, expected):
        (checkpoint / "added_tokens.json").write_text('{"[CLS]": 2}', encoding="utf8")
        assert_parity(load(checkpoint), expected)
        (checkpoint / "added_tokens.json").write_text('{"[CLS]": 2, "[E1]": 115}', encoding="utf8")
        with pytest.raises(ValueError, match=r"added_tokens.json: its tokens must be in vocab.txt too, got: '\[E1\]'"):
            load(checkpoint)


class TestWrongWeights:
    @pytest.mark.parametrize("legacy", [True, False])
    @pytest.mark.parametrize("name", ["entity_classifier.bias", "extra"])
    def test_code_is_not_run(self, checkpoint, weights, tmp_path, legacy, name):
        weights[name] = Code(tmp_path / "made")
        torch.save(weights, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match=r"it asks to run \w+.mkdir. Only plain tensors are read") as error:
            load(checkpoint)
        assert "weights_only" not in str(error.value)
        assert not (tmp_path / "made").exists()

    def test_other_files_are_not_read(self, checkpoint, tmp_path, expected):
        """The original saves its progress as well, with pickle."""
        (checkpoint / "extra.state").write_bytes(pickle.dumps(Code(tmp_path / "made")))
        (checkpoint / "tokenizer.json").write_text("not read", encoding="utf8")
        (checkpoint / "special_tokens_map.json").write_text("not read", encoding="utf8")
        assert_parity(load(checkpoint), expected)
        assert not (tmp_path / "made").exists()

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
    @pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x02}.", b"\xff" * 100, "cut"])
    def test_broken(self, tmp_path, weights, name, content):
        checkpoint = write_checkpoint(tmp_path / "checkpoint", weights, name)
        whole = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(whole[: len(whole) // 2] if content == "cut" else content)
        with pytest.raises(ValueError, match=f"Can't read weights from .*{name}: it is broken, or of another kind"):
            load(checkpoint)

    # Newer torch says that sparse tensors are slow to check.
    @pytest.mark.filterwarnings("ignore:Validating sparse tensor:UserWarning")
    @pytest.mark.parametrize(
        "content, message",
        [
            ([torch.zeros(2)], "it holds a list"),
            ({}, "it holds a dict"),
            ({"model": {"a": torch.zeros(2)}}, r"'model' is not an ordinary tensor \(dict\)"),
            ({1: torch.zeros(2)}, "1 is not an ordinary tensor"),
            ({"a": torch.eye(2).to_sparse()}, "'a' is not an ordinary tensor"),
            ({"a": torch.zeros(2, device="meta")}, "'a' is not an ordinary tensor"),
            # Few bytes that want to become many.
            ({"a": torch.zeros(1).expand(10**9, 10**3)}, "'a' is not an ordinary tensor"),
        ],
    )
    def test_no_state_dict(self, checkpoint, content, message):
        save(content, checkpoint)
        with pytest.raises(ValueError, match=message):
            read_weights(checkpoint / "pytorch_model.bin")

    @pytest.mark.parametrize(
        "name, shape, message",
        [
            ("entity_classifier.weight", (5, 71), r"entity_classifier.weight is .* \(5, 71\), not \(5, 72\)"),
            ("entity_classifier.bias", (4,), r"entity_classifier.bias is .* \(4,\), not \(5,\)"),
            ("rel_classifier.weight", (4, 111), r"rel_classifier.weight is .* \(4, 111\), not \(4, 112\)"),
            ("size_embeddings.weight", (100, 9), r"not \(5, 73\); rel_classifier.weight .* not \(4, 114\)"),
            ("entity_classifier.weight", (5, 72, 1), "entity_classifier.weight has 3 axes, not 2"),
            ("bert.encoder.layer.1.output.dense.bias", (31,), r"bert.encoder.*bias is .* \(31,\), not \(32,\)"),
            ("bert.encoder.layer.1.output.dense.bias", None, "bert.encoder.layer.1.output.dense.bias is missing"),
            ("bert.encoder.layer.0.intermediate.dense.weight", None, "layer.0.intermediate.dense.weight is missing"),
            ("bert.pooler.dense.bias", None, "bert.pooler.dense.bias is missing"),
            ("bert.more.weight", (2,), "bert.more.weight is unknown"),
            ("more.weight", (2,), "more.weight is unknown"),
        ],
    )
    def test_shapes(self, checkpoint, weights, name, shape, message):
        if shape is None:
            del weights[name]
        else:
            weights[name] = torch.zeros(shape)
        save(weights, checkpoint)
        with pytest.raises(ValueError, match=f"don't fit together, or not to config.json: .*{message}"):
            load(checkpoint)

    def test_no_floats(self, checkpoint, weights):
        weights["entity_classifier.weight"] = weights["entity_classifier.weight"].to(torch.int8)
        save(weights, checkpoint)
        with pytest.raises(ValueError, match="entity_classifier.weight is torch.int8"):
            load(checkpoint)

    def test_too_few_widths(self, checkpoint, weights):
        weights["size_embeddings.weight"] = weights["size_embeddings.weight"][:6].clone()
        save(weights, checkpoint)
        assert load(checkpoint, max_span_width=5).get_pipe("spert").cfg["max_span_width"] == 5
        with pytest.raises(ValueError, match="up to 5 tokens, so max_span_width can't be 6"):
            load(checkpoint, max_span_width=6)

    def test_first_row_is_not_used(self, checkpoint, weights, expected):
        weights["size_embeddings.weight"][0] = numpy.nan
        save(weights, checkpoint)
        assert_parity(load(checkpoint), expected)
