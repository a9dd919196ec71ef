// The table of values: filtered and sorted in the browser, kept so while rows are replaced under it.

const body = () => document.getElementById("values-body");
const filter = document.getElementById("values-filter");
const onlyWrong = document.getElementById("values-wrong");
const choice = document.getElementById("values-sort");
const shown = document.getElementById("values-shown");
const buttons = [...document.querySelectorAll("#values-table button[data-sort]")];

let key = "rank";
let direction = 1;

const name = (row) => row.dataset.name;
const text = (row) => row.querySelector(".val").textContent;
const time = (row) => Date.parse(row.querySelector("time")?.dateTime ?? "") || 0;

function compareValues(a, b) {
  const [x, y] = [Number.parseFloat(text(a)), Number.parseFloat(text(b))];
  if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || text(a).localeCompare(text(b));
  return x - y;
}

const orders = {
  rank: (a, b) => a.dataset.rank - b.dataset.rank,
  name: (a, b) => name(a).localeCompare(name(b)),
  value: compareValues,
  age: (a, b) => time(b) - time(a),
};

function sort() {
  const rows = [...body().rows];
  const wanted = rows.toSorted((a, b) => direction * orders[key](a, b) || name(a).localeCompare(name(b)));
  if (wanted.some((row, index) => row !== rows[index])) {
    const focused = document.activeElement;
    body().append(...wanted);
    if (body().contains(focused)) focused.focus({ preventScroll: true });
  }
}

function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const row of body().rows) {
    const content = row.textContent.toLowerCase();
    const isWrong = row.classList.contains("is-wrong") || row.classList.contains("has-alarm");
    row.hidden = !words.every((word) => content.includes(word)) || (onlyWrong.checked && !isWrong);
    n += !row.hidden;
  }
  shown.textContent = words.length || onlyWrong.checked ? `${n} of ${body().rows.length} shown` : "";
}

export function arrange() {
  sort();
  narrow();
}

function order(by, towards) {
  [key, direction] = [by, towards];
  choice.value = by;
  for (const button of buttons) {
    const header = button.closest("th");
    if (button.dataset.sort === by) header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    else header.removeAttribute("aria-sort");
  }
  arrange();
}

filter.addEventListener("input", narrow);
onlyWrong.addEventListener("change", narrow);
choice.addEventListener("change", () => order(choice.value, 1));
for (const button of buttons) {
  button.addEventListener("click", () => order(button.dataset.sort, button.dataset.sort === key ? -direction : 1));
}
