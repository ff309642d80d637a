"use strict";
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const header = button.closest("th");
    const body = header.closest("table").tBodies[0];
    const column = header.cellIndex;
    const isRising = header.getAttribute("aria-sort") !== "ascending";
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", isRising ? "ascending" : "descending");
    const key = (row) => Number(row.cells[column].dataset.key);
    const rows = [...body.rows].sort((a, b) => (isRising ? key(a) - key(b) : key(b) - key(a)));
    body.append(...rows);
  });
}
const boxes = [...document.querySelectorAll(".filter input")];
const cards = [...document.querySelectorAll(".card")];
function show() {
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  for (const card of cards) card.hidden = !wanted.has(card.dataset.score);
  for (const group of document.querySelectorAll(".group:has(.card)")) {
    group.hidden = !group.querySelector(".card:not([hidden])");
  }
  const shown = cards.filter((card) => !card.hidden).length;
  document.querySelector(".filter [role=status]").textContent = `${shown} of ${cards.length} cores shown`;
}
for (const box of boxes) box.addEventListener("change", show);
// A link to a core that is filtered away brings it back, before the browser goes there.
document.addEventListener("click", (event) => {
  const card = document.getElementById(event.target.closest("a")?.hash.slice(1));
  if (!card?.matches(".card[hidden]")) return;
  boxes.find((box) => box.value === card.dataset.score).checked = true;
  show();
});
document.querySelector(".filter")?.removeAttribute("hidden");
const all = document.querySelector(".all-maps");
all?.removeAttribute("hidden");
all?.querySelector("input").addEventListener("change", (event) => {
  for (const box of document.querySelectorAll(".show-why")) box.checked = event.target.checked;
});
