"""What a run may use. A request is booked before it is sent, at the most it can cost, and settled at what it did cost.

So however many requests are under way, their sum stays within the budget: what cannot be paid for in full is not sent.
A request that was cut off or timed out may have been charged for, and stays booked in full.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PER = 1_000_000
"""Prices are for so many tokens."""
OVERHEAD = 64
"""Tokens that a server's chat template may add to a request, at most."""


@dataclass(frozen=True)
class Prices:
    """US dollars a million tokens, as the user gave them."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """US dollars."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / PER


@dataclass
class Booking:
    """The most that one request may use, until it is settled."""

    tokens_in: int
    tokens_out: int


@dataclass
class Budget:
    """Tokens and dollars that may be used (None: any number), and those used so far.

    `uncertain` counts the tokens of requests whose replies never came, booked in full.
    """

    most_tokens: int | None = None
    most_usd: float | None = None
    prices: Prices = field(default_factory=Prices)
    tokens_in: int = 0
    tokens_out: int = 0
    uncertain: int = 0
    requests: int = 0
    _booked_in: int = 0
    _booked_out: int = 0
    _largest_in: int = 0

    def book(self, tokens_in: int, tokens_out: int) -> Booking | None:
        """Set the most a request may use aside; None where the budget has not that much left.

        A server that counted more for some earlier request than thought possible is believed from then on.
        """
        tokens_in = max(tokens_in, self._largest_in)
        total_in = self.tokens_in + self._booked_in + tokens_in
        total_out = self.tokens_out + self._booked_out + tokens_out
        if self.most_tokens is not None and total_in + total_out > self.most_tokens:
            return None
        if self.most_usd is not None and self.prices.cost(total_in, total_out) > self.most_usd:
            return None
        self._booked_in += tokens_in
        self._booked_out += tokens_out
        return Booking(tokens_in, tokens_out)

    def settle(self, booking: Booking, tokens_in: int | None, tokens_out: int | None) -> None:
        """A reply came. Counts the server does not give are taken at their most."""
        self._unbook(booking)
        used_in = booking.tokens_in if tokens_in is None else tokens_in
        if tokens_in is not None and tokens_in > booking.tokens_in:
            self._largest_in = max(self._largest_in, tokens_in)
        self.tokens_in += used_in
        self.tokens_out += booking.tokens_out if tokens_out is None else tokens_out
        self.requests += 1

    def release(self, booking: Booking) -> None:
        """The server refused the request before doing anything: nothing was used."""
        self._unbook(booking)

    def forfeit(self, booking: Booking) -> None:
        """No reply came, though the server may have made one: all of it counts as used."""
        self._unbook(booking)
        self.tokens_in += booking.tokens_in
        self.tokens_out += booking.tokens_out
        self.uncertain += booking.tokens_in + booking.tokens_out

    def _unbook(self, booking: Booking) -> None:
        self._booked_in -= booking.tokens_in
        self._booked_out -= booking.tokens_out

    @property
    def usd(self) -> float:
        """US dollars used so far."""
        return self.prices.cost(self.tokens_in, self.tokens_out)


def most_tokens_in(text: str, pictures: int = 0, picture_tokens: int = 0) -> int:
    """The most tokens a request of this text can be: tokenizers that fall back to bytes need one a byte at worst."""
    return len(text.encode("utf-8", "surrogatepass")) + OVERHEAD + pictures * picture_tokens


def usual_tokens(text: str) -> int:
    """A usual count for an estimate: seven Latin letters to two tokens, others two bytes to a token."""
    latin = sum(character < "\u0250" for character in text)
    others = len(text.encode("utf-8", "surrogatepass")) - sum(len(c.encode()) for c in text if c < "\u0250")
    return 2 * latin // 7 + others // 2 + 16
