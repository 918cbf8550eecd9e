"use strict";
// A document is shown if its text holds what is searched for, if the chosen label occurs in it, and if it has an error
// of a chosen kind (any kind, where only documents with errors are asked for) and of the chosen label.
(() => {
  const form = document.getElementById("filters");
  const shown = document.getElementById("shown");
  const split = (value) => new Set(value ? value.split(" ") : []);
  const documents = [...document.querySelectorAll("#list > article")].map((node) => ({
    node,
    text: node.dataset.text.toLowerCase(),
    labels: split(node.dataset.labels),
    errors: [...node.querySelectorAll("li[data-kind]")].map((item) => ({
      item,
      kind: item.dataset.kind,
      labels: split(item.dataset.labels),
    })),
  }));

  function apply() {
    const kinds = new Set([...form.querySelectorAll("[name=kind]:checked")].map((box) => box.value));
    const label = form.elements.label.value;
    const text = form.elements.text.value.trim().toLowerCase();
    const needsError = kinds.size > 0 || Boolean(form.elements.errors?.checked);
    let count = 0;
    for (const { node, text: content, labels, errors } of documents) {
      let matches = 0;
      for (const { item, kind, labels: errorLabels } of errors) {
        const fits = (!kinds.size || kinds.has(kind)) && (!label || errorLabels.has(label));
        item.hidden = needsError && !fits;
        matches += fits;
      }
      node.hidden = !content.includes(text) || (label !== "" && !labels.has(label)) || (needsError && !matches);
      count += !node.hidden;
    }
    shown.textContent = `${count} of ${documents.length} documents`;
  }

  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  // A browser that comes back to the page may have kept what was chosen.
  apply();
})();
