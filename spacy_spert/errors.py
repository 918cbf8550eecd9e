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
        "and {relations} relation labels and spans of up to {max_width} tokens. The files come from another model, or "
        "were not written to their end."
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
    S033 = "Can't score with symmetric = '{value}'. Choose one of: {options}"
    S040 = "The pipeline has no 'spert' component. Its components are {names}."
    S041 = "No documents in {path}. Expected a file that ends in '.spacy', or a folder of such files."
    S042 = "The pipeline has several 'spert' components: {names}. Choose one of them (--component)."
    S043 = "'{name}' is no 'spert' component of the pipeline. Choose one of {names}."
    S044 = (
        "Can't score relations with the gold entities: component '{name}' predicts no relations. It was trained with "
        "task = 'entities', or without any relation in its data."
    )
    S045 = "The margin is the width of a range of scores below the threshold, between 0 and 1. Got: {value}"
    S046 = (
        "None of the {n} documents is annotated, so there is nothing to compare with. Gold entities are read from "
        "doc.spans['{key}'], or from doc.ents where a document has no such span group."
    )
    S047 = "Can't read {path} as spaCy's binary format (.spacy): {error}"
    S048 = "Can't write {path}: {reason}. Give the name of a file that is not needed for something else."
    S050 = (
        "{path} is no folder of a SpERT checkpoint: {missing} is missing. A checkpoint has config.json, vocab.txt, and "
        "model.safetensors or pytorch_model.bin."
    )
    S051 = (
        "Can't read {path}: expected a file of at most {limit} MB, which is no link to another folder. Put the file "
        "itself there if it belongs to the checkpoint."
    )
    S052 = (
        "Can't read weights from {path}: {reason}. Only plain tensors are read, and nothing in the file is run. Fetch "
        "the file again, or have the program it comes from save a state dict of tensors."
    )
    S053 = (
        "{path} holds another model than SpERT: it has no weights {missing}. It has {found}. The folder of a trained "
        "checkpoint is needed, not that of an encoder."
    )
    S054 = (
        "The checkpoint has {n} {kind} labels, but {types} has {expected}: {labels}. The types.json that the model was "
        "trained with is needed, with all of its labels in their order."
    )
    S055 = "Can't import {path}: {setting} must be {expected}, got: {value}"
    S056 = (
        "The weights of the checkpoint don't fit together, or not to config.json: {problems}. Files of several models "
        "may be mixed, or this is a variant of SpERT, which can't be imported."
    )
    S057 = (
        "The checkpoint has embeddings for spans of up to {limit} tokens, so max_span_width can't be {value}. Choose a "
        "number from 1 to {limit}; the original's setting is max_span_size."
    )
    S058 = (
        "{path} gives {value} as 'spert_version' (none means 1.0), but only models of version 1.1 can be imported. "
        "Earlier ones pool in another way, so that their predictions would be wrong. Train the model anew; or, if you "
        "know that it is of version 1.1, write that into the file."
    )
    S059 = (
        "{path} is not an empty folder. Choose another one. With --force a pipeline that is there is replaced, but "
        "nothing else, and no folder that holds the checkpoint or types.json."
    )
    S060 = "Can't tell the format of {path} by its name. Give it with '{option}'. Formats are: {formats}"
    S061 = "{output} exists. Use --resume to go on with an interrupted run, --force to write it anew, or another name."
    S062 = (
        "Can't go on with {output}: '{setting}' was {before} in the interrupted run and is {now} now. Use the same "
        "again, or begin anew with --force."
    )
    S063 = (
        "Can't go on with {output}: its {lines} lines of input that are done are not the first lines of {input}. Give "
        "the input of the interrupted run, or begin anew with --force."
    )
    S064 = "Can't go on with {output}: it doesn't fit {progress} ({reason}). Was it changed? Begin anew with --force."
    S065 = "The line is longer than {limit} bytes."
    S066 = "Can't use {one} with {other}. {why}"
    S067 = (
        "A worker process ended all of a sudden, usually because memory ran out. Use a smaller --batch-size or fewer "
        "processes (--n-process)."
    )
    S068 = "The pipeline {names} returned {got} documents for {n} texts."
    S069 = "to_networkx needs networkx: pip install networkx"
    S070 = (
        "The transformer's windows reach over {got} of the {n} tokens of document {doc}. The first must begin with the "
        "first token and the last must end with the last, see get_spans in the config of the transformer's model."
    )
    S120 = (
        "Can't compare evaluations of different documents ({one} and {other} documents). Pipelines with different "
        "spans_key need data with the entities in both span groups."
    )
    S121 = "{what} must be {expected}, got: {value}"
    S122 = (
        "Can't fit anything with {n} annotated documents: it takes at least {folds}, one for each fold. Give more "
        "data, or fewer folds (--folds)."
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
    W050 = (
        "The vocabulary {path} has no upper-case letters, but texts are not lower-cased, so that words with such "
        "letters are unknown. If the model was trained with lowercase = true, import it with --lowercase."
    )
    W051 = (
        "The vocabulary {path} has {n} entries, but the model knows {expected}. Make sure that it belongs to the model."
    )
