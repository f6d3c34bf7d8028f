// Where every pane looks at: the photo's point in the middle, and the CSS pixels per photo pixel. All panes share one.

const CLOSEST = 48;

class View {
  constructor(model) {
    this.resize(model, 1, 1);
    this.fit();
  }

  // The panes are so large now; what was seen stays in the middle.
  resize(model, width, height) {
    const fitted = this.whole;
    Object.assign(this, { model, width, height, least: Math.min(width / model.width, height / model.height) });
    if (fitted ?? true) this.fit();
    else this.clamp();
  }

  get whole() {
    return this.scale === undefined ? undefined : this.scale <= this.least * 1.0001;
  }

  fit() {
    this.scale = this.least;
    this.clamp();
  }

  // One pixel of the photo as it is shown on one of the screen.
  oneToOne() {
    this.zoom(1 / (window.devicePixelRatio || 1) / this.scale, this.width / 2, this.height / 2);
  }

  // The photo's point under a pane's point stays where it is.
  zoom(factor, x, y) {
    const before = this.at(x, y);
    this.scale = Math.max(this.least, Math.min(Math.max(CLOSEST, this.least), this.scale * factor));
    const after = this.at(x, y);
    this.x += before.x - after.x;
    this.y += before.y - after.y;
    this.clamp();
  }

  // A part of the photo that a link names: its middle, and how many of the photo's pixels are seen across.
  look({ x, y, across }) {
    this.scale = Math.max(this.least, Math.min(CLOSEST, this.width / across));
    Object.assign(this, { x, y });
    this.clamp();
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.clamp();
  }

  // Brings a point of the photo into sight.
  reveal(x, y) {
    const halfX = (0.45 * this.width) / this.scale, halfY = (0.45 * this.height) / this.scale;
    this.x = Math.min(x + halfX, Math.max(x - halfX, this.x));
    this.y = Math.min(y + halfY, Math.max(y - halfY, this.y));
    this.clamp();
  }

  clamp() {
    const within = (value, half, size) => (2 * half >= size ? size / 2 : Math.min(size - half, Math.max(half, value)));
    this.x = within(this.x ?? 0, this.width / 2 / this.scale, this.model.width);
    this.y = within(this.y ?? 0, this.height / 2 / this.scale, this.model.height);
  }

  // A pane's point -> the photo's.
  at(x, y) {
    return { x: this.x + (x - this.width / 2) / this.scale, y: this.y + (y - this.height / 2) / this.scale };
  }

  // The photo's point -> a pane's.
  on(x, y) {
    return { x: (x - this.x) * this.scale + this.width / 2, y: (y - this.y) * this.scale + this.height / 2 };
  }
}

// So many panes of a shape beside and below each other that the photo is as large as it can be. What is far taller or wider than the
// window is shown whole in a pane that is not.
function arrange(count, ratio, width, height, gap, caption) {
  const phone = width < 600;
  let best = { across: 1, seen: 0 };
  for (let across = 1; across <= (phone ? 1 : count); across++) {
    const down = phone ? 1 : Math.ceil(count / across); // a phone's panes are scrolled through
    const most = Math.max(120, (height - (gap + caption) * down) / down);
    const wide = Math.min((width - gap * (across - 1)) / across, Math.max(most * ratio, 120));
    const high = Math.min(wide / ratio, most), seen = Math.min(wide, high * ratio);
    if (seen > 0.97 * best.seen) best = { across, seen, width: Math.floor(wide), height: Math.max(1, Math.round(high)) }; // fewer rows
  }
  return best;
}
