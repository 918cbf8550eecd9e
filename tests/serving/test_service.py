"""A real server, and clients that ask it."""

import json
import os
import re
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import click
import forked
import httpx
import pytest
import spacy
from conftest import serving
from spacy.cli import app as spacy_app
from typer.testing import CliRunner
from util import ENTITY_LABELS, RELATION_LABELS, SYMMETRIC, TEXTS, uncoded

from spacy_spert import Extractor
from spacy_spert.cli.extract import extract

WORDS = [text for text, _, _ in TEXTS]


def ask(client, **body):
    answer = client.post("/extract", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["records"]


def metric(client, name):
    text = client.get("/metrics").text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def close(records):
    """Without the last decimals of scores, which depend on what else is in a batch."""
    text = json.dumps(records)
    return re.sub(r'("score": \d\.\d{4})\d*', r"\1", text)


def test_what_extract_writes(client, model, tmp_path):
    records = [{"text": text, "id": f"x{i}", "meta": {"deep": [i, None, "\u00e9"]}} for i, text in enumerate(WORDS)]
    records.insert(2, {"tokens": ["Ann", "Lee", "works", "for", "Acme", "Labs", "in", "Bonn", "."], "id": 7})
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    extract(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf8").splitlines()
    found = ask(client, records=records)
    assert close(found) == close([json.loads(line) for line in lines])
    assert sum(len(record["relations"]) for record in found) > 8
    assert close(ask(client, texts=WORDS[:1])) == close([{k: found[0][k] for k in ("text", "entities", "relations")}])
    assert ask(client, texts=[]) == ask(client, records=[]) == []


def test_a_bad_text_is_an_error_of_its_own(client):
    records = [
        {"text": WORDS[0]},
        {"text": 7, "id": "b"},
        {"text": "Fail here", "meta": {"x": 1}},
        {"text": "a", "tokens": ["a"]},
        {"text": WORDS[1], "id": "\ud800"},
        "none",
        {"text": WORDS[1]},
    ]
    # Not with httpx, which refuses to send half of a character.
    answer = client.post("/extract", content=json.dumps({"records": records}))
    found = answer.json()["records"]
    assert answer.status_code == 200 and len(found) == len(records)
    assert [uncoded(record.get("error", ""))[:30] for record in found] == [
        "",
        "Expected 'text' to be a string",
        "RuntimeError: no such text",
        "Exactly one of 'text' and 'tok",
        "'utf-8' codec can't encode cha",
        "Expected the record to be an o",
        "",
    ]
    assert found[1]["id"] == "b" and found[2]["meta"] == {"x": 1}
    assert len(found[0]["relations"]) == 2 and len(found[6]["relations"]) == 1


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "Not valid JSON"),
        (b"[1]", "Expected the request to be an object, got: [1]"),
        (b"{}", "one field, either 'texts' or 'records'. Got: []"),
        (b'{"texts": [], "records": []}', "Got: ['texts', 'records']"),
        (b'{"texts": ["a"], "threshold": 0.5}', "Got: ['texts', 'threshold']"),
        (b'{"texts": "a"}', "Expected 'texts' to be a list, got: 'a'"),
        (b'{"texts": [NaN]}', "NaN is no JSON number"),
    ],
)
def test_request_of_another_form(client, content, message):
    answer = client.post("/extract", content=content)
    assert answer.status_code == 422 and message in answer.json()["detail"]


def test_requests_that_are_too_large(model, monkeypatch):
    monkeypatch.setattr("spacy_spert.serving.app.MORE_BYTES", 1000)
    with serving(model, max_texts=3, max_characters=20) as client:
        for body, message in (
            ({"texts": ["a"] * 4}, "may have 3 texts, and this one has 4"),
            ({"texts": ["a" * 10, "b" * 11]}, "may have 20 characters"),
            ({"records": [{"tokens": ["a" * 10, "b" * 11]}]}, "may have 20 characters"),
            ({"records": [{"text": "a", "meta": {"x": "y" * 2000}}]}, "may have 1320 bytes"),
        ):
            answer = client.post("/extract", json=body)
            assert answer.status_code == 413 and message in answer.json()["detail"]
        # Without a length, and it is not read to its end.
        answer = client.post("/extract", content=(b"x" * 1000 for _ in range(1000)))
        assert answer.status_code == 413
        assert len(ask(client, texts=["a" * 10, "b" * 10])) == 2


def test_batches_of_what_has_arrived(model, control):
    """While one text is under way, those of others gather. All are processed by one thread, and get their answers."""
    with serving(model) as client, ThreadPoolExecutor(16) as pool:
        expected = [close(ask(client, texts=[text])) for text in WORDS]
        first = pool.submit(ask, client, texts=["Wait ."])
        while "Wait ." not in control.texts:
            time.sleep(0.01)
        before = metric(client, "spert_batch_texts_count")
        answers = [pool.submit(ask, client, texts=[WORDS[i % len(WORDS)]]) for i in range(12)]
        while client.get("/health").json()["waiting"] < 13:
            time.sleep(0.01)
        control.go_on.set()
        assert first.result()[0]["text"] == "Wait ."
        assert [close(answer.result()) for answer in answers] == [expected[i % len(WORDS)] for i in range(12)]
        assert metric(client, "spert_batch_texts_count") == before + 2
        assert metric(client, 'spert_texts_total{outcome="ok"}') == 8 + 1 + 12
    assert len(control.threads) == 1


def test_busy(model, control):
    with serving(model, max_waiting=2) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(ask, client, texts=[f"Wait {i}"]) for i in range(2)]
        while client.get("/health").json()["waiting"] < 2:
            time.sleep(0.01)
        answer = client.post("/extract", json={"texts": ["a"]})
        assert answer.status_code == 429 and answer.headers["Retry-After"] == "1"
        assert uncoded(answer.json()["detail"]) == "As many requests wait as may (2). Try again later."
        assert 'spert_requests_total{path="/extract",status="429"} 1.0' in client.get("/metrics").text
        control.go_on.set()
        assert [len(each.result()) for each in waiting] == [1, 1]


def test_given_up(model, control):
    """What nobody waits for any more is not processed."""
    with serving(model, timeout=0.3) as client:
        assert client.post("/extract", json={"texts": ["Wait ."]}).status_code == 504
        answer = client.post("/extract", json={"texts": ["never"]})
        assert answer.status_code == 504 and "No answer within 0.3 seconds" in answer.json()["detail"]
        assert client.get("/health").json()["waiting"] == 0
        control.go_on.set()
        assert len(ask(client, texts=[WORDS[0]])) == 1
        assert control.texts == ["Wait .", WORDS[0]]


def test_request_that_does_not_arrive(model):
    with serving(model, timeout=0.3) as client:
        url = client.base_url
        with socket.create_connection((url.host, url.port)) as connection:
            connection.sendall(b"POST /extract HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_health_labels_metrics_and_docs(client, model):
    assert client.get("/health").json() == {"status": "ready", "model": "model", "waiting": 0}
    assert client.get("/labels").json() == {
        "component": "spert",
        "entities": ENTITY_LABELS,
        "relations": RELATION_LABELS,
        "symmetric": SYMMETRIC,
    }
    for i in range(3):
        assert client.get(f"/nothing/{i}").status_code == 404
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'spert_requests_total{path="other",status="404"} 3.0' in answer.text
    assert "process_resident_memory_bytes" in answer.text and "/nothing" not in answer.text
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/extract", "/health", "/labels", "/metrics"}
    example = schema["paths"]["/extract"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert len(ask(client, **example)) == 1
    assert client.get("/docs").status_code == 200


def test_words_are_forgotten(model):
    with serving(model) as client:
        ask(client, texts=WORDS)
        strings = client.app.state.service.batcher.start().nlp.vocab.strings
        before = len(strings)
        for i in range(20):
            ask(client, texts=[f"New{i} met Old{i}"])
        assert len(strings) == before


def test_drawing(client):
    body = client.post("/draw", json={"texts": [WORDS[2]]}).json()
    assert body["html"].count("<mark") == 3 and "Bob Ross works_for University of Bonn" in body["html"]
    assert body["record"]["text"] == WORDS[2]
    hostile = client.post("/draw", json={"texts": ["Ann Lee <script>alert(1)</script> works for Acme Labs in Bonn ."]})
    assert "<script" not in hostile.json()["html"] and "&lt;script&gt;" in hostile.json()["html"]
    assert "error" in client.post("/draw", json={"texts": ["Fail"]}).json()["record"]
    for body in ({"texts": ["a", "b"]}, {"texts": []}, {"records": [{"tokens": ["a"]}]}):
        record = client.post("/draw", json=body).json()["record"]
        assert uncoded(record) == {"error": "One text is drawn at a time, and no tokens."}
    assert client.post("/draw", json={"texts": [""]}).json()["record"]["entities"] == []


def command(*args):
    return CliRunner().invoke(spacy_app, ["spert", "serve", *map(str, args)])


def printed(result):
    return " ".join(click.unstyle(result.output).split())


def test_mistakes_are_said_before_the_server_starts(tmp_path, model):
    spacy.blank("xx").to_disk(tmp_path / "blank")
    for args, message in (
        (["no_such_model"], "Can't find model 'no_such_model'"),
        ([tmp_path / "blank"], "has no 'spert' component"),
        ([model, "--threshold", "2"], "between 0 and 1"),
        ([model, "--component", "other"], "'other' is not a 'spert' component"),
    ):
        result = command(*args)
        assert result.exit_code == 1 and "Can't serve" in printed(result) and message in printed(result)


def test_packages_that_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.delitem(sys.modules, "spacy_spert.serving.app")
    result = command("model")
    assert result.exit_code == 1 and "pip install 'spacy-spert[serve]'" in printed(result)


PROGRAM = """
import sys
sys.path[:0] = [{serving!r}, {tests!r}]
import conftest
from spacy_spert.cli.serve import serve
conftest.CONTROL.go_on.wait = lambda timeout: __import__("time").sleep(2) or True
serve(sys.argv[1], port=int(sys.argv[2]))
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_told_to_end(model):
    """What is under way is finished, and nothing is left behind."""
    port = free_port()
    here = os.path.dirname(os.path.abspath(__file__))
    program = PROGRAM.format(tests=os.path.dirname(here), serving=here)
    reader, writer = os.pipe()
    with open(reader, "rb") as messages:
        process = forked.start(["-c", program, model, port], stderr=writer)
        os.close(writer)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client, ThreadPoolExecutor(1) as pool:
            deadline = time.monotonic() + 120
            while True:
                assert process.is_alive() and time.monotonic() < deadline
                try:
                    assert client.get("/health").status_code == 200
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            answer = pool.submit(client.post, "/extract", json={"texts": ["Wait .", WORDS[0]]})
            while client.get("/health").json()["waiting"] < 1:
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGTERM)
            answer = answer.result()
            assert answer.status_code == 200 and len(answer.json()["records"]) == 2
        said = messages.read()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGTERM)
    assert b"Traceback" not in said and b"Application shutdown complete" in said
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_same_as_in_python(client, model):
    found = list(Extractor(spacy.load(model)).records({"text": text} for text in WORDS))
    assert close(ask(client, texts=WORDS)) == close(found)
