from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coflect_widget.guidance import instructions
from coflect_widget.guidance.instructions import NotUnderstood, Understood
from coflect_widget.modalities import IMAGE
from coflect_widget.modalities.image.regions import Box
from coflect_widget.modalities.image.words import REGIONS

parse = partial(instructions.parse, modality=IMAGE)
CLASSES = ("cat", "Big Dog", "bus", "T-shirt/top", "Dr. No.")
WIDE = Understood(
    "region", regions=(Box(0.2, 0.2, 0.8, 0.8),), region="x0=0.2 y0=0.2 x1=0.8 y1=0.8"
)


def region(kind, *names, **more):
    rois = tuple(roi for name in names for roi in REGIONS[name])
    return Understood("region", kind=kind, regions=rois, region=" and ".join(names), **more)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("increase focus by 10%", Understood("change", delta=0.10)),
        ("Increase  Focus by 10 %.", Understood("change", delta=0.10)),
        ("increase the focus by 10 percent", Understood("change", delta=0.10)),
        ("increase focus by .05", Understood("change", delta=0.05)),
        ("increase focus", Understood("change", delta=0.10)),
        ("decrease focus", Understood("change", delta=-0.10)),
        ("decrease focus by 25%!", Understood("change", delta=-0.25)),
        ("set focus to 0.4", Understood("set", value=0.4)),
        ("set focus to 40%", Understood("set", value=0.4)),
        ("SET FOCUS 1", Understood("set", value=1.0)),
        ("stop focus", Understood("clear")),
        ("focus center", Understood("region", regions=REGIONS["center"], region="center")),
        ("focus on the centre", Understood("region", regions=REGIONS["center"], region="center")),
        (
            "look at the top-right",
            Understood("region", regions=REGIONS["top right"], region="top right"),
        ),
        ("focus left top", Understood("region", regions=REGIONS["top left"], region="top left")),
        (
            "focus upper left corner",
            Understood("region", regions=REGIONS["top left corner"], region="top left corner"),
        ),
        (
            "ignore the borders",
            Understood("region", kind="ignore", regions=REGIONS["borders"], region="borders"),
        ),
        ("focus x0=.2 y0=.2 x1=.8 y1=.8", WIDE),
        ("x0=.2, y0=.2, x1=.8, y1=.8", WIDE),
        ("y1 = 0.8 x1=.8 y0=.2 x0=.2", WIDE),
        (
            "ignore x=.7 y=.7 w=.3 h=.3",
            Understood(
                "region",
                kind="ignore",
                regions=(Box(0.7, 0.7, 1.0, 1.0),),
                region="x0=0.7 y0=0.7 x1=1 y1=1",
            ),
        ),
        ("ignore corners", region("ignore", "corners")),
        ("ignore the borders and the center", region("ignore", "borders", "center")),
        ("focus left and left", region("look", "left")),
        ("ignore left at 50%", region("ignore", "left", strength=0.5)),
        ("ignore left with strength .5", region("ignore", "left", strength=0.5)),
        ("focus at the center", region("look", "center")),
        ("ignore borders only this one", region("ignore", "borders", scope="sample")),
        ("ignore borders only for this one", region("ignore", "borders", scope="sample")),
        ("ignore borders everywhere", region("ignore", "borders", scope="everywhere")),
        ("ignore borders for all", region("ignore", "borders", scope="everywhere")),
        (
            "ignore borders for all cats",
            region("ignore", "borders", scope="class", label=0, name="cat"),
        ),
        ("Ignore borders for Cat", region("ignore", "borders", scope="class", label=0, name="cat")),
        (
            "focus center at 0.2 for class big dog.",
            region("look", "center", strength=0.2, scope="class", label=1, name="Big Dog"),
        ),
        ("ignore left for all buses", region("ignore", "left", scope="class", label=2, name="bus")),
        ("pause", Understood("pause")),
        ("Resume training!", Understood("resume")),
        ("continue", Understood("resume")),
        ("stop", Understood("stop")),
        ("undo", Understood("undo")),
        ("undo I3", Understood("undo", intervention="i3")),
        ("explain 123", Understood("explain", index=123)),
        ("explain sample #7", Understood("explain", index=7)),
        ("slower overlays", Understood("overlays")),
        ("faster maps please", Understood("overlays", faster=True)),
    ],
)
def test_meaning(text, meaning):
    assert parse(text, classes=CLASSES) == meaning


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("increse focus by 10%", "'increase focus by 10%'"),
        ("", "empty"),
        ("...", "empty"),
        ("focus", "'focus"),
        ("clear", "no such instruction"),
        ("undo twice", "'undo'"),
        ("explain", "'explain 123'"),
        ("explain -3", "no such instruction"),
        ("ignore borders for all horses", "no class 'all horses' (known are cat, Big Dog"),
        ("ignore left and", "no such instruction"),
        ("ignore left at 150%", "from 0 to 1"),
        ("pause and resume", "no such instruction"),
        ("increase focus by 10% for all cats", "no such instruction"),
        ("ignore " + " and ".join(["left"] * 9), "more than 8"),
        ("left", "no such instruction"),
        ("set focus to 40", "write 40%"),
        ("set focus to 400", "from 0 to 1"),
        ("set focus to 140%", "from 0 to 1"),
        ("set focus to -0.4", "changes nothing"),
        ("increase focus by 10", "write 10%"),
        ("increase focus by 10% and ignore borders", "changes nothing"),
        ("increase focus by 10%; stop focus", "changes nothing"),
        ("focus x0=.2 y0=.2 x1=.8", "needs x0, y0, x1, y1"),
        ("focus x0=.2 y0=.2 x1=.8 w=.8", "needs x0"),
        ("focus x0=.2 y0=.2 x1=1.8 y1=.8", r"outside [0, 1]"),
        ("focus x0=.9 y0=.2 x1=.8 y1=.8", "empty box"),
        ("x=.9 y=.9 w=.2 h=.1", "outside [0, 1]"),
        ("x0=.1 x0=.2 y0=.2 x1=.8 y1=.8", "given twice"),
        ("x0=.1y0=.2x1=.8y1=.8", "no such instruction"),
        ("focus x0=.2 y0=.2 x1=.8 y1=.8 now", "no such instruction"),
        ("x" * 600, "longer than"),
    ],
)
def test_not_understood_says_why_and_offers_phrases_that_work(text, words):
    answer = parse(text, classes=CLASSES)
    assert isinstance(answer, NotUnderstood)
    assert words in answer.message
    assert "\n" not in answer.message
    assert answer.nearest
    assert all(isinstance(parse(phrase), Understood) for phrase in answer.nearest)


def test_every_example_and_region_is_understood():
    assert all(isinstance(parse(phrase), Understood) for phrase in instructions.examples(IMAGE))
    for name in REGIONS:
        assert parse(f"focus {name}") == Understood("region", regions=REGIONS[name], region=name)


WORDS = """increase decrease set focus to by ignore stop the 10% 0.4 % . left top corner and at for
all only this one everywhere cat cats class pause undo i3 explain 123 slower faster overlays
borders x0=.1 y0=.1 x1=.9 y1=.9 x=.1 w=.5 = , 5 1e5 nan inf ²"""
word = st.sampled_from(WORDS.split())


@given(st.one_of(st.text(max_size=200), st.lists(word, max_size=8).map(" ".join)))
def test_any_string_has_an_answer_and_its_echo_means_the_same(text):
    answer = parse(text, classes=CLASSES)
    if isinstance(answer, NotUnderstood):
        assert answer.nearest
        assert answer.message
        return
    assert parse(answer.echo(), classes=CLASSES) == answer


names = st.text(min_size=1, max_size=30).filter(lambda name: name.split())
anything = st.builds(
    Understood,
    st.just("region"),
    kind=st.sampled_from(["look", "ignore"]),
    region=st.lists(st.sampled_from(sorted(REGIONS)), min_size=1, max_size=4, unique=True).map(
        " and ".join
    ),
    strength=st.none() | st.floats(0, 1).map(lambda v: round(v, 6)),
    scope=st.sampled_from([None, "sample", "everywhere", "class"]),
)


@given(anything, names, names)
def test_every_region_can_be_typed_as_it_is_repeated_whatever_the_class_is_called(
    said, name, other
):
    classes = (name, other)
    said = replace(said, label=0, name=" ".join(name.split())) if said.scope == "class" else said
    answer = parse(said.echo(), classes=classes)
    if len({" ".join(n.casefold().split()) for n in classes}) == 1 and said.scope == "class":
        assert "2 classes" in answer.message
        return
    rois = [roi for name in said.region.split(" and ") for roi in REGIONS[name]]
    assert answer == replace(said, regions=tuple(dict.fromkeys(rois)))


@given(st.floats(0, 1), st.booleans())
def test_echo_keeps_numbers(number, up):
    number = round(number, 6)
    said = Understood("change", delta=number if up else -number)
    answer = parse(said.echo())
    assert answer.action == "change"
    assert answer.delta == pytest.approx(said.delta, abs=1e-8)
