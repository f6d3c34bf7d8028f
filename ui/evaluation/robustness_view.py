"""The view Robustness: mean IoU on corrupted photos, and examples of the corruptions."""

from pathlib import Path

import streamlit as st

from seg import jobs
from seg.data import scenes
from seg.evaluation import robustness
from seg.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from seg.evaluation.robustness_html import strength_figure
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from ui.dataset.pair_cache import ChosenSplit
from ui.evaluation.error_analysis import choose_variant
from ui.shared.pictures import pixels_jpeg
from ui.shared.text import plain, plural

EXAMPLE_SEED, EXAMPLE_SIZE = 3, (320, 160)
"""Seed of the rendered example street, and the width and height of its pictures."""


def draw(card: ModelCard, pairs: ChosenSplit | None) -> None:
    """Draw the stored results of these weights, or the command that computes them, and the examples.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
    """
    results = robustness.load(card.sha256, pairs.digest) if pairs else None
    if results:
        variant = choose_variant(card)
        if variant in results.variants:
            _draw_results(results, variant)
    else:
        data = ["--data", str(pairs.data)] if pairs else []
        st.markdown(
            "There are no results for these weights and this dataset. This command computes them; each "
            "sample takes 25 predictions."
        )
        st.code(jobs.displayed_command(["robustness", card.name, *data]), language="bash", wrap_lines=True)
    st.subheader("Examples", anchor=False)
    strength = st.segmented_control(
        "Strength", list(STRENGTHS), default=2, required=True, key="corruption_strength", bind="query-params"
    )
    with st.container(horizontal=True):
        for name, jpeg in _examples(strength).items():
            st.image(jpeg, caption=name, width=EXAMPLE_SIZE[0])


def _draw_results(results: robustness.Robustness, variant: str) -> None:
    """Draw the plot and the table of a variant."""
    of_variant = results.variants[variant]
    alt = f"Mean IoU of {DISPLAY_NAMES[variant]} by strength of each corruption. The table has the values."
    st.plotly_chart(strength_figure(of_variant), key="robustness", alt=alt)
    number = st.column_config.NumberColumn
    by_strength = zip(*of_variant.corrupted.values(), strict=True)
    columns = {
        f"strength {strength}": scores for strength, scores in zip(STRENGTHS, by_strength, strict=True)
    }
    st.dataframe(
        {
            "corruption": list(CORRUPTIONS),
            **columns,
            "mean": [of_variant.mean_of(corruption) for corruption in CORRUPTIONS],
            "relative loss": [of_variant.relative_loss_of(corruption) for corruption in CORRUPTIONS],
        },
        hide_index=True,
        height="content",
        column_config={
            **{name: number(format="%.4f") for name in (*columns, "mean")},
            "relative loss": number(format="percent", help="Share of the clean mean IoU that is lost."),
        },
        key="robustness_table",
        alt="Mean IoU by corruption and strength.",
    )
    if of_variant.mean is not None and of_variant.relative_loss is not None:
        st.caption(
            f"Mean over all corruptions and strengths: {of_variant.mean:.4f}, {of_variant.relative_loss:.1%} "
            f"below the {of_variant.clean:.4f} of the clean photos. {plural(results.images, 'image')} of "
            f"{plain(Path(results.data).name)} {plain(results.split)}, evenly spaced. The corruptions "
            "follow Hendrycks and Dietterich (2019). Fog depends on the height in the picture, because "
            "photos have no depth: objects above the horizon are in denser fog than in reality."
        )


@st.cache_data(max_entries=len(STRENGTHS), show_spinner="Rendering the street …")
def _examples(strength: int) -> dict[str, bytes]:
    """Return a JPEG of the example street for each corruption."""
    width, height = EXAMPLE_SIZE
    photo = scenes.render_scene(EXAMPLE_SEED, 2 * width, 2 * height).photo
    return {
        name: pixels_jpeg(corrupt(photo, name, strength, EXAMPLE_SEED), EXAMPLE_SIZE) for name in CORRUPTIONS
    }
