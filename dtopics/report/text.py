"""What the command line prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dtopics.data import OUTLIER
from dtopics.topics import Topics
from dtopics.topics.labelling import label_of

#: From this width on, examples stand beside the words, which then have so many columns.
WIDE = 110
WORDS = 60
#: The width of what goes into a file or a pipe.
PIPE_WIDTH = 140


def print_topics(topics: Topics, limit: int) -> None:
    """Print the topics as a table, largest first, and a line on the whole."""
    from rich import box
    from rich.table import Table

    out = console()
    wide = out.width >= WIDE
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("Topic", justify="right", style="bold cyan")
    table.add_column("Documents", justify="right")
    table.add_column("", min_width=12, no_wrap=True, style="cyan")
    table.add_column("Words")
    if wide:
        table.add_column("Example", no_wrap=True, style="dim")
    room = out.width - WORDS - 40
    inside = [topic for topic in topics.ids if topic != OUTLIER]
    largest = max((topics.sizes[topic] for topic in inside), default=1)
    for topic in inside[:limit]:
        words = ", ".join(word for word, _ in topics.words[topic] if word)
        if bears_name(topics, topic):
            words = f"{label_of(topics, topic)}: {words}"
        example = topics.examples[topic][0].text if topics.examples[topic] else ""
        size = topics.sizes[topic]
        cells = [plain(words)]
        if wide:
            cells = [plain(shorten(words, WORDS)), plain(shorten(one_line(example), room))]
        table.add_row(str(topic), f"{size:,}", bar(size / largest), *cells)
    out.print(table)
    if len(inside) > limit:
        out.print(f"… and {len(inside) - limit:,} smaller topics\n")
    share = topics.n_outliers / max(topics.n_documents, 1)
    out.print(
        f"{topics.n_documents:,} documents, {topics.n_topics:,} topics, "
        f"{topics.n_outliers:,} outliers ({share:.0%})\n",
        highlight=False,
    )


def print_versions(versions: Sequence[Mapping[str, Any]]) -> None:
    """Print what was done to the topics since the fit; the last line is in use."""
    out = console()
    for number, entry in enumerate(versions, start=1):
        in_use = "  (in use)" if number == len(versions) else ""
        out.print(plain(f"{entry['version']}  {entry['made']}{in_use}"))


def print_topic(topics: Topics, topic: int) -> None:
    """Print one topic: words with their weights, and examples."""
    from rich.panel import Panel

    out = console()
    name = f" ({label_of(topics, topic)})" if bears_name(topics, topic) else ""
    out.print(plain(f"Topic {topic}{name}: {topics.sizes[topic]:,} documents", "bold"))
    heaviest = max((weight for _, weight in topics.words[topic]), default=1.0)
    for word, weight in topics.words[topic]:
        if word:
            out.print(plain(f"{weight:8.4f}  {bar(weight / heaviest):<12}  {word}"))
    for example in topics.examples[topic]:
        title = plain(f"{example.doc_id}")
        out.print(Panel(plain(example.text.strip()[:1_000]), title=title, title_align="left"))


def print_status(status: Any) -> None:
    """Print a run's stages."""
    from rich import box
    from rich.table import Table

    out = console()
    out.print(plain(f"{status.url}\n{status.corpus}"))
    state = "finished" if status.finished else "not finished: run the same command to go on"
    notes = ", ".join(f"{count:,} {name}" for name, count in status.notes.items() if count)
    out.print(f"{status.n_documents:,} documents{f' ({notes})' if notes else ''}; {state}")
    if status.cost is not None:
        out.print(f"the embedding service took about {status.cost:,.2f} (at the price given)")
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("Stage")
    for name in ("Blocks", "Documents", "Stored", "Work"):
        table.add_column(name, justify="right")
    for stage in status.stages:
        style = "" if stage.done >= stage.blocks else "yellow"
        table.add_row(
            stage.name, f"{stage.done:,} / {stage.blocks:,}",
            f"{stage.rows:,}" if stage.rows else "", size(stage.bytes),
            f"{stage.seconds:,.1f} s", style=style,
        )  # fmt: skip
    out.print(table)
    for block, reason in status.failures.items():
        out.print(plain(f"failed: {block}: {reason}", "red"), soft_wrap=True)
    for found in status.quarantined:
        line = f"quarantined: {found.doc_id}: {found.reason} ({found.stage})"
        out.print(plain(line, "yellow"), soft_wrap=True)


def print_verified(found: Any) -> None:
    """Print what a check of a run found."""
    out = console()
    for damage in found.damage:
        out.print(plain(f"damaged: {damage.what}", "red"), soft_wrap=True)
    said = "all as it was written"
    if found.damage:
        said = f"{len(found.damage):,} damaged; the same fit again does them anew, and nothing else"
    out.print(
        f"{found.n_receipts:,} receipts, {size(found.n_bytes)}: {said}", highlight=False,
        soft_wrap=True,
    )  # fmt: skip


def print_forecast(found: Any) -> None:
    """Print what a fit would need."""
    out = console()
    about = "" if found.exact else "about "
    out.print(f"Reads     {found.files:,} files, {size(found.bytes)}", highlight=False)
    out.print(
        f"Documents {about}{found.n_documents:,} in {about}{found.n_blocks:,} blocks of "
        f"{found.block_rows:,}",
        highlight=False,
    )
    out.print(f"Leaves    about {size(found.storage)} in the run directory", highlight=False)
    if (counted := found.counting) is not None:
        out.print(
            f"Counting  about {size(counted.tokens)} of it tokens, {size(counted.terms)} terms, "
            f"{size(counted.counts)} counts; {counted.n_terms:,} terms in the vocabulary (from "
            f"the first {counted.n_sampled:,} documents)",
            highlight=False,
        )
    out.print(
        f"Memory    about {size(found.block_memory)} a worker; {size(found.global_memory)} on the "
        "one that fits UMAP and clusters",
        highlight=False,
    )
    for advice in found.advice:
        out.print(plain(f"Advice    {advice}", "yellow"))


def topics_json(topics: Topics) -> list[dict[str, Any]]:
    """Return topics as JSON-able rows."""
    return [
        {
            "topic": topic,
            "size": topics.sizes[topic],
            "name": topics.names[topic],
            "label": topics.labels.get(topic),
            "words": [[word, weight] for word, weight in topics.words[topic] if word],
            "examples": [
                {"doc_id": e.doc_id, "text": e.text, "similarity": e.similarity}
                for e in topics.examples[topic]
            ],
        }
        for topic in topics.ids
    ]


def bears_name(topics: Topics, topic: int) -> bool:
    """Return whether a topic has a name beside its words."""
    return topic in topics.labels or topic in topics.given


def bar(share: float, width: int = 12) -> str:
    """Return a bar of eighths of a character."""
    eighths = max(1, round(share * width * 8))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def size(n_bytes: float) -> str:
    """Return bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1_000:
            return f"{n_bytes:,.0f} {unit}"
        n_bytes /= 1_000
    return f"{n_bytes:,.1f} TB"


def shorten(text: str, width: int) -> str:
    """Return a text cut to a width, with an ellipsis where it was."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def one_line(text: str) -> str:
    """Return a text's beginning without line breaks and control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:400]).split())


def plain(text: str, style: str = "") -> Any:
    """Return text that is printed as it is: brackets are no markup."""
    from rich.text import Text

    shown = "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}"
                    for c in text)  # fmt: skip
    return Text(shown, style=style)


def console() -> Any:
    """Return the console that prints to stdout."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=PIPE_WIDTH)
