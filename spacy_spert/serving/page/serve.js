"use strict";
const form = document.getElementById("extract");
const text = document.getElementById("text");
const state = document.getElementById("state");
const found = document.getElementById("found");
let last = 0;

function say(message, wrong) {
  state.textContent = message;
  state.classList.toggle("wrong", Boolean(wrong));
}

function count(n, one, many) {
  return n + " " + (n === 1 ? one : many);
}

async function ask() {
  const number = ++last;
  const answer = await fetch("draw", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({texts: [text.value]}),
  });
  const body = await answer.json();
  // An answer to what was asked before comes too late.
  if (number !== last) return;
  if (!answer.ok) throw new Error(body.detail);
  const {html, record} = body;
  if (record.error) throw new Error(record.error);
  document.getElementById("drawing").innerHTML = html;
  document.getElementById("json").textContent = JSON.stringify(record, null, 2);
  found.hidden = false;
  say(count(record.entities.length, "entity", "entities") + ", "
    + count(record.relations.length, "relation", "relations"));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  say("\u2026");
  ask().catch((error) => {
    found.hidden = true;
    say(error instanceof TypeError ? "The service can't be reached." : error.message, true);
  });
});

text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
