// The viewer itself: its state, its panes, when it draws.

const GAP = 10, CAPTION = 26;

class Viewer {
  constructor(root, send) {
    this.root = root;
    this.send = send;
    this.state = {
      ...DEFAULTS, divider: 0.5, hidden: new Set(), solo: null, lit: null, cell: null, pair: null,
      panes: new Map(), cross: null, pinned: null, help: false,
    };
    this.pointer = null;
    this.controls = new Controls(this);
    this.grid = make("div", { class: "panes" });
    this.group = make(
      "div", { class: "group", tabindex: "0", role: "application", "aria-label": "Viewer. Press ? for its keys. The table of classes below has its content as text." },
      this.grid,
    );
    this.said = make("div", { class: "probe", "aria-live": "polite" });
    const { tools, more, pair, ramp, marks, matrix, chips, keys } = this.controls;
    root.replaceChildren(tools, more, pair, this.group, this.said, ramp, marks, matrix, chips, keys);
    root.addEventListener("keydown", (event) => press(this, event));
    this.watch = new ResizeObserver(() => this.layout());
    this.watch.observe(this.group);
    this.resized = () => this.layout();
    window.addEventListener("resize", this.resized);
  }

  // A new photo or new masks; what a person chose stays.
  show(model) {
    const { state } = this, first = !this.model, same = this.model?.photo_digest === model.photo_digest;
    this.model = model;
    const { at, panes, ...linked } = first ? readLink(model.classes) : {};
    Object.assign(state, linked);
    this.linkedPanes ??= panes;
    for (const { id } of this.linkedPanes ? model.panes : []) if (!state.panes.has(id)) state.panes.set(id, this.linkedPanes.has(id));
    if (!model.waiting) this.linkedPanes = null;
    const masks = model.panes.filter((pane) => pane.kind === "mask");
    const paired = () => state.pair?.every((id) => model.panes.some((pane) => pane.id === id));
    if (!paired() && masks.length > 1 && !(state.pair && model.waiting)) state.pair = [masks[0].id, (masks.findLast((pane) => pane.shown) ?? masks.at(-1)).id];
    const needs = { error: Boolean(model.truth), disagreement: Boolean(paired()), confidence: model.panes.some((pane) => pane.sure) };
    this.layers = Object.keys(LAYERS).filter((layer) => needs[layer] ?? true);
    Object.assign(state, { cell: null, lit: null }); // the chip under the mouse is made anew
    if (!same) {
      Object.assign(state, { pinned: null, cross: null });
      this.tell();
    }
    if (!model.waiting && !model.present.some(({ id }) => id === state.solo)) state.solo = null;
    if (!same || !this.view) this.view = new View(model);
    this.view.model = model;
    this.linkedView ??= at;
    this.arranged = null;
    this.controls.remake();
    this.set({});
  }

  // Whether a pane was chosen, or came as shown and nobody chose otherwise.
  chosen({ id, shown }) {
    return this.state.panes.get(id) ?? shown;
  }

  // Whether a pane is on the screen: as chosen; where nothing is that was chosen (it may be on its way yet), as it came.
  has(pane) {
    return this.model.panes.some((one) => this.chosen(one)) ? this.chosen(pane) : pane.shown;
  }

  toggle(pane) {
    this.set({ panes: new Map(this.state.panes).set(pane.id, !this.has(pane)) });
  }

  // The layer that is drawn: the chosen one, where there is what it needs.
  get layer() {
    return this.layers.includes(this.state.layer) ? this.state.layer : "overlay";
  }

  // The panes on the screen: all that are chosen, or two in one.
  get shown() {
    const { panes } = this.model, { swipe, pair } = this.state;
    const two = swipe && pair?.map((id) => panes.find((pane) => pane.id === id));
    if (two && two.every(Boolean)) return [two];
    return panes.filter((pane) => this.has(pane)).slice(0, MOST_PANES).map((pane) => [pane]);
  }

  layout() {
    const width = this.group.clientWidth;
    if (!this.model || !width) return;
    const { shown, model } = this, height = Math.max(260, window.innerHeight * 0.72);
    const size = arrange(shown.length, model.width / model.height, width, height, GAP, CAPTION);
    const key = JSON.stringify([model.digest, shown.map((pair) => pair.map((pane) => pane.id)), size, window.devicePixelRatio]);
    if (key !== this.arranged) {
      this.arranged = key;
      this.canvases = new Map();
      this.grid.style.gridTemplateColumns = `repeat(${size.across}, ${size.width}px)`;
      this.grid.replaceChildren(...shown.map((pair) => this.figure(pair, size)));
      this.view.resize(model, size.width, size.height);
      if (this.linkedView) this.view.look(this.linkedView);
      if (!model.waiting) this.linkedView = null; // until then the panes are not those of the link
    }
    this.redraw();
  }

  figure(pair, size) {
    const ratio = window.devicePixelRatio || 1;
    const canvas = make("canvas", { "aria-hidden": "true", "data-pane": pair.map((pane) => pane.id).join("|") });
    canvas.width = Math.round(size.width * ratio);
    canvas.height = Math.round(size.height * ratio);
    canvas.style.width = `${size.width}px`;
    canvas.style.height = `${size.height}px`;
    this.canvases.set(canvas, pair);
    listen(this, canvas);
    const said = (name) => pair.map((pane) => pane[name]).filter(Boolean).join(" | ");
    return make("figure", {}, canvas, make("figcaption", {}, make("b", {}, said("title")), make("span", {}, said("note"))));
  }

  // The divider's place on a canvas in CSS pixels; null where there is none.
  dividerOf(canvas) {
    return this.canvases.get(canvas)?.length > 1 ? this.state.divider * this.view.width : null;
  }

  set(changes) {
    Object.assign(this.state, changes);
    if (changes.layer) this.state.cell = null;
    if (!this.model) return;
    this.layout();
    this.controls.refresh();
    this.changed();
  }

  // The view was zoomed or panned.
  moved() {
    this.linkedView = null;
    this.redraw();
    this.changed();
  }

  changed() {
    clearTimeout(this.writing);
    this.writing = setTimeout(() => writeLink(this), 300); // browsers allow only so many changes a second
  }

  hover(point) {
    this.pointer = point;
    this.redraw();
  }

  pin(point) {
    const { model, state } = this;
    if (point && (point.x < 0 || point.y < 0 || point.x >= model.width || point.y >= model.height)) return;
    const again = point && state.pinned && Math.hypot(state.pinned.x - point.x, state.pinned.y - point.y) * this.view.scale < 6;
    this.set({ pinned: again ? null : point });
    this.tell();
  }

  // Hands the pinned point to Python, once it is sure that no double click follows.
  tell() {
    clearTimeout(this.sending);
    this.sending = setTimeout(() => {
      const point = this.state.pinned && this.inPhoto(this.state.pinned), key = JSON.stringify(point);
      if (key !== (this.told ?? "null")) this.send(point);
      this.told = key;
    }, 300);
  }

  // A point of the photo as it is shown -> the pixel of the photo itself.
  inPhoto({ x, y }) {
    const [width, height] = this.model.photo_size;
    return { x: Math.floor((x * width) / this.model.width), y: Math.floor((y * height) / this.model.height) };
  }

  redraw() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      if (this.model) this.draw();
    });
  }

  draw() {
    const began = performance.now(), state = { ...this.state, layer: this.layer };
    for (const [canvas, pair] of this.canvases) {
      const ctx = canvas.getContext("2d"), ratio = canvas.width / this.view.width;
      const view = { x: this.view.x, y: this.view.y, scale: this.view.scale * ratio };
      const split = pair.length > 1 ? Math.round(state.divider * canvas.width) : canvas.width;
      paint(ctx, this.model, pair[0], state, view, 0, split);
      if (pair.length > 1) paint(ctx, this.model, pair[1], state, view, split, canvas.width);
      this.mark(ctx, ratio, pair.length > 1 ? split : null);
      canvas.style.touchAction = this.view.whole && pair.length < 2 ? "pan-y" : "none";
    }
    this.say();
    performance.measure("viewer redraw", { start: began, end: performance.now() });
  }

  // Crosshair, pin, divider.
  mark(ctx, ratio, split) {
    const { pinned, cross } = this.state, point = this.pointer ?? cross;
    if (pinned) {
      const { x, y } = this.view.on(pinned.x, pinned.y);
      for (const [style, width] of [["#000c", 3], ["#ffd60a", 1.5]]) {
        ctx.strokeStyle = style;
        ctx.lineWidth = width * ratio;
        ctx.beginPath();
        ctx.arc(x * ratio, y * ratio, 6 * ratio, 0, 7);
        ctx.stroke();
      }
    }
    if (point) {
      const { x, y } = this.view.on(point.x, point.y);
      for (const [style, width, reach] of [["#000a", 3, 9], ["#fff", 1, 8]]) {
        ctx.strokeStyle = style;
        ctx.lineWidth = width * ratio;
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
    const point = this.pointer ?? this.state.cross ?? this.state.pinned, { model } = this;
    const answers = point ? model.panes.map((pane) => [pane, probe(model, pane, point.x, point.y)]).filter(([, found]) => found) : [];
    if (!answers.length) {
      const hint = model.panes.some((pane) => pane.ids)
        ? "Point at the photo to see what each pane says there; click to pin the point. Wheel or pinch to zoom."
        : "The masks are on their way.";
      this.said.replaceChildren(make("span", { class: "hint" }, hint));
      return;
    }
    const { x, y } = this.inPhoto(point);
    this.said.replaceChildren(
      make("span", { class: "where" }, `x ${x}, y ${y}`),
      ...answers.map(([pane, found]) => {
        const sure = found.sure === undefined ? "" : ` ${Math.round(100 * found.sure)}%`;
        const second = found.second ? make("small", {}, `then ${found.second}`) : "";
        return make("span", { class: "answer", "data-pane": pane.id }, make("em", {}, pane.title), this.controls.swatch(found.id), make("b", {}, found.name), sure, second);
      }),
    );
  }

  end() {
    this.watch.disconnect();
    window.removeEventListener("resize", this.resized);
    clearTimeout(this.sending);
    clearTimeout(this.writing);
    if (this.waiting) cancelAnimationFrame(this.waiting);
  }
}
