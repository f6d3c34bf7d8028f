// Mouse, touch and keyboard -> zoom, pan, probe. Every pane answers alike, since all share one view.

const KEYS = [
  ["+ −", "zoom in, out"],
  ["0", "whole photo"],
  ["1", "one photo pixel on one screen pixel"],
  ["arrows", "move the photo, the crosshair or the divider"],
  ["C", "crosshair on, off (shift: ten pixels at a time)"],
  ["Enter", "pin the point under the crosshair"],
  ["L", "next layer"],
  ["[ ]", "opacity down, up"],
  ["G", "grid that each variant scores on"],
  ["S", "swipe between two panes; the arrows or < > move the divider"],
  ["P", "colour-blind-safe palette"],
  ["Esc", "unpin, undo solo, close"],
  ["?", "this list"],
];

// A turn of the wheel goes on as it began: who scrolls the page past the panes does not zoom them.
const wheel = { last: 0, zooms: false };
window.addEventListener(
  "wheel",
  (event) => {
    if (event.target.closest?.(".viewer canvas")) return;
    Object.assign(wheel, { last: event.timeStamp, zooms: false });
  },
  { passive: true },
);

function listen(viewer, canvas) {
  const pointers = new Map();
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  let moved = 0, dividing = false, lifted = 0, pinnedBefore = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    moved = 0;
    const divider = viewer.dividerOf(canvas);
    dividing = divider !== null && Math.abs(place(event).x - divider) < 16;
  });

  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), before = pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") viewer.hover(viewer.view.at(now.x, now.y));
      return;
    }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (dividing) viewer.set({ divider: Math.min(1, Math.max(0, now.x / viewer.view.width)) });
    else if (others.length === 1) {
      const [other] = others, reach = (point) => Math.hypot(point.x - other.x, point.y - other.y);
      viewer.view.zoom(reach(now) / Math.max(1, reach(before)), (now.x + other.x) / 2, (now.y + other.y) / 2);
      viewer.view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
    } else viewer.view.pan(now.x - before.x, now.y - before.y);
    pointers.set(event.pointerId, now);
    viewer.moved();
  });

  const lift = (event) => {
    if (!pointers.delete(event.pointerId) || event.type === "pointercancel") return;
    if (event.timeStamp - lifted > 400) pinnedBefore = viewer.state.pinned; // a double click brings it back
    lifted = event.timeStamp;
    if (moved < 5 && !dividing) viewer.pin(viewer.view.at(place(event).x, place(event).y));
    dividing = false;
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => viewer.hover(null));

  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    viewer.view.zoom(event.shiftKey ? 0.5 : 2, x, y);
    viewer.set({ pinned: pinnedBefore });
    viewer.tell();
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      if (event.timeStamp - wheel.last > 250) wheel.zooms = event.deltaY < 0 || !viewer.view.whole; // else the page scrolls
      wheel.last = event.timeStamp;
      if (!wheel.zooms) return;
      event.preventDefault();
      const { x, y } = place(event);
      viewer.view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), x, y);
      viewer.hover(viewer.view.at(x, y));
      viewer.moved();
    },
    { passive: false },
  );
}

function press(viewer, event) {
  const inside = event.target.closest(".group");
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select") || !viewer.model) return;
  if (!inside && (/^(Arrow|Enter)/.test(event.key) || event.target.closest("dialog"))) return; // buttons and sliders have their own use of these
  const { view, state, layers } = viewer;
  const middle = [view.width / 2, view.height / 2];
  const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const within = (value) => Math.min(1, Math.max(0, Math.round(100 * value) / 100));
  const acts = {
    "+": () => view.zoom(1.5, ...middle),
    "=": () => view.zoom(1.5, ...middle),
    "-": () => view.zoom(1 / 1.5, ...middle),
    0: () => view.fit(),
    1: () => view.oneToOne(),
    c: () => {
      viewer.pointer = null;
      viewer.set({ cross: state.cross ? null : { x: Math.floor(view.x) + 0.5, y: Math.floor(view.y) + 0.5 } });
    },
    Enter: () => state.cross && viewer.pin(state.cross),
    l: () => viewer.set({ layer: layers[(layers.indexOf(viewer.layer) + 1) % layers.length] }),
    "[": () => viewer.set({ opacity: within(state.opacity - 0.1) }),
    "]": () => viewer.set({ opacity: within(state.opacity + 0.1) }),
    g: () => viewer.set({ grid: !state.grid }),
    s: () => viewer.set({ swipe: !state.swipe }),
    "<": () => viewer.set({ divider: within(state.divider - 0.02) }),
    ">": () => viewer.set({ divider: within(state.divider + 0.02) }),
    p: () => viewer.set({ safe: !state.safe }),
    "?": () => viewer.set({ help: !state.help }),
    Escape: () => {
      viewer.set({ help: false, cross: null, solo: null, cell: null });
      if (state.pinned) viewer.pin(null);
    },
  };
  const act = arrow ? () => steer(viewer, arrow, event.shiftKey ? 10 : 1) : acts[event.key] ?? acts[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  event.stopPropagation(); // Streamlit has keys of its own: c clears its cache
  act();
  viewer.moved();
}

function steer(viewer, [dx, dy], far) {
  const { view, state, model } = viewer;
  viewer.pointer = null; // a mouse that rests on a pane
  if (state.swipe && !state.cross && dx) {
    return viewer.set({ divider: Math.min(1, Math.max(0, state.divider + (dx * far) / 100)) });
  }
  if (!state.cross) return view.pan(-dx * 40, -dy * 40);
  const within = (value, size) => Math.min(size - 0.5, Math.max(0.5, value));
  const cross = { x: within(state.cross.x + dx * far, model.width), y: within(state.cross.y + dy * far, model.height) };
  view.reveal(cross.x, cross.y);
  viewer.set({ cross });
}
