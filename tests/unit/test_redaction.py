import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth import assert_linear
from sreops.domain.text.redaction import Redactor, Redactors, clean, one_line, redact, strip_ansi
from sreops.domain.text.secret_patterns import Hinted

SECRETS = [
    ("password=hunter2 next", "hunter2"),
    ("PGPASSWORD=s3cr3t", "s3cr3t"),
    ('"db_password": "two words"', "two words"),
    ("postgres://app:p4ss@db:5432/x", "p4ss"),
    ("Authorization: Bearer abcdefgh.ijkl", "abcdefgh.ijkl"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJhbGciOiJIUzI1NiJ9"),
    ("key sk-ant-api03-abcdefghijklmnop", "abcdefghijklmnop"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("glpat-abcdefghij1234567890", "abcdefghij"),
    ("aws AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("paid with 4111 1111 1111 1111 today", "1111"),
    ("paid with 4111-1111-1111-1111", "1111"),
    ("user bob.smith+x@mail.example.com failed", "bob.smith"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\nxyz==\n-----END RSA PRIVATE KEY-----", "MIIEabc"),
    ("api_key => 'abc123def'", "abc123def"),
    ("x-api-key: 99887766", "99887766"),
    ("session_id=deadbeef0", "deadbeef0"),
]

KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
SECRETS += [
    ('{"SecretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}', "K7MDENG"),
    ("secret access key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG"),
    ("ya29.a0AfH6SMBxyzxyzxyzxyz1234567890", "a0AfH6"),
    ("ghr_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("xapp-1-A0123-123456-abcdef0123456789", "abcdef0123"),
    ("POST https://hooks.slack.com/services/T0000000/B0000000/XXXXXXXXXXXX failed", "XXXXXX"),
    ("bot123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", "AAHdqT"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQdGBF\n-----END PGP PRIVATE KEY BLOCK-----", "lQdGBF"),
    (f"09:00 a: -----BEGIN RSA PRIVATE KEY-----\n09:00 a: {KEY_LINE}\n09:00 a: {KEY_LINE}\n", KEY_LINE),
    (f'{{"private_key": "-----BEGIN PRIVATE KEY-----\\n{KEY_LINE}\\nab==\\n-----END PRIVATE KEY-----\\n"}}', "ab=="),
    ("-----BEGIN RSA PRIVATE KEY-----\n" + (KEY_LINE + "\n") * 300 + "ZZTAIL\n-----END RSA PRIVATE KEY-----", "ZZTAIL"),
    ("eyJhbGciOiJSU0EifQ.OKOawDo13gRp2oja.48V1_ALb6US04U3b.5eym8TW_c8SuK0lt.XFBoMYUZodetZdvT", "XFBoMY"),
    ("mongodb+srv://user:p@ssw0rdX@cluster0.mongodb.net/db", "ssw0rdX"),
    ("amqp://u:first1@h1:5672,amqp://u:second2@h2:5672", "second2"),
    ("postgres://app:pa/ss9w@db/x", "ss9w"),
    ("jdbc:oracle:thin:scott/tiger99@//h:1521/x", "tiger99"),
    ("Server=h;Password=P@ss w0rd!;Encrypt=True", "w0rd"),
    ("AccountName=x;AccountKey=abcDEF123+/abcDEF123==;EndpointSuffix=y", "abcDEF123"),
    ("https://x.blob.core.windows.net/c?sv=2020&sig=abcDEF123%2Babc%3D&se=1", "abcDEF123"),
    ("https://b.s3.amazonaws.com/k?X-Amz-Signature=deadbeefdeadbeefdeadbeef", "deadbeef"),
    ("Cookie: theme=dark; PHPSESSID=abc123abc123", "abc123abc123"),
    ("Set-Cookie: JSESSIONID=0123456789ABCDEF; Path=/; HttpOnly", "0123456789"),
    ("sending Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpw"),
    ('Authorization: Digest username="bob", response="6629fae49393a0539745"', "6629fae"),
    ("Authorization: Negotiate YIIJvwYGKwYBBQUCoIIJ", "YIIJvwYG"),
    ("Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=fe5f80f77d5fa3", "fe5f80f"),
    ("client_secret: correcthorsebattery", "correcthorse"),
    ("password: |\n    hunter2hunter\nx: y", "hunter2"),
    ("password:\n      hunter2hunter", "hunter2"),
    ('{"name":"DB_PASSWORD","value":"hunter2hunter"}', "hunter2"),
    ('{\\"name\\":\\"DB_PASSWORD\\",\\"value\\":\\"hunter2hunter\\"}', "hunter2"),
    ("- name: DB_PASSWORD\n  value: hunter2hunter", "hunter2"),
    ("exec psql --password hunter2hunter -h db", "hunter2"),
    ("mysql -u root -phunter2hunter", "hunter2"),
    ("curl -u admin:hunter2hunter http://x", "hunter2"),
    ("ALTER USER app WITH PASSWORD 'hunter2hunter'", "hunter2"),
    ("<password>hunter2hunter</password>", "hunter2"),
    ("{'password': b'hunter2hunter'}", "hunter2"),
    ('{"password": "hun\\"ter2hunter"}', "ter2"),
    ("the password is hunter2hunter", "hunter2"),
    ("password=a(hunter2", "hunter2"),
    ("ENCRYPTION_KEY=hunter2hunter", "hunter2"),
    ("SECRET_KEY_BASE=hunter2hunter", "hunter2"),
    ("password%3Dhunter2hunter", "hunter2"),
    ('{"auths":{"r":{"auth":"dXNlcjpwYXNzd29yZA=="}}}', "dXNlcjpw"),
    ("order 12 4111 1111 1111 1111 done", "4111"),
    ("4111111111111111 5555555555554444", "4111111111111111"),
    ("amex 3782 822463 10005", "822463"),
    ("IBAN DE89370400440532013000", "370400"),
    ("to GB82 WEST 1234 5698 7654 32 today", "1234"),
    ("GET /u?mail=bob.smith%40example.com", "bob.smith"),
]

# A value of letters only reads like prose, and is it only after a name that a sentence may hold ("invalid token: …").
SECRETS += [
    (text, "swordfish")
    for text in (
        "password: swordfish",
        "Password : swordfish",
        "the passphrase: swordfish",
        "passwd: swordfish",
        "pwd: swordfish",
        "Kennwort: swordfish",
        "token=swordfish",
        "token => swordfish",
        "db_token: swordfish",
        "db-token: swordfish",
        "db.token: swordfish",
        '"token": swordfish',
        "'token': swordfish",
        "token:\n  swordfish",
        "--token swordfish",
        "--password swordfish",
    )
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_and_personal_data_are_masked(text, secret):
    masked = redact(text)
    assert secret not in masked
    assert "<" in masked


@pytest.mark.parametrize(
    "text",
    [
        "invalid token: unexpected EOF",
        "token expired",
        "DB_PASSWORD: null",
        "max_tokens=4096 total",
        "order 1748513666367 took 12 ms",
        "4111 1111 1111 1112 fails Luhn",
        "at 2026-01-15T12:00:00.123456789Z",
        "connect tcp 10.0.0.7:5432: connection refused",
        "http://localhost:9090/api/v1/query?x=1",
        "http://localhost:9090/api?mail=a@b",
        "playbooks-config-secret:\n    Type:  Secret",
        "DB_PASSWORD=${DB_PASSWORD}",
        "the password is incorrect",
        "Basic authentication failed",
        "cookie: not found",
        "Enter password:\nconnection closed by 10.0.0.7",
        "DE89370400440532013001 fails its check digits",
        "status 200 200 404 500 302",
        "the secret is out",
        "the secret: nobody knows it",
        "credential: unknown",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize("text", [text for text, _ in SECRETS if "KEY-----" not in text and "response=" not in text])
def test_what_stands_around_a_secret_stays(text):
    around = re.split("<[a-z-]+-[0-9]+>", redact(text))
    assert re.fullmatch(".+".join(re.escape(part) for part in around), text, re.DOTALL)


KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("{password: hunter2x}", "{password: <secret-1>}"),
        ("(password=hunter2x)", "(password=<secret-1>)"),
        ("[token=abc123]", "[token=<secret-1>]"),
        ("password=b'x1'", "password=b'<secret-1>'"),
        ('password=b"x1"', 'password=b"<secret-1>"'),
        ("password=b'x1", "password=b'<secret-1>"),
        ("password='x1)}]'", "password='<secret-1>'"),
        ('password="a1\\"', 'password="<secret-1>\\"'),
        ("password='${X1}'", "password='<secret-1>'"),
        ("password=${X1}", "password=${X1}"),
        ("password=$(x1)", "password=$(x1)"),
        ("password='", "password='"),
        ("password=b'", "password=b'"),
        ("password=''", "password=''"),
        ("password=NULL", "password=NULL"),
        ("password='null'", "password='null'"),
        ("token=<abc>", "token=<abc>"),
        ("token='<abc1>'", "token='<abc1>'"),
        ("password=hunter2X", "password=<secret-1>"),
        ("password='hunter2X'", "password='<secret-1>'"),
        ("password=X1abc9", "password=<secret-1>"),
        ("token: \\unexpected", "token: \\unexpected"),
        ("XTOKEN: unexpected", "XTOKEN: unexpected"),
        ("token='<abc1'", "token='<secret-1>'"),
        ("token='abc1>'", "token='<secret-1>'"),
        ("token:\n  key1:\n  x", "token:\n  key1:\n  x"),
        ("token: key1:", "token: <secret-1>"),
        ("Invalid token : unexpected", "Invalid token : unexpected"),
        ("invalid token: a1b2", "invalid token: <secret-1>"),
        ("bad_token: unexpected", "bad_token: <secret-1>"),
        ("my.token: unexpected", "my.token: <secret-1>"),
        ("token = unexpected", "token = <secret-1>"),
        ("token swordfish", "token swordfish"),
        ("--token swordfish", "--token <secret-1>"),
        ("Set-Cookie: a=1; Path=/; Max-Age=3", "Set-Cookie: a=<secret-1>; Path=/; Max-Age=3"),
        ("cookie: abc123 def ghi", "cookie: <secret-1> def ghi"),
        ("cookie:      abc123 def", "cookie:      <secret-1> def"),
        ("cookie: abc def", "cookie: abc def"),
        ("Cookie: <token-7> x", "Cookie: <token-7> x"),
        ("Cookie:      <token-7> x", "Cookie:      <token-7> x"),
        ("http://u:p1@h1/http://u:p2@h2", "http://u:<secret-2>@h1/http://u:<secret-1>@h2"),
        ("http://h:pw…", "http://h:<secret-1>…"),
        ("http://h:a/b…", "http://h:a/b…"),
        ("http://h:8080…", "http://h:8080…"),
        ("http://h:8x…", "http://h:<secret-1>…"),
        ("4111 1111 1111 1111 and 5555-5555-5555-4444 x", "<card-1> and <card-2> x"),
        ("mail a%40b.example or a@b.example", "mail <email-1> or <email-1>"),
        (f"a {KEY} and {KEY.replace('AoIB', 'BoIB')}.", "a <private-key-1> and <private-key-2>."),
    ],
)
def test_just_the_secret_is_masked(text, masked):
    assert redact(text) == masked


PIECES = [piece for text, _ in SECRETS for piece in (text, text.upper(), text.swapcase(), *text.split())]
LETTERS_THAT_PASS_FOR_ASCII = str.maketrans({"s": "\u017f", "k": "\u212a", "i": "\u0131"})


def redacted_without_hints(text):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hinted, "sub", lambda self, mask, text: self.pattern.sub(mask, text))
        return redact(text)


@given(
    st.lists(st.sampled_from([*PIECES, "\n", '"', "'", ": ", "=", "; ", " -u ", "x"]), min_size=1, max_size=6),
    st.booleans(),
)
def test_a_hint_stands_in_every_text_that_its_pattern_matches(pieces, disguised):
    text = "".join(pieces)
    if disguised:
        text = text.translate(LETTERS_THAT_PASS_FOR_ASCII)
    assert redact(text) == redacted_without_hints(text)


@pytest.mark.parametrize("text", [text for text, _ in SECRETS])
def test_each_secret_is_found_in_capitals_and_in_letters_beyond_ascii(text):
    for disguised in (text.upper(), text.translate(LETTERS_THAT_PASS_FOR_ASCII)):
        assert redact(disguised) == redacted_without_hints(disguised)


def test_the_same_value_has_the_same_placeholder_within_a_redactor():
    redactor = Redactor()
    first = redactor.redact("password=hunter2 by a@b.example")
    second = redactor.redact("retry with password=hunter2, then password=other by a@b.example")
    assert first == "password=<secret-1> by <email-1>"
    assert second == "retry with password=<secret-1>, then password=<secret-2> by <email-1>"
    assert redactor.count == 3


def test_two_values_never_share_a_placeholder():
    redactor = Redactor()
    for first, second in (
        ("cookie: abc123", "cookie: xyz789"),
        ("Authorization: Bearer abcdefgh.ijkl", "Authorization: Bearer zyxwvuts.ijkl"),
        ("DE89370400440532013000", "GB82WEST12345698765432"),
        ("a@b.example", "c%40b.example"),
        ("glpat-abcdefghij1234567890", "glpat-zyxwvutsrq1234567890"),
        ("4111 1111 1111 1111", "5555 5555 5555 4444"),
    ):
        assert redactor.redact(first) != redactor.redact(second)
    redactor.skip(["a number that none is given: <aws-key-0>"])
    assert redactor.redact("AKIAIOSFODNN7EXAMPLE") == "<aws-key-1>"


def test_after_a_restart_no_placeholder_of_before_is_given_to_another_value():
    before = ["login with <secret-3> failed, as with <secret-1>", "paid with <card-2> by <email-12>", "<email-2>"]
    redactor = Redactor()
    redactor.skip(before)
    assert redactor.redact("password=another1 by a@b.example") == "password=<secret-4> by <email-13>"
    assert redactor.redact("IBAN DE89370400440532013000") == "IBAN <iban-1>", "each kind is counted by itself"
    redactor.skip(["<secret-2> is lower than what was given out since"])
    assert (
        redactor.redact("password=another2, then password=another1") == "password=<secret-5>, then password=<secret-4>"
    )


def test_a_value_has_one_placeholder_however_it_is_written_down():
    redactor = Redactor()
    forms = (
        "password=hunter2x",
        '{"db_password": "hunter2x"}',
        "pg://app:hunter2x@db",
        "--token hunter2x",
        "name: PWD, value: hunter2x",
    )
    assert {re.findall("<secret-[0-9]+>", redactor.redact(form))[-1] for form in forms} == {"<secret-1>"}
    assert redactor.redact("4111 1111 1111 1111") == redactor.redact("4111-1111-1111-1111") == "<card-1>"
    assert redactor.redact("DE89 3704 0044 0532 0130 00") == redactor.redact("DE89370400440532013000") == "<iban-1>"
    key = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----"
    assert redactor.redact(key) == redactor.redact(key.replace("\n", "\\n")) == "<private-key-1>"


@pytest.mark.parametrize(
    ("text", "secret"),
    [('{"password": "hunter2 and more', "hunter2"), ("password='hunter2", "hunter2"),
     ("{'password': b'hunter2", "hunter2"), ("x ghp_a1B2c3", "a1B2c3"),
     ("x glpat-a1B2…", "a1B2"), ("x postgres://app:hunter2…", "hunter2"), ('"token": "hunter2…', "hunter2")],
)  # fmt: skip
def test_a_secret_that_was_cut_off_is_masked_as_well(text, secret):
    masked = redact(text)
    assert secret not in masked
    assert redact(masked) == masked
    assert redact("x http://localhost:9090…") == "x http://localhost:9090…"


def test_what_follows_a_private_key_is_still_read():
    key = f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n-----END PRIVATE KEY-----"
    assert redact(f"{key}\nOOM killed process 7") == "<private-key-1>\nOOM killed process 7"
    assert redact(f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\nOOM killed") == "<private-key-1>\nOOM killed"
    hidden = "-----BEGIN PRIVATE KEY-----\nOOM killed process 7\nrestarted\n-----END PRIVATE KEY-----"
    assert "OOM killed" in redact(hidden), "two lines of an attacker hide none that stand between them"


def test_redacting_twice_changes_nothing_more():
    for text, _ in SECRETS:
        once = redact(text)
        assert redact(once) == once


@given(st.text())
def test_clean_text_has_no_control_invisible_or_bidirectional_characters(text):
    import unicodedata

    cleaned = clean(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") for c in cleaned)
    assert clean(cleaned) == cleaned


def test_terminal_sequences_and_hidden_text_go_and_words_stay():
    assert clean("\x1b[31mERROR\x1b[0m disk \u202efull\u202c\u200b \U000e0041!") == "ERROR disk full !"
    assert strip_ansi("\x1b]0;title\x07a\x1b[1;2Hb\x1b(Bc") == "abc"
    assert strip_ansi("\x9b31mred") == "red"
    assert clean("a\r\nb\tc\x00") == "a\nb\tc"
    assert clean("größer, 東京 😀") == "größer, 東京 😀"


HIDDEN = [
    0x00, 0x0D, 0x7F, 0xAD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180F, 0x200B, 0x202E, 0x2028, 0x2029,
    0x2065, 0x3164, 0xD800, 0xE000, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF8, 0xE0000, 0xE0041, 0xE0100, 0xE01EF,
    0xE0FFF,
]  # fmt: skip
SEEN = [0x09, 0x0A, 0xA0, 0x034E, 0x1161, 0x17B3, 0x17B6, 0x180A, 0x1810, 0xFDFF, 0xFE10, 0xFFA1, 0xFFFD, 0x1F600]


def test_what_no_one_can_see_goes_and_its_visible_neighbours_stay():
    assert {code: clean(f"a{chr(code)}b") for code in HIDDEN} == dict.fromkeys(HIDDEN, "ab")
    assert {code: clean(f"a{chr(code)}b") for code in SEEN} == {code: f"a{chr(code)}b" for code in SEEN}


def test_one_line_is_one_line_within_its_limit():
    assert one_line("a\n  b\x00 c") == "a b c"
    assert one_line("x" * 100, 100) == "x" * 100
    assert one_line("x" * 101, 100) == "x" * 99 + "…"
    assert one_line("x" * 300) == "x" * 300
    assert one_line("x" * 301) == "x" * 299 + "…"


def test_of_a_text_that_is_much_longer_than_its_line_only_the_beginning_is_read():
    assert one_line(" " * 799 + "ab", 100) == "a"


def test_an_incident_keeps_its_redactor_while_it_is_asked_for():
    kept = Redactors(most=2)
    first, second = kept.of("I1"), kept.of("I2")
    first.redact("password=hunter2x")
    assert kept.of("I1") is first
    kept.of("I3")
    assert kept.of("I1") is first, "asked for later than the second"
    assert kept.of("I2") is not second


def test_redactors_of_two_hundred_and_fifty_six_incidents_are_kept():
    kept = Redactors()
    first = kept.of("I0")
    for number in range(1, 256):
        kept.of(f"I{number}")
    assert kept.of("I0") is first
    second, third = kept.of("I1"), kept.of("I2")
    for number in range(3, 256):
        kept.of(f"I{number}")
    kept.of("one more")
    assert kept.of("I1") is second
    kept.of("and one more")
    assert kept.of("I2") is not third, "it was not asked for the longest, after I0"
    assert kept.of("I1") is second
    assert first is not kept.of("I0")


HOSTILE = ["a", "a-", "1 ", "1", "a@", "a_", "password=", 'password="', "eyJ", "http://a:", "\x1b]", "a.", "@a.",
           "-----BEGIN PRIVATE KEY-----", "authorization: ", "bearer ", "1-", " ", "sk-", "token ",
           "\x1b[", "token:  ", "mysql ", "name: token value: ", "cookie: a=", "a=b;", "http://a:1@", "-u a:",
           "1234 ", "123-", "DE89 ", 'token="\\', "<token>x", "--token", "a%40", ";pwd=", "password: |\n ",
           "-----BEGIN PRIVATE KEY-----\nAAAA\n"]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_repetition_costs_linear_time(piece):
    assert_linear(lambda size: redact(clean(piece * (size // len(piece)))), 100_000)
