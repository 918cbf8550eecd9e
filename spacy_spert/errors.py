"""Messages of errors and warnings, one place to read and to reword them.

As in spaCy, every message says what is wrong, where, and what to do about it.
"""


class Errors:
    S001 = (
        "Can't store relation {index} ('{label}') of document {doc}: its {side} {span} is not among the entities in "
        "doc.spans['{key}']. Set the entities first, or add this span to them."
    )
    S002 = "Relation {index} ('{label}') of document {doc} relates {span} to itself. Head and tail must differ."
    S003 = (
        "Can't store relations on document {doc}: it has no entities, neither in doc.spans['{key}'] nor in doc.ents. "
        "Set the entities first; relations point at them."
    )
    S004 = "Relation {index} of document {doc} points at entity {entity}, but doc.spans['{key}'] holds {n} entities."
    S005 = (
        "Expected spacy_spert.Relation(head, tail, label, score) or a tuple of that form as relation {index} of "
        "document {doc}, got: {value}"
    )
    S006 = "Relation {index} ('{label}') of document {doc}: its {side} {span} belongs to another document."
    S010 = (
        "Component '{name}' found no entities in the training data ({docs} documents read). Entities are read from "
        "doc.spans['{key}'], or from doc.ents where a document has no such span group. `spacy spert convert` writes "
        "both."
    )
    S011 = (
        "Component '{name}' expects the relation labels {labels}, but not one relation was read from the training "
        "data ({docs} documents, {ents} entities). Relations are read from doc._.relations; they are kept in the "
        "attributes of a span group, so converting with Doc.to_json or cutting documents (Corpus max_length, "
        "gold_preproc) loses them."
    )
    S012 = (
        "Component '{name}' does not know the {kind} label '{label}' of document {doc}. Its labels are {labels}. Fix "
        "the annotation or add the label to [initialize.components.{name}.labels]."
    )
    S013 = (
        "Document {doc} has two entities over the same tokens {span} with different labels: '{one}' and '{two}'. "
        "Keep one of them; a span has one entity label."
    )
    S015 = (
        "Component '{name}' is initialized already and can't take another label ('{label}'). Add all labels before "
        "nlp.initialize()."
    )
    S016 = "Component '{name}' gets labels of the form {form}; got: {value}. `spacy init labels` writes the right form."
    S017 = (
        "Component '{name}': symmetric label '{label}' is not among the relation labels {labels}. Correct "
        "[components.{name}] symmetric_labels."
    )
    S020 = (
        "Component '{name}' listens to a transformer, but the pipeline has none before it. Add one with "
        "nlp.add_pipe('transformer', before='{name}') (pip install spacy-transformers), or give the component its own "
        "embeddings in [components.{name}.model.tok2vec], e.g. spacy.HashEmbedCNN.v2."
    )
    S021 = (
        "Component '{name}' reads wordpieces from a spacy-transformers 'transformer', but '{upstream}' is a "
        "{factory}, whose output has another form. Replace it with nlp.add_pipe('transformer') "
        "(pip install spacy-transformers)."
    )
    S022 = (
        "No transformer output on document {doc}. Is the 'transformer' component disabled, or placed after this one? "
        "The document must pass through it first (doc._.trf_data)."
    )
    S023 = (
        "Expected spacy_transformers TransformerData on document {doc}, got {value}. This component works with the "
        "'transformer' of spacy-transformers, not with curated transformers."
    )
    S024 = (
        "The embeddings are {got} wide, but the model was made for a width of {width}. The pipeline's encoder is not "
        "the one this component was trained with."
    )
    S025 = (
        "Can't load the weights of component '{name}': they don't fit a model of width {width} with {entities} entity "
        "and {relations} relation labels and spans of up to {max_width} tokens. The files come from another model."
    )
    S026 = "The component's model is not initialized. Call nlp.initialize() or load a trained pipeline."
    S030 = (
        "Loss of component '{name}' is {loss} (first document of the batch: {doc}). Training stops here, so that the "
        "last good model is kept. A lower learn_rate or a longer warm-up usually helps; check also for documents of "
        "extreme length."
    )
    S031 = "Setting {setting} of component '{name}' must be {expected}, got: {value}"
    S032 = (
        "Component '{name}' takes the entities as given (task = 'relations'), but document {doc} has no span group "
        "'{key}'. Add a component that writes it before this one."
    )
    S040 = "Pipeline '{model}' has no 'spert' component. Its components are {names}."
    S041 = "No documents in {path}."
    S033 = "Can't score with symmetric = '{value}'. Choose one of: {options}"
    S070 = (
        "The transformer's windows reach over {got} of the {n} tokens of document {doc}. The first must begin with the "
        "first token and the last must end with the last, see get_spans in the config of the transformer's model."
    )


class Warnings:
    W001 = (
        "Component '{name}' kept only the best {limit} of {n} predicted entities in a sentence of {tokens} tokens "
        "(document {doc}). This is usual for an untrained model. Further cases are not reported."
    )
    W002 = (
        "Component '{name}' kept only the best {limit} of {n} predicted relations in a document of {tokens} tokens "
        "(document {doc}). This is usual for an untrained model. Further cases are not reported."
    )
    W003 = (
        "Component '{name}' can't find entities in {n} of the {tokens} tokens of document {doc}: they were cut off, as "
        "a window has more wordpieces than the transformer takes. Use smaller windows, see get_spans in the config of "
        "the transformer's model. Further cases are not reported."
    )
