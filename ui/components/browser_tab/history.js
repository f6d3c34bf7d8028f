// One history entry for each thing that the visitor does. After a change of page Streamlit corrects the address several times,
// each time by a new entry, and going back would lead through half of an address.

/**
 * Let only the first new address after a press of a button or key make an entry; later ones replace it.
 *
 * @param {Window & { streetFcnHistory?: boolean }} window
 */
export function mergeCorrections(window) {
  if (window.streetFcnHistory) return;
  window.streetFcnHistory = true;
  const { history } = window;
  const push = history.pushState.bind(history);
  let touched = false;
  history.pushState = (state, unused, url) => {
    if (touched) push(state, unused, url);
    else history.replaceState(state, unused, url);
    touched = false;
  };
  const touch = () => {
    touched = true;
  };
  for (const event of ["pointerdown", "keydown", "drop"]) window.addEventListener(event, touch, { capture: true });
  window.addEventListener("popstate", () => {
    touched = false;
  });
}
