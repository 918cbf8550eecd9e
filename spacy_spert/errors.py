"""Messages of errors and warnings, one place to read and to reword them.

As in spaCy, every message says what is wrong, where, and what to do about it, and begins with its code in brackets.
"""

from spacy.errors import ErrorsWithCodes


class Errors(metaclass=ErrorsWithCodes):
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
        "document {doc}, got: {value}. If another package writes relations of its own to the same attribute, choose "
        "another name for these: spacy_spert.install_extension(name='...')"
    )
    S006 = "Relation {index} ('{label}') of document {doc}: its {side} {span} belongs to another document."
    S007 = (
        "Can't read the relations of document {doc}: tokens were merged or split after they were stored, so that the "
        "entities in doc.spans['{key}'] lie on other words now. Place components that change tokens before the one "
        "that finds relations."
    )
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
        "the annotation, or add the label to [initialize.components.{name}.labels]. A trained component learns more "
        "labels after add_label; in a config with 'source' use the callback spacy-spert.add_labels.v1."
    )
    S015 = (
        "Component '{name}' can't add {label} as a label of kind {kind}. A label is a string that is not empty, and "
        "its kind is 'entity' or 'relation'."
    )
    S016 = "Component '{name}' gets labels of the form {form}; got: {value}. `spacy init labels` writes the right form."
    S017 = (
        "Component '{name}': symmetric label '{label}' is not among the relation labels {labels}. Correct "
        "[components.{name}] symmetric_labels."
    )
    S018 = (
        "No vectors of a 'tok2vec' component on document {doc}. Is the component disabled, or placed after this one? "
        "The document must pass through it first (doc.tensor)."
    )
    S020 = (
        "Component '{name}' listens to a transformer, but the pipeline has none before it. Add one with "
        "nlp.add_pipe('transformer', before='{name}') (pip install spacy-transformers), or give the component its own "
        "embeddings in [components.{name}.model.tok2vec], e.g. spacy.HashEmbedCNN.v2."
    )
    S021 = (
        "Component '{name}' does not listen to '{upstream}', which is a {factory}: its output has another form. Put "
        "{listener} into [components.{name}.model.tok2vec]."
    )
    S022 = (
        "No transformer output on document {doc}. Is the 'transformer' component disabled, or placed after this one? "
        "The document must pass through it first (doc._.trf_data)."
    )
    S023 = (
        "Can't read {value} as the encoder's output for document {doc}. In [components.spert.model.tok2vec], "
        "'spacy-spert.WordpieceListener.v1' reads a transformer of spacy-transformers, "
        "'spacy-spert.CuratedListener.v1' one of spacy-curated-transformers; any other layer must give one vector for "
        "each token."
    )
    S024 = (
        "The embeddings are {got} wide, but the model was made for a width of {width}. The pipeline's encoder is not "
        "the one this component was trained with."
    )
    S025 = (
        "Can't load the weights of component '{name}': they don't fit a model of width {width} with {entities} entity "
        "and {relations} relation labels and spans of up to {max_width} tokens. The files come from another model, or "
        "were not written to their end. They were saved by spacy-spert {saved}, and this is {version}.{reason}"
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
    S037 = "Component '{name}' has no setting '{setting}'. Its settings are: {known}"
    S034 = (
        "The config says {setting} = {value} for component '{name}', but its weights were trained with {trained} and "
        "don't fit another value. Change it back in [components.{name}], or train anew."
    )
    S035 = (
        "Component '{name}' listens to '{upstream}', but there is no such component before it. Those before it are "
        "{names}. Correct 'upstream' in [components.{name}.model.tok2vec], or set it to \"*\" for any transformer."
    )
    S036 = "There is no component '{name}' whose labels could be added. The pipeline has: {names}."
    S040 = "The pipeline has no 'spert' component. Its components are {names}."
    S041 = "No documents in {path}. Expected a file that ends in '.spacy', or a folder of such files."
    S042 = "The pipeline has several 'spert' components: {names}. Choose one of them (--component)."
    S043 = "'{name}' is not a 'spert' component of the pipeline. Choose one of {names}."
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
        "{path} is not the folder of a SpERT checkpoint: {missing} is missing. A checkpoint has config.json, "
        "vocab.txt, and model.safetensors or pytorch_model.bin."
    )
    S051 = (
        "Can't read {path}: expected a file of at most {limit} MB, not a link to another folder. Put the file "
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
        "nothing else, and no folder that holds what the new one is made of."
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
        "A worker process ended suddenly, usually because memory ran out. Use a smaller --batch-size or fewer "
        "processes (--n-process)."
    )
    S068 = "The pipeline {names} returned {got} documents for {n} texts."
    S069 = "to_networkx needs networkx: pip install networkx"
    S070 = (
        "The transformer's windows reach over {got} of the {n} tokens of document {doc}. The first must begin with the "
        "first token and the last must end with the last, see get_spans in the config of the transformer's model."
    )
    S100 = (
        "Another package has registered doc._.{name} ({value}). Choose another name for the relations of this one with "
        "spacy_spert.install_extension(name='...'), before a pipeline with a 'spert' component is made or loaded. They "
        "are then in doc._ under that name, and spacy_spert.get_relations(doc) reads them under any."
    )
    S080 = (
        "The tokens were merged or split after component '{name}' (by {pipes}), so that its entities lie on other "
        "words now. Place '{name}' after the components that change tokens."
    )
    S081 = "{output} is being written by another run. Wait for its end, or choose another output."
    S082 = (
        "Can't go on with {output}: the model {model} has changed since the interrupted run, and the output would be "
        "that of two models. Use the model of that run, or begin anew with --force."
    )
    S083 = "{name} is closed. Open it, or give the name of a file instead of '-'."
    S140 = "Pipelines that run on ONNX Runtime need {name}: pip install 'spacy-spert[onnx]'"
    S141 = (
        "A transformer on ONNX Runtime can't be initialized, it is made of a trained one: `spacy spert optimize`. To "
        "use it in another pipeline, source the component: nlp.add_pipe('transformer', source=spacy.load(...))."
    )
    S142 = (
        "A component with a {listener} can't get a transformer on ONNX Runtime of its own. Let it listen to the shared "
        "one, or replace its listeners before the pipeline is optimized."
    )
    S143 = (
        "A transformer on ONNX Runtime or in half precision can't be trained. To train other components on what it "
        "gives, put its name into [training] frozen_components and annotating_components. To train the transformer, "
        "take the pipeline as it was before, and optimize the result."
    )
    S144 = (
        "The pipeline has no 'transformer' component of spacy-transformers to optimize. Its components are {names}. A "
        "transformer inside of another component, as nlp.replace_listeners makes it, stays as it is."
    )
    S145 = (
        "The transformer '{name}' ({kind}) can't be exported to ONNX: {reason}. The pipeline works as it is; nothing "
        "else can be done for a transformer of this kind."
    )
    S146 = (
        "The transformer '{name}' ({kind}) can't be exported to ONNX: it gives other embeddings there, with "
        "differences of up to {difference:.2g} (at most {limit:.2g} is allowed). The pipeline works as it is."
    )
    S147 = "The transformer has no matrix product with fixed weights that could be computed in int8. Leave out --int8."
    S148 = (
        "The optimized pipeline loses too much: {losses}. At most {limit} points may be lost (--limit). Leave out "
        "--int8, or keep the pipeline as it is."
    )
    S149 = "The pipeline has no transformer whose weights could be shortened. Its components are {names}."
    S120 = (
        "Can't compare evaluations of different documents ({one} and {other} documents). Pipelines with different "
        "spans_key need data with the entities in both span groups."
    )
    S121 = "{what} must be {expected}, got: {value}"
    S122 = (
        "Can't fit anything with {n} annotated documents: it takes at least {folds}, one for each fold. Give more "
        "data, or fewer folds (--folds)."
    )
    S150 = (
        "`spacy spert serve` needs fastapi, uvicorn and prometheus_client: pip install 'spacy-spert[serve]' ({error})"
    )
    S151 = "A request has one field, either 'texts' or 'records'. Got: {value}"
    S152 = "A request may have {limit} texts, and this one has {n}. Send several."
    S153 = "A request may have {limit} {unit}, and this one has more. Send several, or divide the text."
    S154 = "As many requests wait as may ({limit}). Try again later."
    S155 = "No answer within {timeout:g} seconds. Send fewer texts, or try again later."
    S156 = "The service is stopping, or its pipeline has failed. Try again later."
    S157 = "The request did not arrive within {timeout:g} seconds."
    S158 = "One text is drawn at a time, and no tokens."

    S110 = "The number of texts to select must be above 0, got {n}."
    S112 = (
        "A relation head with `inverse` needs a hidden layer: set hidden_width in "
        "[components.spert.model.relation_head], e.g. to 256, or leave inverse out."
    )
    S113 = "'{name}' of the augmenter is a share, a number between 0 and 1. Got: {value}"
    S114 = "'averages_decay' of the optimizer must be at least 0 and below 1, such as 0.999. Got: {value}"
    S111 = "There is nothing to select: {pool} has no text that can be used."
    S160 = "Setting {setting} is for the label '{label}', which the component does not have. Its labels are: {labels}"
    S161 = (
        "The transformer that component '{name}' reads works in {dtype}, which numpy does not have. Load it in float32 "
        "or float16 (torch_dtype in [components.transformer.model.transformer_config])."
    )
    S170 = "Transformers of spacy-curated-transformers need it installed: pip install 'spacy-spert[curated]'"
    S171 = (
        "Component '{name}' listens to a transformer of spacy-curated-transformers, but the pipeline has none before "
        "it. Take one from a trained pipeline: nlp.add_pipe('transformer', source=spacy.load('en_core_web_trf'), "
        "before='{name}')."
    )
    S172 = (
        "The transformer's output is for {got} tokens, but document {doc} has {n}. Were tokens merged or split since? "
        "Place what does that before the transformer."
    )
    S173 = (
        "Transformers of spacy-curated-transformers can't be trained with numpy {version}: pip install 'numpy<2.4'. Or "
        "freeze the transformer: put its name into [training] frozen_components and annotating_components."
    )
    S174 = "Parquet needs pyarrow: pip install 'spacy-spert[parquet]'"
    S175 = "Can't read {path} as Parquet: {error}"
    S176 = "{path} has neither a column 'text' nor one 'tokens'. Its columns are: {columns}"
    S177 = (
        "Column '{column}' of {path} is of type {type}, which is no text. Write it as text, or leave the column out if "
        "it isn't needed."
    )
    S178 = (
        "There is no file to read at {pattern}. Give a file, a folder, or a pattern in quotes, such as "
        "'texts/*.jsonl.gz'. In a folder, files are read that end in one of: {formats}"
    )
    S179 = (
        "{path} has other files than those of an earlier run, such as {name}. Choose a new folder, or one that is "
        "empty."
    )
    S180 = (
        "Can't go on with {output}: {input} has changed, or was not among the files of the interrupted run, or is no "
        "more. Give the same files again, or begin anew with --force."
    )
    S181 = "The cluster has no {kind} to use. See its resources with: ray status"
    S182 = "A cluster needs Ray: pip install 'spacy-spert[ray]' ({error})"
    S190 = "The format '{name}' has no options, got: {options}"
    S193 = "{output} exists. Use --force to write it anew, or another name."
    S192 = (
        "The pipelines count relations without direction in different ways ('{one}' and '{other}'), so that their "
        "scores can't be compared. Choose one with --symmetric."
    )
    S230 = (
        "Can't mix {layers} layers of the encoder: 'layers' in [components.transformer.model] must be from 1 to "
        "{most}. The embeddings below the first layer count as one."
    )
    S231 = (
        "A component with a {listener} can't get a transformer with a mix of layers of its own. Let it listen to the "
        "shared one."
    )
    S201 = "{path} exists. Give another name, or --force to write it anew."
    S202 = (
        "There is no transformer in {path}: config.json is missing, or its model_type is unknown. Give the folder of a "
        "transformer, or its name on the hub."
    )
    S203 = (
        "Component '{name}' was saved by spacy-spert {saved} in format {format}. This is spacy-spert {version}, which "
        "reads {formats}. Load it with the version that saved it: pip install 'spacy-spert=={saved}'"
    )
    S204 = (
        "Component '{name}' was saved by spacy-spert {saved} with a setting '{setting}', which spacy-spert {version} "
        "does not have. Load it with the version that saved it, or take the setting out of the component's 'cfg'."
    )
    S206 = (
        "The pipeline was saved for spacy-spert{needed}, and this is spacy-spert {version}, which can't read it: pip "
        "install 'spacy-spert{needed}'"
    )
    S207 = (
        "{path} does not hold the scores of component '{component}', but of {got}. Expected what `spacy spert evaluate "
        "MODEL DATA --output` writes."
    )
    S208 = (
        "The scores in {path} are those with given entities (--gold-entities), which say nothing of the pipeline as a "
        "whole. Evaluate it without."
    )


class Warnings(metaclass=ErrorsWithCodes):
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
    W004 = (
        "Component '{name}' found no entities in the training data ({docs} documents read), so that it has only the "
        "labels that it was given. This is right if weights are loaded next. To train it, give entities in "
        "doc.spans['{key}'], or in doc.ents where a document has no such span group."
    )
    W005 = (
        "[training.score_weights] counts {missing}, but component '{name}' with spans_key = '{key}' gives {given}. "
        "A missing score has no part in the choice of the best model. Change the names in [training.score_weights]."
    )
    W006 = (
        "Component '{name}' found no relations in the training data ({docs} documents, {ents} entities). It will learn "
        "entities only, and scores of relations stay at 0. If that is what you want, use the factory 'spert_entities'. "
        "Relations are read from doc._.relations."
    )
    W007 = (
        "Component '{name}' takes the entities as given, but no component before it assigns {place}. If the documents "
        "don't come with entities either, no relations are found. Add a component before it, or check 'entities_key'."
    )
    W008 = (
        "Component '{name}' can't find {n} of the annotated entities and relations: it has no label for them, so that "
        "they count as missed. {labels}. Further cases are not reported."
    )
    W010 = (
        "Component '{name}': the relations of {n} of the {docs} documents are not known, so no pairs are learned from "
        "these. Relations are kept in the attributes of a span group, which spaCy's augmenters, Doc.to_json and "
        "cutting documents (max_length and gold_preproc of spacy.Corpus.v1) drop: 'spacy-spert.keep_relations.v1' "
        "wraps an augmenter, 'spacy-spert.Corpus.v1' cuts documents, and both keep them. If a document has no "
        "relations, say so: spacy_spert.set_relations(doc, [])."
    )
    W011 = (
        "The augmenter made {changed} of {doc}, and what became of the entities can't be told. The document is taken "
        "as it was. An augmenter may change letters, white space, or words one by one. Further cases are not reported."
    )
    W012 = (
        "Left out {n} parts of documents in {path}: sentences of {max_length} tokens or more, or documents as long "
        "without sentence marks. Raise max_length of the corpus, or set it to 0 for no limit."
    )
    W030 = (
        "Found {n} documents whose relations are in doc._.rel, where other tools leave them, and nowhere else. They "
        "are not read from there, but taken as not known. Convert the data first: spacy spert convert IN.spacy "
        "OUT.spacy --from {format}"
    )
    W050 = (
        "The vocabulary {path} has no upper-case letters, but texts are not lower-cased, so that words with such "
        "letters are unknown. If the model was trained with lowercase = true, import it with --lowercase."
    )
    W051 = (
        "The vocabulary {path} has {n} entries, but the model knows {expected}. Make sure that it belongs to the model."
    )
    W036 = (
        "'{old}' is called '{new}' since spacy-spert {version}. Use the new name: the old one "
        "stays until the end of the next major version."
    )
