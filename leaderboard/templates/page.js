"use strict";
// Without this script every chart is shown, one below the other, and the axes show c.
for (const picker of document.querySelectorAll(".chosen > .picker")) {
  const charts = picker.parentElement.querySelectorAll("[data-choice]");
  const show = () => {
    const choice = picker.querySelector("input:checked").value;
    for (const chart of charts) chart.hidden = chart.dataset.choice !== choice;
  };
  picker.hidden = false;
  picker.addEventListener("change", show);
  show();
}
const metric = document.querySelector(".metric");
if (metric) {
  const show = () => { document.body.dataset.metric = metric.querySelector("input:checked").value; };
  metric.hidden = false;
  metric.addEventListener("change", show);
  show();
}
