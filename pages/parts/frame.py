"""What all pages have around them: title, style, the list of pages, and the choice of weights."""

import re
from functools import partial
from html import escape
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts import charts, leaving
from pages.parts.hardening import harden
from seg import weights
from seg.labels import PALETTE, TRAIN_ID
from seg.networks import TITLES

PAGES = (
    ("app.py", "Compare", ":material/compare:"),
    ("pages/inside.py", "Inside", ":material/account_tree:"),
    ("pages/batch.py", "Batch", ":material/burst_mode:"),
    ("pages/scores.py", "Scores", ":material/leaderboard:"),
    ("pages/dataset.py", "Dataset", ":material/photo_library:"),
    ("pages/train.py", "Train", ":material/model_training:"),
)
"""File, name and icon of each page, in the order of the list."""

NAME = "Street FCN"

_STRIPES = PALETTE[[TRAIN_ID[name] for name in ("sky", "building", "vegetation", "road")]]
_ICON = Image.fromarray(np.repeat(_STRIPES, 8, 0)[:, None].repeat(32, 1))  # emoji and symbols would be fetched from the net

_STYLE = """
.block-container { padding: 2.25rem 2.5rem 4rem; max-width: 1800px; }
@media (max-width: 640px) { .block-container { padding: 3.25rem 1rem 3rem; } }
[data-testid="stHeader"] { background: transparent; }
[data-testid="stSidebarUserContent"] { padding-top: 0; }
h1 { padding: 0 0 .1rem !important; letter-spacing: -.02em; }
.lead { opacity: .75; margin: 0; max-width: 62rem; }
.brand { font-weight: 700; font-size: 1.15rem; letter-spacing: -.01em; }
:root { --chosen: #0d9488; }
p.label { font-size: .875rem; margin: 0 0 -.35rem; }
.st-key-samples { display: grid !important; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: .6rem; }
@media (max-width: 1100px) { .st-key-samples { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button { aspect-ratio: 2; height: auto; min-height: 0;
  padding: .3rem .4rem;
  background: #475569 center/cover;
  border: 0; align-items: flex-end; color: #fff !important; }
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button p { font-size: .75rem; line-height: 1.1; font-weight: 600;
  text-shadow: 0 1px 3px #000; }
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button:hover { filter: brightness(1.15); }
[class*="st-key-grid-"] { display: grid !important; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .6rem; }
[class*="st-key-grid-"] .stElementContainer:has(.stHtml) { display: none; }
.st-key-strip { flex-wrap: nowrap !important; overflow-x: auto; padding: .35rem; }
.st-key-strip .stElementContainer:has(.stHtml) { display: none; }
.st-key-strip button { width: 9rem; }
dl.card { font-size: .8125rem; margin: 0; padding: 0 !important; display: grid; grid-template-columns: auto 1fr;
  gap: .15rem .75rem; }
.st-key-detail [role=radiogroup] { flex-wrap: nowrap !important; }
.st-key-inside_view [role=radiogroup] { flex-wrap: nowrap !important; overflow-x: auto; scrollbar-width: none; }
.st-key-inside_view button { flex: none !important; }
:has(> .st-key-looking) { position: sticky; bottom: 0; z-index: 5; }
.st-key-looking:not(:has([data-testid="stSpinner"])) { display: none; }
.st-key-looking { padding: .6rem .9rem; border-radius: .5rem .5rem 0 0; gap: 0;
  background: color-mix(in srgb, var(--chosen) 14%, Canvas); }
.st-key-detail button { padding-inline: .2rem !important; min-width: 0 !important; flex: 1 1 0 !important; }
.card dt { opacity: .65; margin: 0; font-weight: 400; } .card dd { margin: 0; padding: 0; overflow-wrap: anywhere; }
"""


def frame(title: str, lead: str) -> None:
    """Begin a page: call it before any other Streamlit command."""
    harden()
    leaving.forget()
    st.session_state.update({"title_before": st.session_state.get("title"), "title": title})  # uploaders forget on another page
    st.set_page_config(page_title=f"{title} · {NAME}", page_icon=_ICON, layout="wide")
    st.html(f"<style>{_STYLE}{charts.STYLE}</style>")
    with st.sidebar:
        st.html(f'<div class="brand">{NAME}</div>')
        for file, name, icon in PAGES:
            st.page_link(file, label=name, icon=icon, width="stretch")
    st.title(title, anchor=False)
    st.html(f'<p class="lead">{lead}</p>')


def choose_weights(beside: bool = True) -> list[weights.Card]:
    """The published weights that the visitor chose in the sidebar, then, where `beside` is offered, those to compare them with.

    Ends the page with what to do where there are none.
    """
    cards, broken = {}, []
    for name in weights.names(weights.FOLDER):
        try:
            cards[name] = weights.read_card(name, weights.FOLDER)
        except weights.WeightsError as error:
            broken.append(str(error))
    for sentence in broken:
        st.warning(plain(sentence), icon=":material/error:")
    if not cards:
        st.info(
            f"There are no weights in `{weights.FOLDER}` that can be used, so no photo can be looked at. Restore the "
            "shipped ones with `git checkout -- weights`, or publish a training of your own with "
            "`python -m seg publish RUN --name NAME`.",
            icon=":material/download:",
        )
        st.stop()
    with st.sidebar:
        names = sorted(cards, key=lambda name: name != weights.DEFAULT)
        asked = st.query_params.get_all("weights"), st.query_params.get_all("beside") if beside else []
        page = st.session_state["title"]
        if not set(names).issuperset(sum(asked, [])):
            st.session_state["lost_weights"] = asked, page
        found = partial(st.session_state.pop, "lost_weights", None)
        card = cards[st.selectbox("Weights", names, key="weights", bind="query-params", on_change=found)]
        (first, more), where = st.session_state.get("lost_weights", (([], []), ""))
        lost = ", ".join(dict.fromkeys(plain(name[:80]) for name in [*first, *more] if name not in cards))
        if lost and where == page:  # on the next page it is known
            these = "" if cards.keys() >= set(first) else f" These are {plain(card.name)}."
            st.info(f"The link names the weights {lost}, which are not here.{these}", icon=":material/link_off:")
        st.html(_summary(card))
        others = [name for name in names if name != card.name] if beside else []
        compared = others and st.multiselect(
            "Compare with",
            others,
            key="beside",
            bind="query-params",
            max_selections=3,
            on_change=found,
            placeholder="Other weights",
            help="Their masks become panes beside those of the weights above.",
        )
    return [card, *(cards[name] for name in compared)]


def plain(text: str) -> str:
    """Text that Streamlit would take for Markdown -> the same, to be shown as it is.

    Addresses, icons and arrows are made after backslashes are taken out: a word joiner, which nobody sees, keeps them apart.
    """
    apart = re.sub(r"(?i)(?<=www)(?=\.)|(?<=:)(?=[/\w])|(?=@)|(?<=[-<>=~])(?=[-<>=~])", "\u2060", text)
    return re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~:$&])", r"\\\1", apart)


def _summary(card: weights.Card) -> str:
    scores = card.metrics.get("variants", {})
    rows = {
        "Trained on": ", ".join(Path(folder).name for folder in card.data) or "nothing",
        "Mean IoU": ", ".join(f"{TITLES[v]} {scores[v]['mean_iou']:.2f}" for v in card.variants if v in scores) or "not measured",
        "Encoder": card.encoder["source"],
        "Size": f"{card.parameters / 1e6:.1f} million parameters, {card.bytes / 1e6:.0f} MB",
        "Licence": card.licence,
    }
    return f'<dl class="card">{"".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in rows.items())}</dl>'
