// The matrix as a table of buttons: right answers in the page's own colour, wrong ones in orange.

function draw(root, { shares, words, chosen, classes }, send) {
  const hint = "Rows are the truth, columns the prediction. Point at a cell to read it; press one to see the photos behind it.";
  const told = make("p", { "aria-live": "polite" }, chosen ? words[chosen[0]][chosen[1]] : hint);
  const back = () => { told.textContent = root.chosen ? words[root.chosen[0]][root.chosen[1]] : hint; };
  const swatch = (one) => make("i", { style: `background: rgb(${one.color})` });
  const cell = (t, p) => {
    const share = shares[t][p], say = () => { told.textContent = words[t][p]; };
    if (share === null) return make("td", {}, make("button", { type: "button", disabled: "", "aria-label": words[t][p] }));
    const depth = Math.sqrt(share); // so that rare mistakes are seen
    return make("td", {}, make("button", {
      type: "button", "data-cell": `${t},${p}`, "aria-label": words[t][p], class: depth > 0.72 ? "strong" : "",
      style: `--share: ${depth.toFixed(3)}; --tone: ${t === p ? "#0f766e" : "#c2410c"}`, "aria-pressed": String(root.chosen?.join() === `${t},${p}`),
      onpointerenter: say, onfocus: say, onpointerleave: back,
      onclick: () => {
        root.chosen = [t, p];
        for (const button of root.querySelectorAll("td button")) button.setAttribute("aria-pressed", String(button.dataset.cell === `${t},${p}`));
        send([t, p]);
      },
    }, share >= 0.005 ? String(Math.round(100 * share)) : ""));
  };
  root.chosen = chosen;
  root.replaceChildren(
    make("div", { class: "scroll" }, make("table", {},
      make("thead", {}, make("tr", {}, make("th", { class: "corner" }, "truth ↓", make("br", {}), "prediction →"),
        ...classes.map((one) => make("th", { scope: "col" }, make("div", {}, one.name), swatch(one))))),
      make("tbody", {}, ...classes.map((one, t) => make("tr", {}, make("th", { scope: "row" }, one.name, swatch(one)), ...classes.map((_, p) => cell(t, p))))),
    )),
    told,
  );
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".confusion"), key = JSON.stringify(data);
  if (root.key !== key) {
    root.key = key;
    draw(root, data, (cell) => setStateValue("cell", cell));
  }
}
