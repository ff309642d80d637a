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
function show() {
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  for (const card of document.querySelectorAll(".card")) card.hidden = !wanted.has(card.dataset.score);
}
for (const box of boxes) box.addEventListener("change", show);
document.querySelector(".filter")?.removeAttribute("hidden");
const all = document.querySelector(".all-maps");
all?.removeAttribute("hidden");
all?.querySelector("input").addEventListener("change", (event) => {
  for (const box of document.querySelectorAll(".show-why")) box.checked = event.target.checked;
});
