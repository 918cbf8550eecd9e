"""Training: what is learned and what is not, and the gradient that goes back to the shared encoder."""

import math

import numpy
import pytest
import spacy
import torch
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_loop
from spacy.util import fix_random_seed, load_model_from_config
from thinc.api import Adam, Config, Optimizer
from util import (
    CNN,
    CONFIG,
    ENTITY_LABELS,
    SYMMETRIC,
    TEXTS,
    add_transformer,
    assert_same_predictions,
    clone,
    entities_of,
    finish_update,
    gold_relations,
    initialize,
    make_doc,
    make_example,
    make_examples,
    make_nlp,
    make_samples,
    relations_of,
    torch_encoder,
    torch_head,
    train,
)

from spacy_spert.ml.optimizer import build_adamw

QUICK = {"max_span_width": 4, "model": {"dropout": 0.0, "width_embedding": 8}}


def encoder_gradients(nlp):
    named = torch_encoder(nlp).named_parameters()
    return {name: weight.grad.numpy().copy() for name, weight in named if weight.grad is not None}


def weights_of(module):
    return {name: weight.detach().numpy().copy() for name, weight in module.named_parameters()}


def encoder_weights(nlp):
    return weights_of(torch_encoder(nlp))


def head_weights(nlp):
    return weights_of(torch_head(nlp))


def changed(before, after):
    return {name for name in before if not numpy.array_equal(before[name], after[name])}


class TestOverfit:
    def test_loss_falls(self, overfitted):
        _, losses = overfitted
        assert losses[0] > 1.0
        assert losses[-1] < 0.05

    def test_evaluation_is_perfect(self, trained):
        scores = trained.evaluate(make_examples(trained))
        names = ["spans_spert_f", "spans_spert_macro_f", "rels_f", "rels_macro_f", "rels_strict_f", "rels_strict_p"]
        assert {name: scores[name] for name in names} == dict.fromkeys(names, 1.0)
        assert set(scores["rels_strict_per_type"]) == {"based_in", "partner_of", "works_for"}


class TestUpdate:
    def test_loss_is_that_of_the_samples(self, trained):
        """Neither dropout nor sampling here: the loss reported is that of the task."""
        nlp = clone(trained)
        nlp.get_pipe("spert").cfg.update(negative_spans=10**6, negative_relations=10**6)
        losses = nlp.update(make_examples(nlp), sgd=False)
        examples = make_examples(nlp)
        spert = nlp.get_pipe("spert")
        nlp.get_pipe("transformer").update(examples)
        task = spert._training(examples)
        scores, backprop = spert.model.begin_update(([eg.predicted for eg in examples], task))
        loss, d_scores = spert.get_loss(examples, scores)
        backprop(d_scores)
        assert losses["spert"] == pytest.approx(loss, abs=1e-6)
        assert loss > 0.0

    def test_losses_add_up(self, trained):
        nlp = clone(trained)
        once = nlp.update(make_examples(nlp, TEXTS[:2]), sgd=False)["spert"]
        assert nlp.update(make_examples(nlp, TEXTS[:2]), sgd=False, losses={"spert": 7.0})["spert"] == 7.0 + once

    def test_sgd_changes_head_and_encoder(self, encoder):
        nlp = initialize(make_nlp(encoder, **QUICK))
        head, weights = head_weights(nlp), encoder_weights(nlp)
        nlp.update(make_examples(nlp), sgd=False)
        assert not changed(head, head_weights(nlp)) and not changed(weights, encoder_weights(nlp))
        finish_update(nlp, Adam(0.01))
        assert changed(head, head_weights(nlp)) == set(head)
        assert "encoder.layer.0.attention.self.query.weight" in changed(weights, encoder_weights(nlp))

    @pytest.mark.parametrize("grad_factor", [0.0, 0.5])
    def test_grad_factor_scales_what_the_encoder_gets(self, encoder, grad_factor):
        gradients = []
        for factor in (1.0, grad_factor):
            nlp = make_nlp(encoder, max_span_width=4, model={"dropout": 0.0, "tok2vec": {"grad_factor": factor}})
            initialize(nlp)
            numpy.random.seed(0)
            nlp.update(make_examples(nlp), sgd=False)
            gradients.append(encoder_gradients(nlp))
        full, scaled = gradients
        assert max(numpy.abs(array).max() for array in full.values()) > 0.01
        for name, array in full.items():
            numpy.testing.assert_allclose(scaled[name], grad_factor * array, atol=1e-6)

    def test_nan_loss_stops(self, trained):
        nlp = clone(trained)
        with torch.no_grad():
            torch_head(nlp).span_head.output_layer.weight[0, 0] = math.nan
        with pytest.raises(ValueError, match=r"Loss of component 'spert' is nan.*'Ann Lee works for"):
            nlp.update(make_examples(nlp))

    def test_nan_loss_leaves_no_gradient(self, trained):
        nlp = clone(trained)
        with torch.no_grad():
            torch_head(nlp).relation_head.output_layer.bias[0] = math.nan
        with pytest.raises(ValueError, match="is nan"):
            nlp.update(make_examples(nlp), sgd=False)
        assert all(weight.grad is None or not weight.grad.any() for weight in torch_head(nlp).parameters())

    @pytest.mark.parametrize("texts", [[""], ["", ""]])
    def test_only_empty_documents(self, trained, texts):
        nlp = clone(trained)
        losses = nlp.update([make_example(nlp, text) for text in texts], sgd=False)
        assert losses["spert"] == 0.0

    def test_empty_documents_among_others_change_nothing(self, trained):
        gradients = []
        for texts in (TEXTS[:2], [("", [], []), TEXTS[0], ("", [], []), TEXTS[1], ("", [], [])]):
            nlp = clone(trained)
            numpy.random.seed(0)
            nlp.update(make_examples(nlp, texts), sgd=False)
            gradients.append(encoder_gradients(nlp))
        for name, array in gradients[0].items():
            numpy.testing.assert_allclose(gradients[1][name], array, atol=1e-6)

    def test_a_batch_without_any_sample_clears_the_listener(self, trained):
        """The transformer waits for each listener; otherwise the next batch would meet the ids of this one."""
        nlp = clone(trained)
        blank = [Example(nlp.make_doc("Ann met Bob"), nlp.make_doc("Ann met Bob")) for _ in range(2)]
        assert nlp.update(blank, sgd=False)["spert"] == 0.0
        assert all(not gradient.any() for gradient in encoder_gradients(nlp).values())
        assert nlp.update(make_examples(nlp))["spert"] > 0.0

    def test_blank_tokens_train(self, trained):
        nlp = clone(trained)
        doc = Doc(nlp.vocab, words=["\n  ", "Ann", " ", "met", "Bob"])
        gold = doc.copy()
        gold.spans["spert"] = [Span(gold, 1, 2, label="PER"), Span(gold, 4, 5, label="PER")]
        gold._.relations = [(*gold.spans["spert"], "partner_of")]
        losses = nlp.update([Example(doc, gold)])
        assert 0.0 < losses["spert"] < math.inf

    def test_truncated_tokens_train(self, encoder):
        long = "Ann " + "x" * 40 + " met Bob at Zeta"
        texts = [*TEXTS, (long, [(0, 1, "PER"), (3, 4, "PER"), (5, 6, "ORG")], [(1, 2, "works_for")])]
        nlp = initialize(make_nlp(encoder, max_length=32, **QUICK), texts)
        losses = train(nlp, 5, texts=texts)
        assert losses[-1] < losses[0]
        # Nothing behind the long word is seen.
        assert all(span.end <= 2 for span in nlp(long).spans["spert"])


class TestSamples:
    def test_all_gold_and_the_asked_number_of_negatives(self, trained):
        spert = clone(trained).get_pipe("spert")
        spert.cfg.update(negative_spans=5, negative_relations=3)
        samples = make_samples(spert, [make_example(trained, *TEXTS[0])])
        assert samples.spans[:3].tolist() == [[0, 2], [4, 6], [7, 8]]
        labels = [1 + ENTITY_LABELS.index(label) for label in ("PER", "ORG", "LOC")]
        assert samples.span_labels.tolist() == labels + [0] * 5
        assert samples.pairs[:2].tolist() == [[0, 1], [1, 2]]
        assert samples.pair_labels.tolist() == [[0, 0, 1], [1, 0, 0]] + [[0, 0, 0]] * 3

    def test_symmetric_gold_is_in_textual_order(self, trained):
        text, entities, _ = TEXTS[1]
        samples = make_samples(
            trained.get_pipe("spert"), [make_example(trained, text, entities, [(1, 0, "partner_of")])]
        )
        assert samples.pairs.tolist() == [[0, 1], [1, 0]]
        assert samples.pair_labels.tolist() == [[0, 1, 0], [0, 0, 0]]

    def test_directed_gold_keeps_its_direction(self, trained):
        text, entities, _ = TEXTS[1]
        samples = make_samples(
            trained.get_pipe("spert"), [make_example(trained, text, entities, [(1, 0, "works_for")])]
        )
        assert samples.pairs.tolist() == [[1, 0], [0, 1]]

    def test_two_labels_of_one_pair_share_a_row(self, trained):
        text, entities, _ = TEXTS[1]
        both = [(0, 1, "works_for"), (0, 1, "partner_of")]
        samples = make_samples(trained.get_pipe("spert"), [make_example(trained, text, entities, both)])
        assert samples.pairs.tolist() == [[0, 1], [1, 0]]
        assert samples.pair_labels.tolist() == [[0, 1, 1], [0, 0, 0]]

    def test_spans_of_later_documents_are_shifted(self, trained):
        examples = [make_example(trained, *TEXTS[1]), make_example(trained, "", []), make_example(trained, *TEXTS[1])]
        samples = make_samples(trained.get_pipe("spert"), examples)
        n_tokens, n_spans = len(examples[0].predicted), len(samples.spans) // 2
        assert samples.spans[n_spans : n_spans + 2].tolist() == [[n_tokens, n_tokens + 1], [n_tokens + 2, n_tokens + 3]]
        assert samples.pairs.tolist() == [[0, 1], [n_spans, n_spans + 1], [1, 0], [n_spans + 1, n_spans]]

    def test_negatives_stay_within_sentences(self, trained):
        example = make_example(trained, "Ann slept . Bob ran .", [(0, 1, "PER"), (3, 4, "PER")])
        for token in example.predicted:
            token.is_sent_start = token.i in (0, 3)
        samples = make_samples(trained.get_pipe("spert"), [example])
        assert len(samples.spans) == 12
        assert all(end <= 3 or start >= 3 for start, end in samples.spans)
        assert len(samples.pairs) == 0

    def test_weak_negatives_take_any_span(self, trained):
        spert = clone(trained).get_pipe("spert")
        spert.cfg.update(negative_sampling="weak", negative_relations=10**6)
        samples = make_samples(spert, [make_example(trained, *TEXTS[1])])
        # All ordered pairs of the spans of at most four of six tokens.
        assert len(samples.spans) == 18
        assert len({tuple(pair) for pair in samples.pairs.tolist()}) == len(samples.pairs) == 18 * 17

    def test_gold_is_mapped_to_the_predicted_tokens(self, trained):
        gold = make_doc(trained.vocab, "Ann-Lee met Bob", [(0, 1, "PER"), (2, 3, "PER")], [(0, 1, "partner_of")])
        words, spaces = ["Ann", "-", "Lee", "met", "Bob"], [False, False, True, True, True]
        samples = make_samples(
            trained.get_pipe("spert"), [Example(Doc(trained.vocab, words=words, spaces=spaces), gold)]
        )
        assert samples.spans[:2].tolist() == [[0, 3], [4, 5]]
        assert samples.pairs[0].tolist() == [0, 1]


class TestDataWithoutRelations:
    @pytest.fixture(scope="class")
    @classmethod
    def nlp(cls, encoder):
        nlp = make_nlp(encoder, **QUICK)
        texts = [(text, entities, []) for text, entities, _ in TEXTS]
        initialize(nlp, texts)
        train(nlp, 40, texts=texts)
        return nlp

    def test_entities_are_learned(self, nlp):
        assert [entities_of(nlp(text)) for text, _, _ in TEXTS] == [sorted(entities) for _, entities, _ in TEXTS]

    def test_relations_stay_empty(self, nlp):
        assert [nlp(text)._.relations for text, _, _ in TEXTS] == [()] * len(TEXTS)

    def test_labels(self, nlp):
        assert nlp.get_pipe("spert").label_data == {"entities": ENTITY_LABELS, "relations": []}

    def test_roundtrip(self, nlp):
        assert_same_predictions([nlp(TEXTS[0][0])], [clone(nlp)(TEXTS[0][0])])


class TestAblations:
    @pytest.mark.parametrize("pooling", ["max", "mean", "sum"])
    @pytest.mark.parametrize("context", ["localized", "sentence", "cls"])
    def test_context_and_pooling_train_and_predict(self, encoder, context, pooling):
        nlp = make_nlp(encoder, max_span_width=4, model={"context": context, "pooling": pooling, "dropout": 0.0})
        initialize(nlp)
        losses = train(nlp, 3)
        assert losses[2] < losses[0]
        assert encoder_gradients(nlp)
        assert len(list(nlp.pipe(text for text, _, _ in TEXTS))) == len(TEXTS)

    def test_weak_negatives_train(self, encoder):
        nlp = initialize(make_nlp(encoder, negative_sampling="weak", **QUICK))
        losses = train(nlp, 3)
        assert losses[2] < losses[0]

    @pytest.mark.parametrize("settings", [{"negative_spans": 0}, {"negative_relations": 0}])
    def test_no_negatives_train(self, encoder, settings):
        losses = train(initialize(make_nlp(encoder, **settings, **QUICK)), 2)
        assert losses[1] < losses[0]

    def test_dropout_changes_the_loss_only_in_training(self, encoder):
        nlp = initialize(make_nlp(encoder, max_span_width=4, model={"dropout": 0.5}))
        nlp.get_pipe("spert").cfg.update(negative_spans=10**6, negative_relations=10**6)
        losses = [nlp.update(make_examples(nlp), sgd=False)["spert"] for _ in range(2)]
        assert losses[0] != losses[1]
        assert_same_predictions([nlp(TEXTS[0][0])], [nlp(TEXTS[0][0])])


class TestFrozenTransformer:
    @pytest.fixture(scope="class")
    @classmethod
    def frozen(cls, encoder):
        nlp = initialize(make_nlp(encoder, **QUICK))
        before = encoder_weights(nlp), head_weights(nlp)
        losses = train(nlp, 30, annotates=["transformer"], exclude=["transformer"])
        return nlp, before, losses

    def test_encoder_is_unchanged(self, frozen):
        nlp, (weights, _), _ = frozen
        assert not changed(weights, encoder_weights(nlp))

    def test_head_learns(self, frozen):
        nlp, (_, head), losses = frozen
        assert changed(head, head_weights(nlp)) == set(head)
        assert losses[-1] < losses[0] / 2

    def test_without_annotating_component_the_error_names_the_transformer(self, encoder):
        nlp = initialize(make_nlp(encoder, **QUICK))
        with pytest.raises(ValueError, match="E203"):
            nlp.update(make_examples(nlp), exclude=["transformer"])


def add_tagger(nlp, **kwargs):
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
    listener["pooling"] = {"@layers": "reduce_mean.v1"}
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    nlp.add_pipe("tagger", config={"model": model}, **kwargs)


def add_ner(nlp, **kwargs):
    listener = {"@architectures": "spacy-transformers.TransformerListener.v1", "grad_factor": 1.0}
    listener["pooling"] = {"@layers": "reduce_mean.v1"}
    model = {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 16,
        "maxout_pieces": 2,
        "use_upper": False,
        "tok2vec": listener,
    }
    nlp.add_pipe("ner", config={"model": model}, **kwargs)


def with_tags(examples):
    for example in examples:
        for token in example.reference:
            token.tag_ = "UPPER" if token.text[0].isupper() else "OTHER"
        spans = [span for span in example.reference.spans["spert"] if span.label_ != "ORG"]
        example.reference.set_ents(spans, default="outside")
    return examples


def start_three(nlp):
    """Initialize, and make a step: the weights of a new tagger are zero, and so is its gradient."""
    fix_random_seed(0)
    nlp.initialize(lambda: with_tags(make_examples(nlp)))
    nlp.update(with_tags(make_examples(nlp)), sgd=False)
    finish_update(nlp, Adam(0.01))


class TestBesideOtherListeners:
    @pytest.fixture(scope="class", params=["spert last", "spert first", "spert between"])
    @classmethod
    def shared(cls, encoder, request):
        """A pipeline of three listeners, with the gradients of each alone and of all together."""
        nlp = spacy.blank("xx")
        add_transformer(nlp, encoder)
        order = {
            "spert last": ["tagger", "ner", "spert"],
            "spert first": ["spert", "tagger", "ner"],
            "spert between": ["tagger", "spert", "ner"],
        }[request.param]
        add = {
            "tagger": add_tagger,
            "ner": add_ner,
            "spert": lambda nlp: nlp.add_pipe("spert", config={"negative_spans": 10**6, **QUICK}),
        }
        for name in order:
            add[name](nlp)
        start_three(nlp)
        state = nlp.to_bytes()

        def gradients(excluded):
            copy = load_model_from_config(nlp.config.copy()).from_bytes(state)
            examples = with_tags(make_examples(copy))
            with copy.select_pipes(disable=excluded):
                # Listeners of disabled components would wait for the gradient's last one.
                transformer = copy.get_pipe("transformer")
                for name in excluded:
                    for listener in list(transformer.listener_map.get(name, ())):
                        transformer.remove_listener(listener, name)
                copy.update(examples, sgd=False)
            return encoder_gradients(copy)

        alone = [gradients([other for other in order if other != name]) for name in order]
        return order, alone, gradients([])

    def test_gradients_add_up(self, shared):
        _, alone, together = shared
        for name, array in together.items():
            expected = sum(gradients[name] for gradients in alone)
            tolerance = 1e-6 * max(1.0, *(numpy.abs(gradients[name]).max() for gradients in alone))
            numpy.testing.assert_allclose(array, expected, atol=tolerance, rtol=1e-5, err_msg=name)

    def test_each_has_a_share(self, shared):
        order, alone, _ = shared
        weight = "encoder.layer.0.output.dense.weight"
        shares = {name: numpy.abs(gradients[weight]).max() for name, gradients in zip(order, alone)}
        assert min(shares.values()) > 1e-3, shares

    def test_a_batch_without_samples_leaves_the_others_their_gradient(self, encoder):
        nlp = spacy.blank("xx")
        add_transformer(nlp, encoder)
        add_tagger(nlp)
        nlp.add_pipe("spert", config=QUICK)
        start_three(nlp)
        examples = with_tags(make_examples(nlp))
        for example in examples:
            del example.reference.spans["spert"]
            example.reference.set_ents([], default="missing")
        losses = nlp.update(examples, sgd=False)
        assert losses["spert"] == 0.0 and losses["tagger"] > 0.0
        assert numpy.abs(encoder_gradients(nlp)["encoder.layer.0.output.dense.weight"]).max() > 1e-4


TOK2VEC = {
    "@architectures": "spacy.Tok2Vec.v2",
    "embed": {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": 16,
        "attrs": ["NORM", "SHAPE"],
        "rows": [200, 100],
        "include_static_vectors": False,
    },
    "encode": {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": 16,
        "window_size": 1,
        "maxout_pieces": 2,
        "depth": 1,
    },
}


def encoder_block(kind, nlp, encoder):
    """The tok2vec block of this kind; the component it listens to is added to the pipeline."""
    if kind == "HashEmbedCNN":
        return CNN
    if kind == "Tok2Vec":
        return TOK2VEC
    if kind == "Tok2VecListener":
        nlp.add_pipe("tok2vec", config={"model": TOK2VEC})
        return {"@architectures": "spacy.Tok2VecListener.v1", "width": 16, "upstream": "*"}
    add_transformer(nlp, encoder)
    return {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
        "upstream": "*",
    }


class TestHeadLearnRate:
    @pytest.mark.parametrize("rates", [(0.0, 0.01), (0.01, 0.0)], ids=["heads only", "the rest only"])
    def test_it_is_for_the_heads_of_the_component(self, encoder, rates):
        """Neither for the transformer, nor for a tok2vec block of the component itself."""
        nlp = make_nlp(encoder, **QUICK)
        nlp.add_pipe("spert", name="own", config={**QUICK, "model": {**QUICK["model"], "tok2vec": CNN}})
        initialize(nlp)
        before = self.weights(nlp)
        train(nlp, 3, optimizer=build_adamw(rates[0], head_learn_rate=rates[1], weight_decay=0.0))
        moved = changed(before, self.weights(nlp))
        assert {part for part, _ in moved} == ({"spert", "own"} if rates[1] else {"transformer", "block"})

    def weights(self, nlp):
        parts = {"spert": torch_head(nlp), "own": torch_head(nlp, "own"), "transformer": torch_encoder(nlp)}
        found = {(part, name): weight for part, module in parts.items() for name, weight in weights_of(module).items()}
        for i, node in enumerate(nlp.get_pipe("own").model.walk()):
            found.update({("block", f"{i} {name}"): node.get_param(name).copy() for name in node.param_names})
        return found


class TestOtherEncoders:
    @pytest.fixture(scope="class", params=["HashEmbedCNN", "Tok2Vec", "Tok2VecListener", "TransformerListener"])
    @classmethod
    def run(cls, encoder, request):
        nlp = spacy.blank("xx")
        block = encoder_block(request.param, nlp, encoder)
        model = {"dropout": 0.0, "width_embedding": 8, "tok2vec": block}
        nlp.add_pipe("spert", config={"max_span_width": 4, "symmetric_labels": SYMMETRIC, "model": model})
        initialize(nlp)
        before = nlp.pipeline[0][1].model.to_bytes()
        return nlp, before, train(nlp, 80, learn_rate=0.005 if request.param == "TransformerListener" else 0.01)

    def test_loss_falls(self, run):
        _, _, losses = run
        assert losses[-1] < losses[0] / 10

    def test_encoder_learns(self, run):
        nlp, before, _ = run
        assert nlp.pipeline[0][1].model.to_bytes() != before

    def test_gold_is_reproduced(self, run):
        nlp, _, _ = run
        docs = list(nlp.pipe(text for text, _, _ in TEXTS))
        assert [entities_of(doc) for doc in docs] == [sorted(entities) for _, entities, _ in TEXTS]
        assert [relations_of(doc) for doc in docs] == [gold_relations(e, r) for _, e, r in TEXTS]

    def test_batch_size_does_not_matter(self, run):
        nlp, _, _ = run
        texts = [*(text for text, _, _ in TEXTS), "", "\n  "]
        expected = [nlp(text) for text in texts]
        assert_same_predictions(expected, nlp.pipe(texts, batch_size=4))

    def test_disk_roundtrip(self, run, tmp_path):
        nlp, _, _ = run
        nlp.to_disk(tmp_path)
        texts = [text for text, _, _ in TEXTS]
        assert_same_predictions(nlp.pipe(texts), spacy.load(tmp_path).pipe(texts))

    def test_the_first_documents_may_be_empty(self):
        nlp = spacy.blank("xx")
        nlp.add_pipe("spert", config={"model": {"tok2vec": CNN}})
        nlp.initialize(lambda: [make_example(nlp, "")] * 12 + make_examples(nlp))
        assert nlp.get_pipe("spert").cfg["width"] == 16

    def test_empty_documents_train(self, run):
        nlp = clone(run[0])
        empty = make_example(nlp, "")
        assert nlp.update([empty], sgd=False)["spert"] == 0.0
        assert nlp.update([empty, *make_examples(nlp), empty], sgd=False)["spert"] > 0.0


class TestSpacyLoop:
    @pytest.fixture(scope="class")
    @classmethod
    def result(cls, encoder, tmp_path_factory):
        folder = tmp_path_factory.mktemp("loop")
        vocab = spacy.blank("xx").vocab
        DocBin(docs=[make_doc(vocab, *row) for row in TEXTS]).to_disk(folder / "train.spacy")
        overrides = {"paths.train": str(folder / "train.spacy"), "paths.encoder": str(encoder)}
        config = Config().from_str(CONFIG, overrides=overrides)
        nlp = load_model_from_config(config, auto_fill=True)
        config = nlp.config
        nlp = init_nlp(config)
        (folder / "model").mkdir()
        train_loop(nlp, folder / "model")
        return folder / "model"

    def test_score_weights_are_half_spans_half_strict_relations(self, result):
        weights = spacy.load(result / "model-last").config["training"]["score_weights"]
        assert {name: weight for name, weight in weights.items() if weight} == {
            "spans_spert_f": 0.5,
            "rels_strict_f": 0.5,
        }

    def test_scores_are_recorded(self, result):
        performance = spacy.load(result / "model-best").meta["performance"]
        assert performance["spans_spert_f"] > 0.5
        names = {f"{prefix}_{kind}" for prefix in ("spans_spert", "rels_strict") for kind in "prf"}
        assert names | {"rels_f", "spert_loss"} <= set(performance)

    def test_both_models_load_and_predict(self, result):
        best, last = (spacy.load(result / name) for name in ("model-best", "model-last"))
        assert best(TEXTS[0][0]).spans["spert"] is not None
        assert len(last(TEXTS[0][0]).spans["spert"]) > 0


def test_optimizer_with_global_clipping_trains(encoder):
    nlp = initialize(make_nlp(encoder, **QUICK))
    optimizer = spacy.registry.optimizers.get("spacy-spert.AdamW.v1")(0.01)
    assert isinstance(optimizer, Optimizer)
    losses = train(nlp, 30, optimizer=optimizer)
    assert losses[-1] < losses[0] / 4


def test_averaged_weights_of_the_whole_pipeline_are_used_for_a_while(encoder, tmp_path):
    """Those of the encoder as well, with the parts that nothing is learned about."""
    nlp = initialize(make_nlp(encoder, **QUICK))
    optimizer = spacy.registry.optimizers.get("spacy-spert.AdamW.v1")(0.01, averages_decay=0.8)
    train(nlp, 12, optimizer=optimizer)
    before = [encoder_weights(nlp), head_weights(nlp)]
    with nlp.use_params(optimizer.averages):
        within = [encoder_weights(nlp), head_weights(nlp)]
        nlp.to_disk(tmp_path)
    after = [encoder_weights(nlp), head_weights(nlp)]
    for old, new, averaged in zip(before, after, within):
        assert not changed(old, new)
        assert len(changed(old, averaged)) > len(old) / 2
    saved = spacy.load(tmp_path)
    assert not changed(within[0], encoder_weights(saved)) and not changed(within[1], head_weights(saved))


@pytest.mark.parametrize(
    "settings", [{"consistency": 1.0}, {"boundary_smoothing": 0.1}, {"consistency": 0.5, "boundary_smoothing": 0.2}]
)
def test_parts_of_the_loss_that_can_be_added(encoder, settings):
    """It is learned as well, and both passes agree in the end."""
    model = {"dropout": 0.3, "width_embedding": 8, "relation_head": {"hidden_width": 16, "labels": True}}
    nlp = initialize(make_nlp(encoder, max_span_width=4, model=model, **settings))
    losses = train(nlp, 40)
    assert losses[-1] < losses[0] / 2
    examples = make_examples(nlp)
    docs = [eg.predicted for eg in examples]
    for _, pipe in nlp.pipeline[:-1]:
        pipe.set_annotations(docs, pipe.predict(docs))
    pipe = nlp.get_pipe("spert")
    scores, _ = pipe.model.begin_update((docs, pipe._training(examples)))
    passes = 2 if "consistency" in settings else 1
    assert len(scores[0]) == passes * len(scores[2].spans) and len(scores[1]) == passes * len(scores[2].pairs)
    loss, gradients = pipe.get_loss(examples, scores)
    assert math.isfinite(loss) and [grad.shape for grad in gradients] == [each.shape for each in scores[:2]]


def test_two_passes_differ_by_their_dropout_only(encoder):
    for dropout in (0.0, 0.5):
        nlp = initialize(make_nlp(encoder, max_span_width=4, consistency=1.0, model={"dropout": dropout}))
        examples = make_examples(nlp)
        docs = [eg.predicted for eg in examples]
        for _, pipe in nlp.pipeline[:-1]:
            pipe.set_annotations(docs, pipe.predict(docs))
        pipe = nlp.get_pipe("spert")
        scores, _ = pipe.model.begin_update((docs, pipe._training(examples)))
        for logits in scores[:2]:
            one, other = numpy.split(logits, 2)
            assert numpy.array_equal(one, other) == (dropout == 0.0)
