// The network as nodes and edges; each node draws its own tensor. One node is seen large; a click there moves the point.

const SVG = "http://www.w3.org/2000/svg";
const diagrams = new WeakMap();

// Of scores: blue below zero, nearly black at it, orange above. Of strengths: dark to bright.
const SCORE = ramp([[96, 196, 255], [28, 92, 160], [16, 18, 24], [176, 84, 20], [255, 196, 92]]);
const STRENGTH = ramp([[16, 18, 24], [24, 84, 92], [64, 170, 140], [250, 240, 150]]);

function ramp(stops) {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const at = (i / 255) * (stops.length - 1), low = stops[Math.floor(at)], high = stops[Math.min(stops.length - 1, Math.floor(at) + 1)];
    const [r, g, b] = low.map((value, c) => Math.round(value + (high[c] - value) * (at % 1)));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

const css = (color) => `rgb(${color & 255},${(color >> 8) & 255},${(color >> 16) & 255})`;

// base64 -> a picture of the tensor's own size, and its values to be read under the pointer.
async function open(node, classes) {
  const bytes = Uint8Array.from(atob(node.data), (c) => c.charCodeAt(0));
  if (node.kind === "photo") return { ...node, picture: await createImageBitmap(new Blob([bytes], { type: "image/jpeg" })) };
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  const own = Uint32Array.from({ length: 256 }, (_, i) => {
    const [r, g, b] = classes[i]?.color ?? [0, 0, 0];
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
  const table = { ids: own, score: SCORE, strength: STRENGTH }[node.kind];
  const pixels = new ImageData(node.width, node.height);
  new Uint32Array(pixels.data.buffer).set(Uint32Array.from(values, (v) => table[v]));
  return { ...node, values, picture: await createImageBitmap(pixels) };
}

class Diagram {
  constructor(root, send) {
    Object.assign(this, { root, send, step: 0, chosen: null });
    this.steps = make("div", { class: "steps", role: "group", "aria-label": "Steps from coarse to fine" });
    this.told = make("p", { class: "told", "aria-live": "polite" });
    this.lines = document.createElementNS(SVG, "svg");
    this.title = make("h4");
    this.big = make("canvas", { "aria-hidden": "true" });
    this.said = make("p", { class: "said", "aria-live": "polite" });
    this.ramp = make("div", { class: "ramp" });
    this.text = make("p");
    this.large = make("figure", { class: "large", style: "margin: 0" }, this.title, this.big, this.said, this.ramp, this.text);
    this.graph = make("div", { class: "graph" });
    this.dialog = make("dialog", { "aria-label": "The chosen tensor", onclose: () => this.place() });
    this.scroll = make("div", { class: "scroll" }, this.graph);
    root.replaceChildren(this.steps, this.told, this.scroll, this.dialog);
    this.big.addEventListener("pointermove", (event) => this.say(this.at(event)));
    this.big.addEventListener("pointerleave", () => this.say(this.model.point));
    this.big.addEventListener("click", (event) => this.send(this.at(event)));
    this.watch = new ResizeObserver(() => {
      this.place();
      this.draw();
    });
    this.watch.observe(root);
  }

  show(model) {
    this.model = model;
    if (!model.nodes.some((node) => node.id === this.chosen)) this.chosen = model.steps.at(-1).node;
    this.step = Math.min(this.step ?? model.steps.length - 1, model.steps.length);
    this.steps.replaceChildren(
      make("button", { type: "button", onclick: () => this.go(0) }, "The whole network"),
      ...model.steps.map((step, i) => make("button", { type: "button", onclick: () => this.go(i + 1) }, step.title)),
    );
    this.boxes = new Map(
      model.nodes.map((node) => {
        const canvas = make("canvas", { "aria-hidden": "true" });
        const box = make(
          "button", { class: "node", type: "button", "data-node": node.id, style: `grid-column: ${node.column}; grid-row: ${node.row}`,
            onclick: () => { this.chosen = node.id; this.refresh(); } },
          canvas, make("b", {}, node.title), make("small", {}, node.shape),
        );
        this.paint(canvas, node, 2);
        return [node.id, box];
      }),
    );
    this.graph.replaceChildren(this.lines, ...this.boxes.values());
    this.place();
    this.refresh();
  }

  go(step) {
    this.step = step;
    if (step) this.chosen = this.model.steps[step - 1].node;
    this.refresh();
  }

  // The large picture's place: in the drawing's empty corner, before it on a phone, or in the dialog while that is open.
  place() {
    if (this.dialog.open) this.dialog.append(this.large);
    else if (matchMedia("(max-width: 640px)").matches) this.root.insertBefore(this.large, this.scroll);
    else this.graph.append(this.large);
  }

  enlarge() {
    if (this.dialog.open) return this.dialog.close();
    this.dialog.showModal();
    this.place();
    this.refresh();
  }

  refresh() {
    const { model } = this, step = model.steps[this.step - 1], node = model.nodes.find((one) => one.id === this.chosen);
    [...this.steps.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === this.step)));
    this.told.textContent = step ? step.text : "The encoder goes right and gets coarser; the scores come back left and get finer. Choose a node to see it large, or go step by step.";
    const lit = new Set((step?.edges ?? []).flat());
    for (const [id, box] of this.boxes) {
      box.setAttribute("aria-pressed", String(id === this.chosen));
      box.classList.toggle("dim", Boolean(step) && !lit.has(id));
    }
    const bigger = make("button", { type: "button", onclick: () => this.enlarge() }, this.dialog.open ? "Close" : "Enlarge");
    this.title.replaceChildren(node.title, make("small", {}, node.shape), bigger);
    this.paint(this.big, node, 6);
    this.text.textContent = node.text;
    this.ramp.hidden = !(node.kind === "score" || node.kind === "strength");
    this.ramp.style.display = this.ramp.hidden ? "none" : "";
    const colors = node.kind === "score" ? SCORE : STRENGTH;
    this.ramp.replaceChildren(node.low.toFixed(1), make("i", { style: `background: linear-gradient(90deg, ${[0, 64, 128, 192, 255].map((i) => css(colors[i])).join()})` }), node.high.toFixed(1));
    this.say(model.point);
    this.draw();
    const box = this.boxes.get(this.chosen); // on a phone the drawing is wider than the screen
    this.scroll.scrollLeft = box.offsetLeft - (this.scroll.clientWidth - box.offsetWidth) / 2;
  }

  // A tensor, each cell at least one pixel, and a cross at the point.
  paint(canvas, node, cross) {
    const scale = Math.max(1, Math.ceil((cross > 2 ? 800 : 240) / node.width));
    canvas.width = node.width * scale;
    canvas.height = node.height * scale;
    const ctx = canvas.getContext("2d");
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(node.picture, 0, 0, canvas.width, canvas.height);
    const [x, y] = [this.model.point[0] * canvas.width, this.model.point[1] * canvas.height];
    const reach = canvas.width / (cross > 2 ? 50 : 14);
    for (const [style, width] of [["#000", 3], ["#ffd60a", 1.4]]) {
      ctx.strokeStyle = style;
      ctx.lineWidth = (width * canvas.width) / (cross > 2 ? 560 : 130);
      ctx.beginPath();
      ctx.arc(x, y, reach, 0, 7);
      ctx.stroke();
    }
  }

  at(event) {
    // object-fit: contain, at the left: the picture may be narrower than its box
    const box = this.big.getBoundingClientRect(), ratio = this.big.width / this.big.height;
    const width = Math.min(box.width, box.height * ratio), height = width / ratio;
    const within = (value) => Math.min(0.9999, Math.max(0, value));
    return [within((event.clientX - box.left) / width), within((event.clientY - box.top - (box.height - height) / 2) / height)];
  }

  say([x, y]) {
    const { model } = this, node = model.nodes.find((one) => one.id === this.chosen);
    const column = Math.floor(x * node.width), row = Math.floor(y * node.height);
    if (!node.values) return this.said.replaceChildren(`x ${column}, y ${row}: click to move the point`);
    const value = node.values[row * node.width + column], cell = `cell ${column}, ${row}: `;
    if (node.kind === "ids") {
      const one = model.classes[value];
      return this.said.replaceChildren(cell, make("i", { style: `background: rgb(${one.color})` }), one.name);
    }
    this.said.replaceChildren(`${cell}${(node.low + (value / 255) * (node.high - node.low)).toFixed(2)}`);
  }

  // The edges, between where the nodes are now.
  draw() {
    if (!this.model) return;
    const box = (id) => {
      const one = this.boxes.get(id);
      return { left: one.offsetLeft, top: one.offsetTop, right: one.offsetLeft + one.offsetWidth, bottom: one.offsetTop + one.offsetHeight,
        x: one.offsetLeft + one.offsetWidth / 2, y: one.offsetTop + one.offsetHeight / 2, column: one.style.gridColumnStart, row: one.style.gridRowStart };
    };
    const lit = new Set((this.model.steps[this.step - 1]?.edges ?? []).map(String));
    const defs = document.createElementNS(SVG, "defs");
    defs.innerHTML = '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>';
    const paths = this.model.edges.map((edge) => {
      const [a, b] = edge.map(box), path = document.createElementNS(SVG, "path");
      let d;
      if (a.row === b.row) {
        const right = b.x > a.x;
        d = `M${right ? a.right : a.left} ${a.y}L${right ? b.left - 2 : b.right + 2} ${b.y}`;
      } else if (a.column === b.column) d = `M${a.x} ${a.bottom}L${b.x} ${b.top - 2}`;
      else d = `M${a.x - 20} ${a.bottom}Q${a.x - 20} ${b.y} ${b.right + 2} ${b.y}`;
      path.setAttribute("d", d);
      path.setAttribute("marker-end", "url(#arrow)");
      if (lit.has(String(edge))) path.setAttribute("class", "lit");
      return path;
    });
    this.lines.replaceChildren(defs, ...paths);
  }

  end() {
    this.watch.disconnect();
  }
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".diagram");
  let diagram = diagrams.get(root);
  if (!diagram) {
    diagram = new Diagram(root, (point) => setStateValue("point", point));
    diagrams.set(root, diagram);
  }
  const key = JSON.stringify(data);
  if (key !== diagram.key) {
    diagram.key = key;
    Promise.all(data.nodes.map((node) => open(node, data.classes))).then((nodes) => diagram.key === key && diagram.show({ ...data, nodes }));
  }
  return () => {
    if (root.isConnected) return;
    diagram.end();
    diagrams.delete(root);
  };
}
