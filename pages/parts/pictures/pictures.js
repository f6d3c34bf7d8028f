// Pictures of one photo; a click, or the arrow keys, move the point in all of them.

const STEP = 0.02;
const KEYS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const within = (value) => Math.min(0.9999, Math.max(0, value));
const percent = (value) => `${100 * value}%`;

function draw(root, { pictures, point }, send) {
  const focused = [...root.querySelectorAll(".frame")].indexOf(document.activeElement);
  const figures = pictures.map((picture) => {
    const spot = make("span", { class: "spot", style: `left: ${percent(point[0])}; top: ${percent(point[1])}` });
    const frame = make("div", {
      class: "frame", tabindex: "0", role: "application", "aria-label": `${picture.title}: click, or press the arrow keys, to move the point`,
      onclick: (event) => {
        const box = frame.getBoundingClientRect();
        move([within((event.clientX - box.left) / box.width), within((event.clientY - box.top) / box.height)]);
      },
      onkeydown: (event) => {
        const by = KEYS[event.key];
        if (!by) return;
        event.preventDefault();
        move([within(root.point[0] + by[0]), within(root.point[1] + by[1])]);
      },
    }, make("img", { src: picture.data, alt: "", draggable: "false" }), spot);
    if (picture.box) {
      const [left, top, right, bottom] = picture.box;
      frame.append(make("span", { class: "box", style: `left: ${percent(left)}; top: ${percent(top)}; width: ${percent(right - left)}; height: ${percent(bottom - top)}` }));
    }
    return make("figure", {}, frame, make("figcaption", {}, make("b", {}, picture.title), make("span", {}, picture.note)));
  });
  // the mark moves at once; what it means comes when all is computed
  const move = (to) => {
    root.point = to;
    for (const spot of root.querySelectorAll(".spot")) Object.assign(spot.style, { left: percent(to[0]), top: percent(to[1]) });
    clearTimeout(root.sending);
    root.sending = setTimeout(() => send(to), 250); // keys come in bursts
  };
  root.point = point;
  root.replaceChildren(...figures);
  if (focused >= 0) root.querySelectorAll(".frame")[focused]?.focus();
}

export default function ({ parentElement, data, setStateValue }) {
  const root = parentElement.querySelector(".pictures"), key = JSON.stringify(data);
  if (root.key !== key) {
    root.key = key;
    draw(root, data, (point) => setStateValue("point", point));
  }
}
