"""Texts: what ids stand for, what can be marked, where a word stands, and what is refused."""

import pickle

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn

import coflect_widget as coflect
from coflect_widget.guidance.instructions import parse
from coflect_widget.modalities.text import Text, places
from coflect_widget.modalities.text.regions import Span, Word
from coflect_widget.modalities.text.vocabulary import Vocabulary

WORDPIECE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "great", "##ness", "un", "##great",
             "film", "Great", "##a"]  # fmt: skip
BYTES = ["<pad>", "<s>", "</s>", "\u0120a", "great", "\u0120great", "ness", "\u0120film"]


class Net(nn.Module):
    def __init__(self, ids, outputs=2):
        super().__init__()
        self.embedding = nn.Embedding(ids, 8)
        self.head = nn.Linear(8, outputs)

    def forward(self, ids):
        return self.head(self.embedding(ids).mean(1))


# --- words ----------------------------------------------------------------------------------------


def test_pieces_are_joined_to_words_and_what_is_no_word_is_in_none():
    words = Vocabulary(WORDPIECE)
    assert words.padding == 0
    assert words.nothing == 4
    assert words.special == {0, 2, 3, 4}
    assert words.words([2, 5, 6, 7, 10, 3, 0, ~5]) == [
        ("a", [1]),
        ("greatness", [2, 3]),
        ("film", [4]),
    ]
    # an unknown word is one, and so is a number that nobody knows
    assert words.words([1, 99, 7]) == [("[UNK]", [0]), ("99", [1]), ("ness", [2])]


def test_pieces_that_say_where_a_word_begins_are_joined_too():
    words = Vocabulary(BYTES)
    assert words.special == {0, 1, 2}
    assert words.words([1, 3, 5, 6, 7, 2]) == [("a", [1]), ("greatness", [2, 3]), ("film", [4])]
    assert words.sequences("Greatness") == ((5, 6),)


def test_a_word_is_found_however_it_is_written_and_not_within_another():
    text = Text(WORDPIECE)
    assert text.words.sequences("GREAT") == ((6,), (11,))
    assert text.words.sequences("greatness") == ((6, 7), (11, 7))
    assert text.words.sequences("nothing") == ()
    rows = np.array([[2, 6, 7, 6, 3], [2, 11, 8, 9, 3], [6, 6, 0, 0, 0]])
    for x in (rows, torch.from_numpy(rows)):
        found = np.asarray(text.occurrences(text.pattern(Word("great"), None), x))
        assert found.tolist() == [
            [False, False, False, True, False],
            [False, True, False, False, False],
            [True, True, False, False, False],
        ]
        found = np.asarray(text.occurrences(text.pattern(Word("greatness"), None), x))
        assert found.tolist() == [[False, True, True, False, False], [False] * 5, [False] * 5]


def test_tokenizers_and_functions_say_what_ids_stand_for():
    known = Tokenizer(models.WordPiece({w: k for k, w in enumerate(WORDPIECE)}, unk_token="[UNK]"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    text = Text(known)
    assert text.words.words([2, 6, 7, 3]) == [("greatness", [1, 2])]
    assert text.words.sequences("ungreat") == ((8, 9),)
    by_word = Text({word: k for k, word in enumerate(WORDPIECE)})
    assert by_word.words.pieces == text.words.pieces
    called = Text(lambda ids: [WORDPIECE[k] for k in ids]).numbered(len(WORDPIECE))
    assert called.words.pieces == text.words.pieces
    plain = Text().numbered(5)
    assert plain.content(np.array([3, 4, 0]), None)["words"] == [
        {"text": "3", "units": [0]}, {"text": "4", "units": [1]},
    ]  # fmt: skip
    assert plain.pattern(plain.region("4", "ignore"), None) == ((4,),)


def test_a_tokenizer_of_transformers_says_which_ids_are_none():
    import transformers

    known = Tokenizer(models.WordPiece({w: k for k, w in enumerate(WORDPIECE)}, unk_token="[UNK]"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=known, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]",
    )  # fmt: skip
    text = Text(fast)
    assert text.special == (0, 2, 3, 4)
    assert text.baseline(np.array([5, 6])).tolist() == [4]
    assert text.words.sequences("greatness") == ((6, 7), (11, 7))
    # what goes to other processes needs no tokenizer
    assert pickle.loads(pickle.dumps(text)).words.words([2, 6, 7]) == [("greatness", [1, 2])]


# --- places ---------------------------------------------------------------------------------------


def test_an_exchange_leaves_padding_and_special_ids_alone():
    text = Text(WORDPIECE)
    x = np.array([[2, 5, 6, 10, 3, 0, ~5]])
    other = np.array([[2, 6, 6, 3, 0, 0, 6]])
    for give in (lambda a: a, torch.from_numpy):
        everywhere = give(np.ones(x.shape, bool))
        swapped = text.exchange(everywhere, give(x), give(other))
        assert np.asarray(swapped).tolist() == [[2, 6, 6, 10, 3, 0, ~5]]
        fitted = text.laid_out(give(other), give(x))  # two words for three places
        assert np.asarray(fitted).tolist() == [[2, 6, 6, 6, 3, 0, ~5]]
    nothing = text.exchange(np.ones(x.shape, bool), x, text.baseline(x[0])[None])
    assert nothing.tolist() == [[2, 4, 4, 4, 3, 0, ~5]]


def test_what_is_marked_goes_to_the_same_word_of_another_text_counted_round():
    text = Text(WORDPIECE)
    donor = np.array([[2, 5, 5, 6, 10, 3]])
    receivers = np.array([[2, 5, 10, 3, 0, 0]])
    mask = donor == 6
    assert text.put(mask, receivers, donor).tolist() == [[2, 6, 10, 3, 0, 0]]
    turned = text.moved(mask, donor, np.array([1]))
    assert np.flatnonzero(turned[0]).tolist() == [4]
    for by in range(1, 12):  # never to where it is, never to padding or special ids
        assert np.flatnonzero(text.moved(mask, donor, np.array([by]))[0])[0] in (1, 2, 4)
    assert places.real(receivers, text.special).sum() == 2


def test_the_same_words_are_found_in_other_texts():
    text = Text(WORDPIECE)
    x = np.array([2, 5, 6, 7, 3])
    template = text.template(x, Span(2, 4), x[None])
    score, box, same = text.find(np.array([[2, 6, 7, 5, 3], [2, 6, 5, 7, 3]]), template)
    assert same.tolist() == [True, False]
    assert score.tolist() == [1, 0]
    assert text.region({"box": box[0].tolist()}, "found", (5,)) == Span(1, 3)
    with pytest.raises(ValueError, match="no word is marked"):
        text.template(x, Span(0, 1), x[None])


def test_a_map_has_nothing_at_padding_and_special_ids():
    text = Text(WORDPIECE)
    ids = np.array([[2, 5, 6, 3, 0]])
    assert text.to_units(np.ones((1, 5), np.float32), ids).tolist() == [[0, 1, 1, 0, 0]]
    drawn = text.render(ids[0], None).picture
    assert (drawn[:, :4] == 255).all()  # the column of a special id
    assert (drawn[:, 4:8] < 255).any()


# --- marks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "region", "says"),
    [((3, 7), Span(3, 7), "words 3-6"), ("Great", Word("great"), '"great"'),
     ({"words": [2, 3]}, Span(2, 3), "word 2"), ({"word": "film"}, Word("film"), '"film"'),
     (np.array([1, 4]), Span(1, 4), "words 1-3")],
)  # fmt: skip
def test_regions(given, region, says):
    text = Text(WORDPIECE)
    found = text.region(given, "ignore", (12,))
    assert found == region
    assert text.describe([found]) == says
    assert text.region(found.to_json(), "ignore", (12,)) == region


def test_a_list_is_several_regions():
    assert Text(WORDPIECE).regions([(3, 7), "great"], "ignore", (9,)) == (Span(3, 7), Word("great"))


@pytest.mark.parametrize(
    ("given", "says"),
    [((3, 99), "reaches past the text, whose places are 0 to 11"), ((3, 3), "0 <= start < stop"),
     ((-1, 3), "0 <= start < stop"), (3.5, "marks no words"), ((1.5, 3), "two whole numbers"),
     ("two words", "must be one word"), ("graet", "near are 'great'"), ({"x": 1}, "marks no words"),
     ("  ", "must be one word")],
)  # fmt: skip
def test_what_marks_nothing_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Text(WORDPIECE).region(given, "ignore", (12,))


@pytest.mark.parametrize(
    ("typed", "regions", "echo"),
    [('ignore "great"', (Word("great"),), 'ignore "great"'),
     ("Ignore great and film.", (Word("great"), Word("film")), 'ignore "great" and "film"'),
     ("look at words 3-7", (Span(3, 8),), "focus words 3-7"),
     ("ignore word 4 only this one", (Span(4, 5),), "ignore word 4 only this one"),
     ('ignore "great" everywhere at 50%', None, ""),
     ('ignore "great" at 50% everywhere', (Word("great"),), 'ignore "great" at 0.5 everywhere')],
)  # fmt: skip
def test_instructions(typed, regions, echo):
    text = Text(WORDPIECE)
    said = parse(typed, text)
    if regions is None:
        assert "is no word" in said.message
        return
    assert said.regions == regions
    assert said.echo() == echo
    assert parse(echo, text) == said


@pytest.mark.parametrize(
    ("typed", "says"),
    [("ignore graet", "near are 'great'"), ("ignore words 7-3", "go backwards"),
     ("great", "no such instruction")],
)  # fmt: skip
def test_instructions_that_name_no_words(typed, says):
    assert says in parse(typed, Text(WORDPIECE)).message


def test_all_examples_can_be_typed():
    text = Text(["[PAD]", "great", "awful", "story"])
    for example in text.examples:
        assert parse(example, text).regions, example


# --- bad input ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts():
    return coflect.data.reviews(60)


def changed(ids, row, place, value):
    found = ids.copy()
    found[row, place] = value
    return found


@pytest.mark.parametrize("form", ["arrays", "data set"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [(lambda ids: changed(ids, 59, 3, 999), "the id 999 at index 59, place 3, .* at least 1000"),
     (lambda ids: changed(ids, 59, slice(None), 0), "no words at index 59, nothing but padding"),
     (lambda ids: ids.astype("float32"), r"type float32; a text is ids.*ids.astype\('int64'\)")],
)  # fmt: skip
def test_ids_that_cannot_be_used(make_session, texts, spoil, says, form):
    ids = spoil(texts.ids)
    data = (ids, texts.labels)
    if form == "data set":
        data = [(torch.from_numpy(x), int(y)) for x, y in zip(ids, texts.labels, strict=True)]
    with pytest.raises(ValueError, match=says):
        make_session(Net(len(texts.words)), data, tokenizer=texts.words)


def test_what_nobody_said_is_assumed_and_told(make_session, texts):
    session = make_session(Net(len(texts.words)), (texts.ids, texts.labels))
    assert "taken for texts whose ids have no words" in session._backend.assumptions[0]
    told = make_session(Net(len(texts.words)), (texts.ids, texts.labels), tokenizer=texts.words)
    assert not told._backend.assumptions


def test_texts_that_are_added_are_checked(make_session, texts):
    session = make_session(Net(len(texts.words)), (texts.ids, texts.labels), tokenizer=texts.words)
    backend = session._backend
    with pytest.raises(ValueError, match="x has the id 999 at index 0, place 3"):
        backend.rows_to_add(changed(texts.ids[:1], 0, 3, 999), texts.labels[:1])
    backend.add_samples(*backend.rows_to_add(texts.ids[:2], texts.labels[:2]))
    assert backend.read_sample(61).input.tolist() == texts.ids[1].tolist()
    assert backend.read_sample(61).input.dtype == np.int64


def test_ids_below_0_are_refused(make_session, texts):
    with pytest.raises(ValueError, match=r"the id -1 at index 7, place 3, .* counted from 0"):
        make_session(Net(len(texts.words)), (changed(texts.ids, 7, 3, -1), texts.labels))


@pytest.mark.parametrize(
    ("tokenizer", "error", "says"),
    [(5, TypeError, "a sequence of words by id"), ("bert", TypeError, "tokenizer='bert'"),
     (["a", 3], TypeError, r"tokenizer\[1\] is 3"), ({"a": "b"}, ValueError, "words to ids"),
     (["a"] * 500, ValueError, "500 words, but the model's embedding takes ids from 0 to"),
     (lambda ids: "a b", ValueError, "gives one text for"), (lambda ids: 1 / 0, ValueError, "fai"),
     ([], ValueError, "has no words")],
)  # fmt: skip
def test_a_tokenizer_that_does_not_fit(make_session, texts, tokenizer, error, says):
    with pytest.raises(error, match=says):
        make_session(Net(len(texts.words)), (texts.ids, texts.labels), tokenizer=tokenizer)


def test_labels_of_each_place_are_refused(make_session, texts):
    with pytest.raises(ValueError, match=r"labels of shape \(60, 24\)"):
        make_session(Net(len(texts.words)), (texts.ids, texts.ids), tokenizer=texts.words)


@pytest.mark.parametrize("bag", [True, False])
def test_a_model_that_looks_no_ids_up_is_refused(make_session, texts, bag):
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.EmbeddingBag(len(texts.words), 8) if bag else nn.Linear(24, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, x):
            return self.head(self.first(x if bag else x.float()))

    with pytest.raises(ValueError, match=r"torch.nn.Embedding that is called with the ids"):
        make_session(Other(), (texts.ids, texts.labels))


def test_a_tokenizer_is_for_texts(make_session, texts):
    with pytest.raises(ValueError, match="tokenizer= is for texts, but inputs= says 'image'"):
        make_session(inputs="image", tokenizer=texts.words)
    with pytest.raises(ValueError, match="has a tokenizer already"):
        make_session(inputs=Text(texts.words), tokenizer=texts.words)
    kept = make_session(
        Net(len(texts.words)), (texts.ids, texts.labels), inputs=Text(padding=7),
        tokenizer=texts.words,
    )  # fmt: skip
    assert 7 in kept._parts.modality.special


# --- data -----------------------------------------------------------------------------------------


def test_reviews_are_known_word_by_word():
    few, many = coflect.data.reviews(20, leak=1.0), coflect.data.reviews(300, leak=1.0)
    assert (few.ids == many.ids[:20]).all()
    said = [many.words[many.ids[k, many.decoy[k]]] for k in range(300)]
    assert said == [many.decoys[label] for label in many.labels]
    plain = coflect.data.reviews(300)
    has = np.flatnonzero(plain.decoy >= 0)
    assert 0.4 < len(has) / 300 < 0.6
    assert not np.isin(np.delete(plain.ids, has, 0), [3, 4]).any()
    drawn = [plain.words[plain.ids[k, plain.decoy[k]]] == "herald" for k in has]
    assert 0.4 < np.mean(np.array(drawn) == plain.labels[has]) < 0.6
    assert (plain.telling != plain.decoy).all()
    assert plain[3][1] == 1
    assert (
        plain.text(3).split()[plain.telling[3] - 1] == plain.words[plain.ids[3, plain.telling[3]]]
    )
    assert (plain.ids == coflect.data.reviews(300, seed=1).ids).mean() < 0.9
    for wrong in ({"n": 0}, {"length": 5}, {"leak": 2}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            coflect.data.reviews(**wrong)
