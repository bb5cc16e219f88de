"use strict";
// Without this script, the axes show c.
const metric = document.querySelector(".metric");
if (metric) {
  const show = () => { document.body.dataset.metric = metric.querySelector("input:checked").value; };
  metric.hidden = false;
  metric.addEventListener("change", show);
  show();
}

// Sorting and filtering of the boards. Rows without a value stay last; the address keeps what was chosen.
const state = new URLSearchParams(location.search);
const remember = (key, value) => {
  if (value) state.set(key, value); else state.delete(key);
  const query = state.toString();
  try { history.replaceState(null, "", (query ? "?" + query : location.pathname) + location.hash); } catch { /* some browsers refuse this for files */ }
};
for (const table of document.querySelectorAll(".board-table")) {
  const name = table.id.replace(/--table$/, "");
  const heads = [...table.tHead.rows[0].cells];
  const bodies = [...table.querySelectorAll("tbody.method")];
  const after = bodies.length ? bodies[bodies.length - 1].nextElementSibling : null;
  const valueOf = (body, column) => body.rows[0].cells[column].dataset.value;
  const compare = (first, second) => isNaN(first) || isNaN(second) ? first.localeCompare(second) : first - second;
  const sort = (column, direction) => {
    const sign = direction === "descending" ? -1 : 1;
    const known = bodies.filter((body) => valueOf(body, column) !== undefined);
    const rest = bodies.filter((body) => valueOf(body, column) === undefined);
    known.sort((a, b) => sign * compare(valueOf(a, column), valueOf(b, column)));
    for (const body of [...known, ...rest]) table.insertBefore(body, after);
    heads.forEach((head, number) => { if (number === column) head.setAttribute("aria-sort", direction); else head.removeAttribute("aria-sort"); });
  };
  if (bodies.length > 1) heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...[...head.childNodes].filter((node) => !(node.classList && node.classList.contains("sample"))));
    head.prepend(button);
    button.addEventListener("click", () => {
      const first = head.dataset.first || "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = head.getAttribute("aria-sort") === first ? other : first;
      sort(column, direction);
      remember(name + ".sort", column + "." + direction);
    });
  });
  const [column, direction] = (state.get(name + ".sort") || "").split(".");
  if (/^\d+$/.test(column) && heads[column] && ["ascending", "descending"].includes(direction)) sort(Number(column), direction);
  if (bodies.length >= Number(table.dataset.filterFrom)) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    label.className = "filter";
    input.type = "search";
    label.append("Show methods whose name has", input);
    const none = document.createElement("p");
    none.setAttribute("role", "status");
    const filter = () => {
      const text = input.value.toLowerCase();
      for (const body of bodies) body.hidden = !body.querySelector(".who").textContent.toLowerCase().includes(text);
      none.textContent = bodies.every((body) => body.hidden) ? "No method has this in its name." : "";
    };
    input.value = state.get(name + ".filter") || "";
    input.addEventListener("input", () => { filter(); remember(name + ".filter", input.value); });
    table.before(label, none);
    filter();
  }
}
