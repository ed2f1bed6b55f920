"""The teacher's client against a server that fails: where it sends, how it retries, what it spends and gives away."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memescope.errors import MemescopeError, UsageError
from memescope.meme import Meme
from memescope.rationales.address import check_address, is_local, key_for
from memescope.rationales.budget import Budget, Prices, most_tokens_in, usual_tokens
from memescope.rationales.generate import choose_task, estimate, generate, subjects_of
from memescope.rationales.prompts import load_prompt
from memescope.rationales.retrying import Passing, Stop, TeacherError, from_status, retry_after, wait_seconds
from memescope.rationales.store import Failure, Rationale
from memescope.rationales.teacher import Decoding, Teacher
from memescope.rationales.waiting import wait_for
from tests.teacher_server import GOOD, FaultyServer, completion

pytest.importorskip("openai", reason="needs the extra 'teacher'")

PROMPT = load_prompt("abductive")
HELLO = [{"role": "user", "content": "meme number 1"}]


@pytest.fixture(autouse=True)
def _cache_of_each_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))


def memes(count: int, start: int = 0) -> list[Meme]:
    labels = ("not-harmful", "harmful")
    return [
        Meme(
            text=f"meme number {n}", id=f"m{n}", lang="en", labels={"harmful": labels[n % 2]}, source="s", split="train"
        )
        for n in range(start, start + count)
    ]


def teacher(server: FaultyServer, budget: Budget | None = None, key: str | None = None, **options: float) -> Teacher:
    settings = {"timeout": 5.0, "first_wait": 0.01, "tries": 8, "concurrency": 8, **options}
    return Teacher(check_address(server.url), "faulty", key, budget, **settings)  # type: ignore[arg-type]


def run(server: FaultyServer, count: int, its: Teacher | None = None, prompt: str = "abductive", **options: int):
    chosen = load_prompt(prompt)
    rows = memes(count)
    subjects = subjects_of(rows, chosen, choose_task(rows))
    return generate(subjects, chosen, its or teacher(server), concurrency=8, **options)


def ask(its: Teacher, messages: list[dict] = HELLO):
    async def once():
        async with its:
            return await its.complete(messages, Decoding(0.0, 16))

    return wait_for(once())


# Where text may go.


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1",
        "http://127.8.9.1",
        "http://[::1]:80/v1",
        "http://[::ffff:127.0.0.1]/",
        "http://LOCALHOST:5",
    ],
)
def test_this_machine_needs_no_leave(url: str) -> None:
    assert check_address(url).local


@pytest.mark.parametrize(
    "host",
    [
        "api.openai.com",
        "10.0.0.1",
        "0.0.0.0",
        "127.0.0.1.nip.io",
        "localhost.example.org",
        "127.1",
        "2130706433",
        "192.168.1.2",
    ],
)
def test_every_other_host_is_refused_by_name_unless_named(host: str) -> None:
    assert not is_local(host)
    with pytest.raises(UsageError, match=re.escape(host)):
        check_address(f"https://{host}/v1")
    with pytest.raises(UsageError, match="not this host"):
        check_address(f"https://{host}/v1", "example.org")
    with pytest.raises(UsageError, match="https"):
        check_address(f"http://{host}/v1", host)
    assert not check_address(f"https://{host}/v1/", host).local


def test_localhost_is_local_only_where_it_resolves_to_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "socket.getaddrinfo", lambda *a: [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("10.1.1.1", 0))]
    )
    assert not is_local("localhost")


@pytest.mark.parametrize(
    "url", ["https://user:hunter2@127.0.0.1/v1", "http://127.0.0.1/v1?api_key=hunter2", "nonsense", "ftp://a"]
)
def test_an_address_with_a_key_or_without_sense_is_refused_without_repeating_the_key(url: str) -> None:
    with pytest.raises(UsageError) as told:
        check_address(url)
    assert "hunter2" not in str(told.value)


HOSTS = st.sampled_from(["127.0.0.1", "[::1]", "localhost", "evil.com", "127.0.0.1.evil.com", "10.0.0.1", "[fe80::1]"])
PIECES = st.lists(
    HOSTS | st.sampled_from(["@", "#", "?", "/", "\\", ":80", ":", "%00", "\t", "\n", ".", "[", "]"]), max_size=5
)


@given(st.text() | PIECES.map(lambda pieces: "http://" + "".join(pieces)))
@example("http://127.0.0.1@evil.com/")
@example("http://127.0.0.1\\@evil.com")
@example("http://evil.com#@127.0.0.1/")
def test_no_address_gets_past_without_leave(url: str) -> None:
    import httpx2

    try:
        address = check_address(url)
    except UsageError:
        return
    assert address.local
    try:
        reached = httpx2.URL(address.url).host  # as the HTTP library reads it
    except httpx2.InvalidURL:
        return
    assert is_local(reached.strip("[]"))


def test_a_query_goes_with_every_request_for_azure() -> None:
    address = check_address(
        "https://x.openai.azure.com/openai/deployments/g?api-version=2024-10-21", "x.openai.azure.com"
    )
    assert address.query == (("api-version", "2024-10-21"),)
    assert address.url == "https://x.openai.azure.com/openai/deployments/g"


def test_a_key_is_offered_only_to_the_host_it_was_made_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MEMESCOPE_TEACHER_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    local, openai = check_address("http://127.0.0.1/v1"), check_address("https://api.openai.com/v1", "api.openai.com")
    assert key_for(local) is None
    assert key_for(openai) == "sk-openai"
    assert key_for(check_address("https://notapi.openai.com.example/v1", "notapi.openai.com.example")) is None
    monkeypatch.setenv("MEMESCOPE_TEACHER_KEY", "mine")
    assert key_for(local) == key_for(openai) == "mine"
    with pytest.raises(UsageError, match="NOT_SET"):
        key_for(local, "NOT_SET")


# Retries.


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    date = email.utils.formatdate(1_000_030, usegmt=True)
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after-ms": "250", "retry-after": "7"}) == 0.25
    assert retry_after({"retry-after": date}, now=lambda: 1_000_000) == 30
    assert retry_after({"retry-after": date}, now=lambda: 2_000_000) == 0
    assert retry_after({"retry-after": "-3"}) == 0
    assert [retry_after({"retry-after": bad}) for bad in ("", "soon", "nan", "inf")] == [None] * 4


@given(st.text())
def test_no_retry_after_raises(value: str) -> None:
    seconds = retry_after({"retry-after": value})
    assert seconds is None or seconds >= 0


def test_waits_double_with_jitter_and_keep_to_what_the_server_asks() -> None:
    assert [wait_seconds(n, None, 1.0, lambda: 1.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert wait_seconds(3, None, 1.0, lambda: 0.0) == 2
    assert wait_seconds(40, None, 1.0, lambda: 1.0) == 60
    assert 9 < wait_seconds(1, 9.0, 1.0, lambda: 0.5) <= 10


@pytest.mark.parametrize(
    ("status", "body", "code", "kind"),
    [
        (401, {}, "not-allowed", Stop),
        (404, {}, "not-found", Stop),
        (429, {"code": "insufficient_quota"}, "quota", Stop),
        (429, {}, "rate-limited", Passing),
        (503, None, "server-error", Passing),
        (307, None, "redirect", Stop),
        (400, {"error": {"code": "content_filter"}}, "content-filter", TeacherError),
        (400, "text", "refused", TeacherError),
    ],
)
def test_each_status_has_a_name_and_says_whether_to_go_on(status: int, body: object, code: str, kind: type) -> None:
    error = from_status(status, {}, body, "")
    assert error.code == code
    assert type(error) is kind


def test_everybody_waits_when_one_is_told_to() -> None:
    with FaultyServer(share=1.0, faults=("busy",), retry_after="0.4") as server:
        its = teacher(server, tries=2)
        with pytest.raises(TeacherError, match="too busy"):
            ask(its)
    first, second = server.log
    assert second.begun - first.begun >= 0.4


@pytest.mark.parametrize(("status", "code"), [(429, "rate-limited"), (503, "server-error")])
def test_a_pause_longer_than_anyone_waits_ends_the_run_and_keeps_what_is_done(status: int, code: str) -> None:
    with FaultyServer() as server:
        found, _ = run(server, 3)
        assert all(isinstance(one, Rationale) for one in found)
        server.always = (status, {"Retry-After": "7200"}, b"{}")
        started = time.monotonic()
        found, summary = run(server, 20)
    assert [type(one) for one in found] == [Rationale] * 3 + [Failure] * 17
    assert {one.error for one in found if isinstance(one, Failure)} == {code}
    assert summary.stopped is not None
    assert "7200" in summary.stopped
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("busy", "rate-limited"),
        ("broken", "server-error"),
        ("cut", "cut-off"),
        ("not-json", "bad-answer"),
        ("html", "bad-answer"),
        ("hang", "timeout"),
    ],
)
def test_each_fault_has_its_name_and_is_tried_again(fault: str, code: str) -> None:
    with FaultyServer(share=1.0, faults=(fault,), hang=2) as server, pytest.raises(TeacherError) as told:
        ask(teacher(server, tries=3, timeout=0.3))
    assert told.value.code == code
    assert len(server.log) == 3


def test_a_server_that_is_not_there_ends_the_run_with_its_name() -> None:
    with FaultyServer() as server:
        its = teacher(server, tries=2)
    with pytest.raises(MemescopeError, match=r"nobody answers at http://127\.0\.0\.1"):
        run(server, 30, its)


def test_a_flood_is_cut_off() -> None:
    with FaultyServer() as server:
        server.always = (200, {}, b" " * (5 * 2**20))
        with pytest.raises(TeacherError) as told:
            ask(teacher(server, tries=1))
    assert told.value.code == "bad-answer"


def test_redirects_are_not_followed_and_proxies_not_used_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyServer() as elsewhere, FaultyServer() as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, elsewhere.url.removesuffix("/v1"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        ask(teacher(server))
        server.always = (307, {"Location": f"{elsewhere.url}/chat/completions"}, b"")
        with pytest.raises(Stop, match="elsewhere"):
            ask(teacher(server))
    assert len(server.log) == 2
    assert elsewhere.log == []


# Keys.


def test_a_key_reaches_the_server_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from memescope.verbs.rationales import app

    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("MEMESCOPE_TEACHER_KEY", key)
    monkeypatch.setenv("MEMESCOPE_CACHE", str(tmp_path / "cache"))
    data = prepared(tmp_path, 4)
    out = tmp_path / "out" / "r.jsonl"
    words = ["generate", str(data), "--model", "m", "--out", str(out), "--retries", "0"]
    parrot = GOOD.format(number=f"of {key}")
    with FaultyServer(reply=lambda user, body: parrot) as server:
        with pytest.raises(SystemExit) as ended:
            app(args=[*words, "--teacher", server.url])
        assert ended.value.code == 0
        assert server.log[0].headers["authorization"] == f"Bearer {key}"
        server.always = (401, {}, json.dumps({"error": {"message": f"wrong key {key}"}}).encode())
        with pytest.raises(MemescopeError, match="refuses the key") as told:
            app(args=[*words, "--teacher", server.url, "--seed", "2"])
    assert key not in str(told.value)
    shown = capsys.readouterr()
    assert key not in shown.out + shown.err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in written)
    assert all(key.encode() not in path.read_bytes() for path in written)
    assert "[key]" in out.read_text()


# What a server can do.


def test_abilities_count_when_they_were_seen_to_work() -> None:
    with FaultyServer(schema=True) as able, FaultyServer() as unable, FaultyServer() as deaf:
        deaf._answer = lambda what, body: "Hello."  # type: ignore[method-assign]
        deaf.schema = True  # accepts response_format and ignores it

        async def abilities(server: FaultyServer):
            async with teacher(server) as its:
                return await its.connect()

        assert wait_for(abilities(able)).schema
        assert not wait_for(abilities(unable)).schema
        assert not wait_for(abilities(deaf)).schema


def test_a_schema_is_sent_where_it_works_and_the_form_is_spelled_out_where_not() -> None:
    with FaultyServer(schema=True) as able, FaultyServer() as unable:
        found, _ = run(able, 1)
        assert isinstance(found[0], Rationale)
        found, _ = run(unable, 1, seed=1)
        assert isinstance(found[0], Rationale)
    assert able.served()[0].body["response_format"]["json_schema"]["schema"]["required"] == ["rationale"]
    assert "Write the paragraph only" not in able.served()[0].body["messages"][1]["content"]
    assert "response_format" not in unable.served()[0].body
    assert "Write the paragraph only" in unable.served()[0].body["messages"][1]["content"]


def test_newer_models_get_the_limit_under_the_name_they_know() -> None:
    def picky(user: str, body: dict) -> str:
        return "never"

    with FaultyServer(reply=picky) as server:
        first = server._handler()

        async def connected():
            async with teacher(server) as its:
                sent = []

                async def send(messages, options):
                    sent.append(dict(options))
                    if "max_tokens" in options or "temperature" in options:
                        raise TeacherError("refused", "unsupported parameter")
                    return its._completion(json.dumps(completion("Hello", 1, 1)).encode())

                its._send = send  # type: ignore[method-assign]
                return await its.connect(), sent

        abilities, sent = wait_for(connected())
    assert first
    assert (abilities.limit, abilities.temperature) == ("max_completion_tokens", False)
    assert all("max_completion_tokens" in options for options in sent[2:])


def test_a_model_that_sees_nothing_is_not_sent_pictures() -> None:
    with FaultyServer() as server, pytest.raises(UsageError, match="did not see"):
        run(server, 2, pictures=True)


def test_pictures_are_sent_as_data_scaled_down(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (2000, 1000), (1, 2, 3)).save(tmp_path / "p.png")
    row = memes(1)[0]
    row.image = tmp_path / "p.png"
    with FaultyServer() as server:
        usual = server._answer

        def answer(what: str, body: dict) -> str:
            return "Red." if "colour" in json.dumps(body) else usual(what, body)

        server._answer = answer  # type: ignore[method-assign]
        found, _ = generate(subjects_of([row], PROMPT, choose_task([row])), PROMPT, teacher(server), pictures=True)
    assert isinstance(found[0], Rationale)
    picture = server.served()[0].body["messages"][1]["content"][0]["image_url"]["url"]
    assert picture.startswith("data:image/jpeg;base64,")
    row.image = tmp_path / "absent.png"
    with FaultyServer() as server:
        server._answer = lambda what, body: "Red."  # type: ignore[method-assign]
        found, _ = generate(subjects_of([row], PROMPT, choose_task([row])), PROMPT, teacher(server), pictures=True)
    assert isinstance(found[0], Failure)
    assert found[0].error == "picture"


# Budget.


def test_a_budget_books_the_most_and_settles_at_what_it_was() -> None:
    budget = Budget(most_tokens=100)
    first = budget.book(40, 20)
    assert first is not None
    assert budget.book(30, 20) is None  # 60 booked, 40 left
    budget.settle(first, 10, 5)
    second = budget.book(50, 30)
    assert second is not None
    budget.forfeit(second)
    assert (budget.tokens_in, budget.tokens_out, budget.uncertain) == (60, 35, 80)
    third = budget.book(2, 3)
    assert third is not None
    budget.release(third)
    assert budget.book(3, 3) is None
    dear = Budget(most_usd=0.01, prices=Prices(10.0, 30.0))
    assert dear.book(1000, 0) is not None  # 10 dollars a million: just it
    assert dear.book(0, 1) is None


def test_a_server_that_counts_more_than_thought_possible_is_believed() -> None:
    budget = Budget(most_tokens=1000)
    first = budget.book(10, 0)
    assert first is not None
    budget.settle(first, 400, 0)
    second = budget.book(10, 0)
    assert second is not None
    assert second.tokens_in == 400
    assert budget.book(10, 0) is None


@given(st.text())
def test_the_most_is_at_least_the_usual(text: str) -> None:
    assert most_tokens_in(text) >= usual_tokens(text) - 8


def test_spending_stays_within_the_budget_and_uses_it() -> None:
    limit = 20_000
    with FaultyServer(share=0.3, faults=("cut", "broken", "busy")) as server:
        _, summary = run(server, 60, teacher(server, Budget(most_tokens=limit)))
    spent = summary.tokens_in + summary.tokens_out
    assert server.charged() <= spent <= limit
    assert server.charged() > 0.3 * limit
    assert summary.errors["budget"] > 0
    assert summary.rationales + sum(summary.errors.values()) == 60


def test_a_dry_run_sends_nothing_and_a_run_after_it_stays_below_its_most() -> None:
    rows = memes(12)
    subjects = subjects_of(rows, PROMPT, choose_task(rows))
    with FaultyServer() as server:
        told = estimate(subjects, PROMPT, teacher(server, Budget(prices=Prices(1.0, 2.0))))
        assert server.log == []
        _, summary = generate(subjects, PROMPT, teacher(server))
    assert told.requests == 12
    assert told.usd == pytest.approx((told.tokens_in + 2 * told.tokens_out) / 1e6, abs=1e-4)
    assert told.tokens_in / 2 < summary.tokens_in < told.most_tokens
    with FaultyServer() as server:
        again = estimate(subjects, PROMPT, teacher(server))
    assert (again.requests, again.from_cache, again.tokens_in) == (0, 12, 0)


# All of it at once.


def prepared(folder: Path, count: int) -> Path:
    data = folder / "drawn"
    data.mkdir()
    rows = [{"id": m.id, "image": None, "text": m.text, "lang": "en", "labels": m.labels} for m in memes(count)]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def test_500_memes_under_every_fault_killed_twice(tmp_path: Path) -> None:
    concurrency, budget = 24, 3.0
    data, out = prepared(tmp_path, 500), tmp_path / "r.jsonl"
    env = {**os.environ, "MEMESCOPE_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    with FaultyServer(share=0.25, bad=0.2, hang=3.0, pause=0.01, retry_after="0.05") as server:
        command = [sys.executable, "-c", "from memescope.verbs.rationales import app; app()", "generate", str(data)]
        command += ["--teacher", server.url, "--model", "faulty", "--out", str(out), "--timeout", "2", "--retries", "7"]
        command += [
            "--concurrency",
            str(concurrency),
            "--budget-usd",
            str(budget),
            "--price-in",
            "1",
            "--price-out",
            "4",
        ]
        killed = []
        for enough in (120, 280):
            process = subprocess.Popen([*command, "--json"], env=env, stdout=subprocess.DEVNULL)
            while len(server.served()) < enough and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            killed.append(time.monotonic())
            assert not out.exists()
        done = subprocess.run([*command, "--json"], env=env, check=True, capture_output=True, text=True)
        summary = json.loads(done.stdout)
        cost = sum(one.tokens_in + 4 * one.tokens_out for one in server.log) / 1e6

        rationales = [json.loads(line) for line in out.read_text().splitlines()]
        failures = [json.loads(line) for line in out.with_name("r.errors.jsonl").read_text().splitlines()]
        assert sorted(row["id"] for row in rationales + failures) == sorted(f"m{n}" for n in range(500))
        assert all("harmful" not in row["rationale"] and len(row["rationale"].split()) >= 20 for row in rationales)
        assert len(rationales) > 450
        assert all(re.fullmatch(r"[a-z-]+", row["error"]) and row["message"] for row in failures)
        assert summary["from_cache"] >= 200
        assert cost <= budget
        assert summary["usd"] <= budget

        # No finished request came twice, but for those under way at a kill.
        times = Counter(one.what for one in server.served())
        twice = [what for what, count in times.items() if count > 1]
        assert len(twice) <= 2 * concurrency
        for what in twice:
            first = min(one.ended for one in server.served() if one.what == what)
            assert any(-1.0 < moment - first < 0.5 for moment in killed), what
        faults = {one.fault for one in server.log}
        assert {"busy", "busy-date", "broken", "hang", "cut", "not-json", "html", "slow"} <= faults

        before = len(server.log)
        again = subprocess.run([*command, "--json"], env=env, check=True, capture_output=True, text=True)
        assert len([one for one in server.log[before:] if one.what != "probe"]) <= 3 * len(failures)
        assert json.loads(again.stdout)["rationales"] >= len(rationales)


def in_a_thread(work):
    """`work` in a loop of its own, whatever runs in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work()).result()


def test_work_is_waited_for_where_a_loop_runs_already() -> None:
    async def doubled(value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value

    async def notebook() -> int:
        return wait_for(doubled(21))

    assert wait_for(doubled(4)) == 8
    assert in_a_thread(notebook) == 42

    async def broken() -> None:
        raise ValueError("as it was raised")

    async def notebook_with_an_error() -> None:
        wait_for(broken())

    with pytest.raises(ValueError, match="as it was raised"):
        in_a_thread(notebook_with_an_error)
