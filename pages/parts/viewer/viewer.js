// The viewer itself: its state, its elements, when it draws.

const LAYERS = {
  overlay: "Overlay",
  mask: "Mask",
  outlines: "Outlines",
  confidence: "Confidence",
  error: "Errors",
  disagreement: "Disagreement",
};
const GAP = 10, CAPTION = 26;

class Viewer {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.state = {
      layer: "overlay", opacity: 0.6, threshold: 0, hidden: new Set(), solo: null, lit: null, cell: null, pair: null,
      grid: false, safe: false, swipe: false, divider: 0.5, cross: null, pinned: null, help: false,
    };
    this.pointer = null;
    this.build();
    this.watch = new ResizeObserver(() => this.layout());
    this.watch.observe(this.parts.group);
  }

  build() {
    const make = (name, attributes = {}, ...children) => {
      const element = document.createElement(name);
      for (const [key, value] of Object.entries(attributes)) {
        if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
        else if (value !== null) element.setAttribute(key, value);
      }
      element.append(...children);
      return element;
    };
    this.make = make;
    const parts = (this.parts = {});
    const button = (label, title, act) => make("button", { type: "button", title, "aria-label": title, onclick: act }, label);
    parts.layers = make("div", { class: "layers", role: "radiogroup", "aria-label": "Layer" });
    for (const [layer, name] of Object.entries(LAYERS)) {
      parts.layers.append(make("button", { type: "button", role: "radio", "data-layer": layer, onclick: () => this.set({ layer }) }, name));
    }
    const slide = (name, key, title) => {
      const input = make("input", { type: "range", min: 0, max: 100, "aria-label": title });
      input.addEventListener("input", () => this.set({ [key]: input.value / 100 }));
      parts[key] = input;
      return make("label", { title }, name, input);
    };
    const zoom = (factor) => () => { this.view?.zoom(factor, this.view.width / 2, this.view.height / 2); this.redraw(); };
    parts.tools = make(
      "div", { class: "tools" }, parts.layers,
      slide("Opacity", "opacity", "Opacity of the masks"),
      slide("Surer than", "threshold", "Fades what the network is less sure of"),
      make(
        "span", { class: "buttons" },
        button("−", "Zoom out", zoom(1 / 1.5)), button("+", "Zoom in", zoom(1.5)),
        button("Fit", "The whole photo", () => { this.view?.fit(); this.redraw(); }),
        button("1:1", "One photo pixel on one screen pixel", () => { this.view?.oneToOne(); this.redraw(); }),
        (parts.grid = button("Grid", "The grid that each variant scores on", () => this.set({ grid: !this.state.grid }))),
        (parts.swipe = button("Swipe", "Two panes in one, with a divider", () => this.set({ swipe: !this.state.swipe }))),
        (parts.safe = button("Safe colours", "Colours that differ in any colour vision", () => this.set({ safe: !this.state.safe }))),
        (parts.help = button("?", "Keyboard help", () => this.set({ help: !this.state.help }))),
      ),
    );
    parts.pair = make("div", { class: "pair" });
    parts.chips = make("div", { class: "chips", role: "group", "aria-label": "Classes" });
    parts.panes = make("div", { class: "panes" });
    parts.group = make(
      "div", { class: "group", tabindex: "0", role: "application", "aria-label": "Viewer; press ? for its keys" }, parts.panes,
    );
    parts.group.addEventListener("keydown", (event) => press(this, event));
    parts.said = make("div", { class: "probe", "aria-live": "polite" });
    parts.keys = make(
      "dialog", { class: "keys", "aria-label": "Keys" },
      make("dl", {}, ...KEYS.flatMap(([key, does]) => [make("dt", {}, key), make("dd", {}, does)])),
      button("Close", "Close", () => this.set({ help: false })),
    );
    this.root.replaceChildren(parts.tools, parts.pair, parts.group, parts.said, parts.chips, parts.keys);
  }

  // A new photo or new masks; what a person chose stays.
  show(model) {
    const same = this.model?.photo_digest === model.photo_digest;
    this.model = model;
    const masks = model.panes.filter((pane) => pane.ids && pane.kind !== "truth");
    const kept = this.state.pair?.every((id) => model.panes.some((pane) => pane.id === id)) ? this.state.pair : null;
    this.state.pair = kept ?? (masks.length > 1 ? [masks[0].id, masks.at(-1).id] : null);
    this.state.cell = null;
    if (!same) Object.assign(this.state, { pinned: null, cross: null });
    this.layers = Object.keys(LAYERS).filter(
      (layer) => (layer !== "error" || model.truth) && (layer !== "disagreement" || this.state.pair),
    );
    if (!this.layers.includes(this.state.layer)) this.state.layer = "overlay";
    if (!same || !this.view) this.view = new View(model);
    this.canvases = new Map();
    this.layout();
    this.set({});
  }

  // The panes on the screen: all, or two in one.
  get shown() {
    const { panes } = this.model;
    if (!this.state.swipe || !this.state.pair) return panes.map((pane) => [pane]);
    return [this.state.pair.map((id) => panes.find((pane) => pane.id === id))];
  }

  layout() {
    if (!this.model) return;
    const { parts, model } = this, width = parts.group.clientWidth;
    if (!width) return;
    const height = Math.max(260, window.innerHeight * 0.72);
    const size = arrange(this.shown.length, model.width / model.height, width, height, GAP, CAPTION);
    parts.panes.style.gridTemplateColumns = `repeat(${size.across}, ${size.width}px)`;
    const key = JSON.stringify([this.shown.map((pair) => pair.map((pane) => pane.id)), size]);
    if (key !== this.arranged) {
      this.arranged = key;
      this.canvases = new Map();
      parts.panes.replaceChildren(...this.shown.map((pair) => this.figure(pair, size)));
      this.view.resize(model, size.width, size.height);
    }
    this.redraw();
  }

  figure(pair, size) {
    const canvas = this.make("canvas", { "aria-hidden": "true" });
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(size.height * ratio);
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    canvas.dataset.pane = pair.map((pane) => pane.id).join("|");
    this.canvases.set(canvas, pair);
    listen(this, canvas);
    const caption = this.make("figcaption", {}, this.make("b", {}, pair.map((pane) => pane.title).join(" | ")), pair.map((pane) => pane.note).join(" | "));
    return this.make("figure", {}, canvas, caption);
  }

  // The divider's place on a canvas in CSS pixels; null where there is none.
  dividerOf(canvas) {
    return this.canvases.get(canvas)?.length > 1 ? this.state.divider * this.view.width : null;
  }

  set(changes) {
    const swiped = "swipe" in changes && changes.swipe !== this.state.swipe;
    Object.assign(this.state, changes);
    if (!this.model) return;
    if (swiped) this.layout();
    this.refresh();
    this.redraw();
  }

  hover(point) {
    this.pointer = point;
    this.redraw();
  }

  pin(point) {
    const { model } = this;
    if (point.x < 0 || point.y < 0 || point.x >= model.width || point.y >= model.height) return;
    const same = this.state.pinned && Math.hypot(this.state.pinned.x - point.x, this.state.pinned.y - point.y) * this.view.scale < 6;
    this.set({ pinned: same ? null : point });
    const [width, height] = model.photo_size;
    this.send(same ? null : { x: Math.floor((point.x * width) / model.width), y: Math.floor((point.y * height) / model.height) });
  }

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      if (this.model) this.draw();
    });
  }

  draw() {
    const began = performance.now();
    for (const [canvas, pair] of this.canvases) {
      const ctx = canvas.getContext("2d"), ratio = canvas.width / this.view.width;
      const view = { x: this.view.x, y: this.view.y, scale: this.view.scale * ratio };
      const split = pair.length > 1 ? Math.round(this.state.divider * canvas.width) : canvas.width;
      paint(ctx, this.model, pair[0], this.state, view, 0, split);
      if (pair.length > 1) paint(ctx, this.model, pair[1], this.state, view, split, canvas.width);
      this.marks(ctx, ratio, pair.length > 1 ? split : null);
      canvas.style.touchAction = this.view.whole ? "pan-y" : "none";
    }
    this.say();
    performance.measure("viewer redraw", { start: began, end: performance.now() });
  }

  // Crosshair, pin, divider.
  marks(ctx, ratio, split) {
    ctx.lineWidth = Math.max(1, ratio);
    const ring = (point, color) => {
      const { x, y } = this.view.on(point.x, point.y);
      for (const [style, width] of [["#000c", 3], [color, 1.5]]) {
        ctx.strokeStyle = style;
        ctx.lineWidth = width * ratio;
        ctx.beginPath();
        ctx.arc(x * ratio, y * ratio, 6 * ratio, 0, 7);
        ctx.stroke();
      }
    };
    if (this.state.pinned) ring(this.state.pinned, "#ffd60a");
    const cross = this.state.cross ?? this.pointer;
    if (cross) {
      const { x, y } = this.view.on(cross.x, cross.y);
      for (const [style, reach] of [["#000a", 9], ["#fff", 8]]) {
        ctx.strokeStyle = style;
        ctx.lineWidth = (style === "#fff" ? 1 : 3) * ratio;
        ctx.beginPath();
        for (const [dx, dy] of [[1, 0], [0, 1], [-1, 0], [0, -1]]) {
          ctx.moveTo((x + 3 * dx) * ratio, (y + 3 * dy) * ratio);
          ctx.lineTo((x + reach * dx) * ratio, (y + reach * dy) * ratio);
        }
        ctx.stroke();
      }
    }
    if (split !== null) {
      ctx.fillStyle = "#fff";
      ctx.fillRect(split - ratio, 0, 2 * ratio, ctx.canvas.height);
      ctx.beginPath();
      ctx.arc(split, ctx.canvas.height / 2, 10 * ratio, 0, 7);
      ctx.fill();
    }
  }

  // What is at the point: class, how sure, what else, in every pane.
  say() {
    const point = this.state.cross ?? this.pointer ?? this.state.pinned, { model, make } = this;
    const rows = point ? model.panes.map((pane) => [pane, probe(model, pane, point.x, point.y)]).filter(([, found]) => found) : [];
    if (!rows.length) {
      this.parts.said.replaceChildren(make("span", { class: "hint" }, "Point at the photo to see what each variant says there; click to pin the point."));
      return;
    }
    const [width, height] = model.photo_size;
    const where = `x ${Math.floor((point.x * width) / model.width)}, y ${Math.floor((point.y * height) / model.height)}`;
    this.parts.said.replaceChildren(
      make("span", { class: "where" }, where),
      ...rows.map(([pane, found]) => {
        const sure = found.sure === undefined ? "" : ` ${Math.round(100 * found.sure)} %`;
        const second = found.second && found.second !== found.name ? make("small", {}, `then ${found.second}`) : "";
        return make("span", { class: "answer", "data-pane": pane.id }, make("em", {}, pane.title), this.swatch(found.id), make("b", {}, found.name), sure, second);
      }),
    );
  }

  swatch(id) {
    const one = this.model.classes[id], color = one ? (this.state.safe ? one.safe : one.color) : [0, 0, 0];
    return this.make("i", { style: `background: rgb(${color.join()})` });
  }

  // Buttons, chips and the table say what is chosen.
  refresh() {
    const { parts, state, model, make } = this;
    for (const one of parts.layers.children) {
      one.hidden = !this.layers.includes(one.dataset.layer);
      one.setAttribute("aria-checked", String(one.dataset.layer === state.layer));
    }
    parts.opacity.value = Math.round(100 * state.opacity);
    parts.threshold.value = Math.round(100 * state.threshold);
    for (const name of ["grid", "swipe", "safe", "help"]) parts[name].setAttribute("aria-pressed", String(state[name]));
    parts.swipe.hidden = !state.pair;
    if (state.help !== parts.keys.open) state.help ? parts.keys.show() : parts.keys.close();
    parts.chips.replaceChildren(
      ...model.present.map(({ id, share }) => {
        const light = (lit) => () => this.set({ lit });
        return make(
          "span", { class: "chip" },
          make(
            "button",
            {
              type: "button", "aria-pressed": String(shown(state, id)), "data-class": model.classes[id].name, title: "Show or hide",
              onclick: () => { const hidden = new Set(state.hidden); hidden.delete(id) || hidden.add(id); this.set({ hidden, solo: null }); },
              onmouseenter: light(id), onmouseleave: light(null),
            },
            this.swatch(id), model.classes[id].name, make("small", {}, percent(share)),
          ),
          make("button", { type: "button", class: "only", "aria-pressed": String(state.solo === id), title: `Only ${model.classes[id].name}`, onclick: () => this.set({ solo: state.solo === id ? null : id }) }, "only"),
        );
      }),
    );
    this.choosePair();
    this.root.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
  }

  // Which two panes are compared, and the matrix of what they say where they differ.
  choosePair() {
    const { parts, state, model, make } = this;
    const wanted = state.pair && (state.layer === "disagreement" || state.swipe);
    parts.pair.hidden = !wanted;
    if (!wanted) return;
    const masks = model.panes.filter((pane) => pane.ids);
    const select = (end) => {
      const choice = make("select", { "aria-label": end ? "Second pane" : "First pane" }, ...masks.map((pane) => make("option", { value: pane.id }, pane.title)));
      choice.value = state.pair[end];
      choice.addEventListener("change", () => {
        const pair = [...state.pair];
        if (pair[1 - end] === choice.value) pair[1 - end] = pair[end];
        pair[end] = choice.value;
        this.arranged = null;
        this.set({ pair, cell: null });
        this.layout();
      });
      return choice;
    };
    parts.pair.replaceChildren(select(0), "beside", select(1));
    if (state.layer === "disagreement") parts.pair.append(this.matrix());
  }

  matrix() {
    const { state, model, make } = this;
    const [a, b] = state.pair.map((id) => model.panes.find((pane) => pane.id === id));
    const key = `${a.id} ${b.id}`;
    if (this.counted?.key !== key || this.counted.model !== model) this.counted = { key, model, found: differences(model, a, b) };
    const { found } = this.counted, whole = found.reduce((sum, one) => sum + one.share, 0);
    const name = (id) => model.classes[id]?.name ?? "no class";
    const top = found.slice(0, 24), ids = (end) => [...new Set(top.map((one) => one[end]))].sort((x, y) => x - y);
    const head = make("tr", {}, make("th", {}, `${a.title} says ↓, ${b.title} says →`), ...ids("b").map((id) => make("th", { scope: "col" }, this.swatch(id), name(id))));
    const rows = ids("a").map((i) =>
      make("tr", {}, make("th", { scope: "row" }, this.swatch(i), name(i)), ...ids("b").map((j) => {
        const one = top.find((each) => each.a === i && each.b === j);
        if (!one) return make("td");
        const on = state.cell && state.cell[0] === i && state.cell[1] === j;
        const cell = make("button", { type: "button", "aria-pressed": String(Boolean(on)), style: `--share: ${Math.min(1, one.share / top[0].share)}`, onclick: () => this.set({ cell: on ? null : [i, j] }) }, percent(one.share));
        return make("td", {}, cell);
      })),
    );
    return make("div", { class: "matrix" }, make("p", {}, `They differ on ${percent(whole)} of the photo. Choose a cell to light up its pixels.`), make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))));
  }

  end() {
    this.watch.disconnect();
    if (this.waiting) cancelAnimationFrame(this.waiting);
  }
}

function percent(share) {
  return share >= 0.0005 ? `${(100 * share).toFixed(1)} %` : share > 0 ? "< 0.1 %" : "–";
}
