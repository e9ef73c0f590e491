"""Tells stories: a short one, and one that is long enough to reload the page in its middle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from jumpseat.cli.demo.turn import Turn
from jumpseat.protocol.events import Event

__all__ = ["tell", "tell_long"]

_SHORT: Final = """\
**The keeper's ledger**

On a rock at the end of the bay stood a lighthouse, and in it lived a keeper who wrote everything down. \
Each ship that passed, each change of the wind, each lamp she lit got one line in the ledger, in the \
order in which it happened, and no line was ever scratched out.

One night a storm blew out the windows, the lamp and the keeper's candle. In the morning the new keeper \
climbed up, opened the ledger at the last line, and knew at once which ships were still out there. She \
lit the lamp and wrote the next line.

That is the whole story. It is also how this runtime works."""

_LONG: Final = """\
**The slow train to Varn**

The slow train to Varn left at six in the evening, and nobody who had a choice took it. It stopped at \
every halt, at several fields, and once, by long habit, beside a house where a woman held up a jar of \
soup for the driver. Ines had a choice and took it anyway. She had a notebook with four empty pages and \
a story that she wanted to write down before it was gone.

Across from her sat an old man with a wooden box on his knees. He watched her write for an hour, and \
when the lamps came on he asked, very politely, what happened if the train stopped in the middle of a \
sentence. “Then the sentence waits,” said Ines. The old man nodded, as if this were the answer to \
another question, and opened the box.

In it lay a machine of brass, no larger than a loaf. A strip of paper ran through it, and a small arm \
pressed letters into the strip, one after another, without any haste. “It writes down what is said in \
this compartment,” he explained. “It never goes back, and it never skips. I built it because I fall \
asleep on trains, and I do not like to miss how things end.”

Then, as if to show what he meant, he fell asleep.

The train crossed the long bridge. A boy came in and told Ines, in one breath, that there was a fox in \
the luggage van, that it was his, and that he was not supposed to have one. The arm ticked. A conductor \
came and asked about a fox, and Ines said that she had seen no fox, which was true. The arm ticked. \
Somewhere after the bridge the lights went out, and for a while there was only the dark, the rails, and \
the ticking.

When the lights came back the boy was gone, the conductor was gone, and in the old man's lap, curled \
around the warm machine, lay the fox. He woke, looked at it for some time, and did not ask. He took the \
end of the paper strip between two fingers, pulled it back to the place where he had dropped off, and \
began to read: the breath, the boy, the question, the careful answer, the dark. He laughed at the \
careful answer. When he reached the last letter the arm was just pressing the next one, and he read that \
too, and then he was simply awake, in the same moment as everybody else.

“You see,” he said, “I missed nothing. I was only late.”

At Varn the boy stood on the platform with an open satchel, and the fox walked into it as one walks into \
one's own house. The old man closed his box. Ines looked at her four pages. They were full, and the last \
sentence was waiting for its end, so she wrote it there, standing, under the station clock: *and whoever \
comes late may read from the beginning.*"""


def tell(turn: Turn) -> Iterator[Event]:
    """Tell the short story."""
    yield from turn.say(_SHORT)


def tell_long(turn: Turn) -> Iterator[Event]:
    """Tell the long story."""
    yield from turn.say(_LONG)
