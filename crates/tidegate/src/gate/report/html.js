
"use strict";
{
  const form = document.getElementById("filters");
  const cases = Array.from(document.querySelectorAll(".case"));
  const value = (id) => document.getElementById(id)?.value ?? "";
  const texts = new Map();
  const textOf = (one) => {
    if (!texts.has(one)) texts.set(one, one.textContent.toLowerCase());
    return texts.get(one);
  };
  const filter = () => {
    const [text, status, risk, slice] = ["text", "status", "risk", "slice"].map(value);
    const changed = document.getElementById("changed").checked;
    const wanted = text.toLowerCase();
    let shown = 0;
    for (const one of cases) {
      const { dataset } = one;
      const fits = (!status || dataset.status === status) && (!risk || dataset.risk === risk)
        && (!slice || dataset.slices.split("\n").includes(slice))
        && (!changed || dataset.changed === "1") && (!wanted || textOf(one).includes(wanted));
      one.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    const output = document.getElementById("shown");
    const words = output.dataset.words.replace("{all}", cases.length);
    output.textContent = words.replace("{shown}", shown);
  };
  const open = () => {
    const one = document.getElementById(location.hash.slice(1));
    if (!one) return;
    one.hidden = false;
    one.open = true;
    one.scrollIntoView();
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", open);
  filter();
  open();
}
