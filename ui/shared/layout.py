"""The frame of every page: title, style and page list."""

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from seg.data.cityscapes import PALETTE, TRAIN_ID
from ui.shared import charts
from ui.shared.permissions import announce
from ui.state import session_cleanup
from ui.state.former_links import translate_former_values
from ui.state.session import session
from ui.state.streamlit_patches import harden
from ui.state.takeover import take_over_former_session

PAGES = (
    ("app.py", "Compare", ":material/compare:"),
    ("pages/inside.py", "Inside", ":material/account_tree:"),
    ("pages/batch.py", "Batch", ":material/burst_mode:"),
    ("pages/scores.py", "Evaluation", ":material/leaderboard:"),
    ("pages/dataset.py", "Dataset", ":material/photo_library:"),
    ("pages/train.py", "Train", ":material/model_training:"),
)
"""File, name and icon of each page, in the order of the page list."""

PHOTO_PAGES = ("app.py", "pages/inside.py")
WEIGHTS_PAGES = (*PHOTO_PAGES, "pages/batch.py")
"""Pages with the choice of a photo, and of weights."""

NAME = "Street FCN"

_STRIPES = PALETTE[[TRAIN_ID[name] for name in ("sky", "building", "vegetation", "road")]]

# a picture: browsers would fetch emoji and symbols from the internet
_ICON = Image.fromarray(np.repeat(_STRIPES, 8, 0)[:, None].repeat(32, 1))

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
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button { aspect-ratio: 2; height: auto;
  min-height: 0; padding: .3rem .4rem;
  background: #475569 center/cover;
  border: 0; align-items: flex-end; color: #fff !important; }
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button p { font-size: .75rem; line-height: 1.1;
  font-weight: 600;
  text-shadow: 0 1px 3px #000; }
:is(.st-key-samples, .st-key-strip, [class*="st-key-grid-"]) button:hover { filter: brightness(1.15); }
[class*="st-key-grid-"] { display: grid !important; gap: .6rem;
  grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); }
[class*="st-key-grid-"] .stElementContainer:has(.stHtml) { display: none; }
.st-key-strip { flex-wrap: nowrap !important; overflow-x: auto; padding: .35rem; }
.st-key-strip .stElementContainer:has(.stHtml) { display: none; }
.st-key-strip button { width: 9rem; }
dl.card { font-size: .8125rem; margin: 0; padding: 0 !important; display: grid;
  grid-template-columns: auto 1fr;
  gap: .15rem .75rem; }
.st-key-detail [role=radiogroup] { flex-wrap: nowrap !important; }
.st-key-inside_view [role=radiogroup] { flex-wrap: nowrap !important; overflow-x: auto;
  scrollbar-width: none; }
.st-key-inside_view button { flex: none !important; }
:has(> .st-key-progress) { position: sticky; bottom: 0; z-index: 5; }
.st-key-progress:not(:has([data-testid="stSpinner"])) { display: none; }
.st-key-progress { padding: .6rem .9rem; border-radius: .5rem .5rem 0 0; gap: 0;
  background: color-mix(in srgb, var(--chosen) 14%, Canvas); }
.st-key-detail button { padding-inline: .2rem !important; min-width: 0 !important; flex: 1 1 0 !important; }
.card dt { opacity: .65; margin: 0; font-weight: 400; }
.card dd { margin: 0; padding: 0; overflow-wrap: anywhere; }
"""


def begin_page(title: str, lead: str) -> None:
    """Begin a page: call it before any other Streamlit command.

    Args:
        title: Title of the page.
        lead: One sentence below the title.
    """
    harden()
    announce()
    session_cleanup.start_cleanup()
    translate_former_values()
    # the previous title tells whether the page changed, which empties the uploaders
    session().update({"title_before": session().get("title"), "title": title})
    st.set_page_config(page_title=f"{title} · {NAME}", page_icon=_ICON, layout="wide")
    st.html(f"<style>{_STYLE}{charts.STYLE}</style>")
    with st.sidebar:
        st.html(f'<div class="brand">{NAME}</div>')
        for file, name, icon in PAGES:
            st.page_link(file, label=name, icon=icon, width="stretch", query_params=link_params(file))
    take_over_former_session()
    st.title(title, anchor=False)
    st.html(f'<p class="lead">{lead}</p>')


def fresh_container(fresh: bool) -> DeltaGenerator:
    """Add a container to the page.

    Args:
        fresh: Whether what an earlier run of the script drew in it disappears at once; otherwise it stays
            until it is replaced.
    """
    return st.empty().container() if fresh else st.container()


def link_params(file: str) -> dict[str, str | list[str]]:
    """Return what a link to a page keeps of the present choice, so that the page's address is complete.

    Args:
        file: File of the page, as in `PAGES`.
    """
    chosen = dict(session().get("addresses", {}))
    for key in ("weights", "beside"):  # their widgets may have been changed just now
        if key in chosen and key in st.session_state:
            chosen[key] = st.session_state[key]
    params = {"weights": chosen["weights"]} if file in WEIGHTS_PAGES and "weights" in chosen else {}
    if file == "app.py" and chosen.get("beside"):
        params["beside"] = chosen["beside"]
    if file in PHOTO_PAGES and "photo" in chosen:
        params["photo"] = chosen["photo"]
    return params
