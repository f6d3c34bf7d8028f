"""A photo and the masks that networks made of it, as the viewer shows them; judged where there is a truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.parts import cached
from pages.parts.photos import short
from pages.parts.viewer import Pane, deflate, pack, present
from seg import masks, weights
from seg.networks import STRIDE_OF, TITLES


@dataclass(frozen=True)
class Mask:
    """What one variant of some weights says of the photo."""

    id: str  # in the viewer, in links and in files' names
    title: str
    card: weights.Card
    variant: str
    answer: cached.Answer
    first: bool  # of the chosen weights, or the finest of others: on the screen until a person chooses

    @property
    def shares(self) -> dict[str, float]:
        return self.answer.shares[self.variant]


def masks_of(card: weights.Card, answer: cached.Answer, main: bool) -> list[Mask]:
    """The masks of some weights; those that are compared with the chosen ones say whose they are."""
    return [
        Mask(
            id=variant if main else f"{card.name}-{variant}",
            title=TITLES[variant] if main else f"{TITLES[variant]} of {card.name}",
            card=card,
            variant=variant,
            answer=answer,
            first=main or variant == card.variants[-1],
        )
        for variant in card.variants
    ]


def packed(
    photo: cached.Photo,
    made: Sequence[Mask],
    label: bytes | None,
    judged: Mapping[str, cached.Judgement],
    *,
    waiting: bool = False,
) -> bytes:
    """What the viewer is sent; `waiting` says that more masks are on their way."""
    panes = [Pane("photo", "Photo", "photo", "rendered" if photo.rendered else short(photo.name))]
    for mask in made:
        answer, variant = mask.answer, mask.variant
        panes.append(
            Pane(
                id=mask.id,
                title=mask.title,
                kind="mask",
                note=f"mean IoU {judged[mask.id].scores.mean_iou:.2f}" if mask.id in judged else "",
                shown=mask.first,
                ids=answer.shown[variant],
                sure=answer.sure[variant],
                second=answer.second[variant],
                work=answer.working_size[::-1],
                stride=STRIDE_OF.get(variant),
            )
        )
    found = [mask.shares for mask in made]
    if label is not None:
        panes.append(Pane("truth", "Truth", "truth", shown=not photo.rendered, ids=deflate(cached.shown_truth(photo, label))))
        found.append(masks.shares(masks.read_png(label)))
    size = photo.width, photo.height
    return pack(photo.jpeg, photo.shown_size, size, panes, present(found), own=not photo.rendered, waiting=waiting)


def judge(photo: cached.Photo, made: Sequence[Mask], label: bytes | None) -> dict[str, cached.Judgement]:
    """Each mask against the truth, where there is one."""
    if label is None:
        return {}
    digest, exact = cached.key(label), cached.shown_truth(photo, label)

    def one(shown: bytes) -> cached.Judgement:
        return cached.judge(digest, cached.key(shown), exact, cached.inflate(shown, photo.shown_size))

    return {mask.id: one(mask.answer.shown[mask.variant]) for mask in made}
