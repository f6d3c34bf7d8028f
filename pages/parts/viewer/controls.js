// Buttons, sliders, class chips, the matrix and the list of keys. They are made once for a model and then told what is chosen, so that
// the keyboard's focus stays where it is.

const LAYERS = {
  overlay: "Overlay",
  mask: "Mask",
  outlines: "Outlines",
  confidence: "Confidence",
  error: "Errors",
  disagreement: "Disagreement",
};
const MOST_PANES = 6;
const MATRIX_CELLS = 24, MOST_CELLS = 4;

class Controls {
  constructor(viewer) {
    this.viewer = viewer;
    const name = (label, title) => (/[a-z]{3}/i.test(label) ? label : title); // who speaks to the page says what stands there
    const button = (label, title, act) => make("button", { type: "button", title, "aria-label": name(label, title), onclick: act }, label);
    const view = (act) => () => { act(viewer.view); viewer.moved(); };
    const middle = ({ width, height }) => [width / 2, height / 2];
    const toggle = (name, label, title) => (this[name] = button(label, title, () => viewer.set({ [name]: !viewer.state[name] })));
    this.layers = make("div", { class: "choice", role: "radiogroup", "aria-label": "Layer" });
    for (const [layer, name] of Object.entries(LAYERS)) {
      this.layers.append(make("button", { type: "button", role: "radio", "data-layer": layer, onclick: () => viewer.set({ layer }) }, name));
    }
    this.panes = make("div", { class: "choice", role: "group", "aria-label": "Panes" });
    this.share = button("Copy link", "Copy a link that shows the same", () => this.copy());
    this.all = button("Show all classes", "Some classes are hidden", () => viewer.set({ hidden: new Set(), solo: null }));
    this.tools = make("div", { class: "tools" }, this.panes, this.layers, this.all, this.slide("Opacity", "opacity", "Opacity of the masks"));
    this.more = make(
      "div", { class: "tools more" },
      this.slide("Surer than", "threshold", "Fades what the network is less sure of"),
      make(
        "span", { class: "choice" },
        button("−", "Zoom out", view((v) => v.zoom(1 / 1.5, ...middle(v)))), button("+", "Zoom in", view((v) => v.zoom(1.5, ...middle(v)))),
        button("Fit", "The whole photo", view((v) => v.fit())), button("1:1", "One photo pixel on one screen pixel", view((v) => v.oneToOne())),
        toggle("swipe", "Swipe", "Two panes in one, with a divider"), toggle("grid", "Grid", "The grid that each network scores on"),
        toggle("safe", "Safe colours", "Colours that differ in any colour vision"), this.share, toggle("help", "?", "Keyboard help"),
      ),
    );
    this.pair = make("div", { class: "pair" });
    this.ends = [0, 1].map((end) =>
      make("select", { "aria-label": end ? "Second pane" : "First pane", onchange: (event) => this.choose(end, event.target.value) }),
    );
    this.matrix = make("div", { class: "matrix" });
    this.most = make("span", { class: "most" });
    this.pair.append(this.ends[0], "against", this.ends[1], this.most);
    this.ramp = make(
      "div", { class: "ramp" }, "0%",
      make("i", { style: `background: linear-gradient(90deg, ${[0, 64, 128, 192, 255].map((i) => css(RAMP[i])).join()})` }), "100% sure",
    );
    this.marks = make("div", { class: "ramp" }, make("i", { class: "spot", style: `background: rgb(${RIGHT})` }), "right",
      make("i", { class: "spot", style: `background: rgb(${WRONG})` }), "wrong; dark: the truth has no class");
    this.chips = make("div", { class: "chips", role: "group", "aria-label": "Classes" });
    this.keys = make(
      "dialog", { class: "keys", "aria-label": "Keys", onclose: () => viewer.set({ help: false }) },
      make("dl", {}, ...KEYS.flatMap(([key, does]) => [make("dt", {}, key), make("dd", {}, does)])),
      button("Close", "Close", () => viewer.set({ help: false })),
    );
  }

  slide(name, key, title) {
    const input = make("input", { type: "range", min: 0, max: 100, "aria-label": name });
    const value = make("output");
    input.addEventListener("input", () => this.viewer.set({ [key]: input.value / 100 }));
    this[key] = { input, value, label: make("label", { title }, name, input, value) };
    return this[key].label;
  }

  // Another photo or other panes.
  remake() {
    const { viewer } = this, { model, state } = viewer;
    this.panes.replaceChildren(
      ...model.panes.map((pane) =>
        make("button", { type: "button", "data-pane": pane.id, title: `Show or hide ${pane.title}`, onclick: () => viewer.toggle(pane) }, pane.title),
      ),
    );
    for (const end of this.ends) end.replaceChildren(...model.panes.map((pane) => make("option", { value: pane.id }, pane.title)));
    this.chips.replaceChildren(
      ...model.present.map(({ id, share }) => {
        const light = (lit) => () => viewer.set({ lit });
        const hover = (event) => event.pointerType === "mouse" && viewer.set({ lit: id }); // a finger means to press
        const focus = (event) => event.target.matches(":focus-visible") && viewer.set({ lit: id });
        const { name } = model.classes[id];
        const flip = () => {
          const hidden = new Set(state.hidden);
          hidden.delete(id) || hidden.add(id);
          viewer.set({ hidden, solo: null });
        };
        return make(
          "span", { class: "chip", "data-id": id, onpointerenter: hover, onpointerleave: light(null), onfocusin: focus, onfocusout: light(null) },
          make("button", { type: "button", "data-class": name, title: `Show or hide ${name}`, onclick: flip }, this.swatch(id), name, make("small", { title: "its largest share in any mask" }, percent(share))),
          make("button", { type: "button", class: "only", title: `Only ${name}`, onclick: () => viewer.set({ solo: state.solo === id ? null : id }) }, "only"),
        );
      }),
    );
    this.counted = null;
  }

  // Every button says what is chosen.
  refresh() {
    const { viewer } = this, { state, model } = viewer;
    const press = (element, on) => element.setAttribute("aria-pressed", String(Boolean(on)));
    const shown = model.panes.filter((pane) => viewer.has(pane));
    for (const one of this.panes.children) {
      const on = shown.some((pane) => pane.id === one.dataset.pane);
      press(one, on);
      one.disabled = on ? shown.length === 1 : shown.length >= MOST_PANES;
    }
    for (const one of this.layers.children) {
      one.hidden = !viewer.layers.includes(one.dataset.layer);
      one.setAttribute("aria-checked", String(one.dataset.layer === viewer.layer));
    }
    for (const name of ["opacity", "threshold"]) {
      this[name].input.value = Math.round(100 * state[name]);
      this[name].value.textContent = `${Math.round(100 * state[name])}%`;
    }
    this.opacity.label.hidden = !["overlay", "error"].includes(viewer.layer);
    this.threshold.label.hidden = !["overlay", "mask"].includes(viewer.layer) || !model.panes.some((pane) => pane.sure);
    for (const name of ["grid", "swipe", "safe", "help"]) press(this[name], state[name]);
    this.all.hidden = state.solo === null && !state.hidden.size;
    this.swipe.hidden = model.panes.length < 2;
    this.grid.hidden = !model.panes.some((pane) => pane.stride);
    this.ramp.hidden = viewer.layer !== "confidence";
    this.marks.hidden = viewer.layer !== "error";
    if (state.help && !this.keys.open) this.keys.showModal();
    if (!state.help && this.keys.open) this.keys.close();
    for (const chip of this.chips.children) {
      const id = Number(chip.dataset.id), [show, only] = chip.children;
      press(show, isShown(state, id));
      press(only, state.solo === id);
      show.querySelector("i").style.background = this.color(id);
    }
    this.refreshPair();
  }

  refreshPair() {
    const { viewer } = this, { state, model } = viewer;
    const differing = viewer.layer === "disagreement";
    this.pair.hidden = !state.pair || !(differing || state.swipe);
    this.matrix.hidden = this.most.hidden = this.pair.hidden || !differing;
    if (!this.pair.hidden) this.ends.forEach((end, i) => { end.value = state.pair[i]; });
    if (this.matrix.hidden) return;
    const key = `${state.pair} ${state.safe}`;
    if (this.counted !== key) this.count(key);
    for (const cell of [...this.most.children, ...this.matrix.querySelectorAll("td button")]) {
      cell.setAttribute("aria-pressed", String(state.cell?.join() === cell.dataset.cell));
    }
  }

  choose(end, id) {
    const pair = [...this.viewer.state.pair];
    if (pair[1 - end] === id) pair[1 - end] = pair[end];
    pair[end] = id;
    this.viewer.set({ pair, cell: null });
  }

  // The matrix of what two panes say where they differ.
  count(key) {
    this.counted = key;
    const { viewer } = this, { model, state } = viewer, pair = maskPair(model, state);
    if (!pair) {
      this.matrix.replaceChildren(make("p", {}, "The photo names no classes: choose two masks."));
      this.most.replaceChildren();
      return;
    }
    const found = differences(...pair), whole = found.reduce((sum, one) => sum + one.share, 0);
    const top = found.slice(0, MATRIX_CELLS), ids = (end) => [...new Set(top.map((one) => one[end]))].sort((x, y) => x - y);
    const head = (scope, id) => make("th", { scope }, this.swatch(id), className(model, id));
    const lights = ({ a, b, share }, ...children) => {
      const at = `${a},${b}`, onclick = () => viewer.set({ cell: viewer.state.cell?.join() === at ? null : [a, b] });
      const words = `${pair[0].title} says ${className(model, a)}, ${pair[1].title} ${className(model, b)}: ${percent(share)}`;
      const style = `--share: ${Math.sqrt(share / top[0].share).toFixed(3)}`;
      return make("button", { type: "button", "data-cell": at, title: words, "aria-label": words, style, onclick }, ...children);
    };
    const cell = (a, b) => {
      const one = top.find((each) => each.a === a && each.b === b);
      return one ? make("td", {}, lights(one, percent(one.share))) : make("td");
    };
    this.most.replaceChildren(
      ...top.slice(0, MOST_CELLS).map((one) => {
        const names = [this.swatch(one.a), className(model, one.a), " → ", this.swatch(one.b), className(model, one.b)];
        return lights(one, ...names, make("small", {}, percent(one.share)));
      }),
    );
    const corner = make("th", {}, `${pair[0].title} ↓  ${pair[1].title} →`);
    const rows = ids("a").map((a) => make("tr", {}, head("row", a), ...ids("b").map((b) => cell(a, b))));
    const rest = found.slice(MATRIX_CELLS).reduce((sum, one) => sum + one.share, 0);
    const more = rest > 0 ? ` Rarer pairs, ${percent(rest)} together, are left out.` : "";
    this.matrix.replaceChildren(
      make("p", {}, `They differ on ${percent(whole)} of the image.${found.length ? " Choose a cell to light up its pixels." : ""}${more}`),
      make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, corner, ...ids("b").map((b) => head("col", b)))), make("tbody", {}, ...rows))),
    );
    if (!found.length) this.matrix.lastChild.remove();
  }

  color(id) {
    const { model, state } = this.viewer, one = model.classes[id];
    return `rgb(${one ? (state.safe ? one.safe : one.color) : [0, 0, 0]})`;
  }

  swatch(id) {
    return make("i", { style: `background: ${this.color(id)}` });
  }

  async copy() {
    writeLink(this.viewer);
    const own = this.viewer.model.own ? " (your photo is not in it)" : "";
    try {
      await navigator.clipboard.writeText(location.href);
      this.share.textContent = `Copied${own}`;
    } catch {
      this.share.textContent = `The link is the page's address${own}`; // pages that are not served securely may not write
    }
    setTimeout(() => { this.share.textContent = "Copy link"; }, 4000);
  }
}

function css(color) {
  return `rgb(${color & 255},${(color >> 8) & 255},${(color >> 16) & 255})`;
}

function percent(share) {
  return share >= 0.0005 ? `${(100 * share).toFixed(1)}%` : share > 0 ? "< 0.1%" : "–";
}
