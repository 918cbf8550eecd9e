"""The page of the service in a real browser: at the width of a desk and of a phone."""

import pytest
from conftest import serving

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 360, "height": 640}}
TEXT = "Zeta of Bonn joined Acme Labs of Graz ."


@pytest.fixture(params=SIZES)
def page(request, chromium, client):
    context = chromium.new_context(viewport=SIZES[request.param], has_touch=request.param == "phone")
    page = context.new_page()
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    requests = []
    page.on("request", lambda asked: requests.append(asked.url))
    page.goto(str(client.base_url))
    yield page
    context.close()
    assert not complaints
    # But for the icon that browsers look for by themselves.
    assert {url.removeprefix(str(client.base_url)) for url in requests} <= {"/", "/draw", "/favicon.ico"}


def fits(page):
    """Whether nothing reaches beyond the window; what is wide scrolls within itself."""
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def says(page, text):
    page.locator("#state", has_text=text).wait_for()


def extract(page, text):
    page.get_by_label("Text").fill(text)
    page.get_by_role("button", name="Extract").click()


def test_text_in_drawing_out(page):
    assert page.title() == "model" and fits(page)
    assert page.locator("header mark").all_text_contents() == ["LOC", "ORG", "PER"]
    assert "based_in, partner_of, works_for" in page.locator("header").inner_text()
    assert page.locator("#found").is_hidden()
    extract(page, TEXT)
    says(page, "4 entities, 3 relations")
    marks = page.locator("#drawing mark").all_text_contents()
    assert marks == ["ZetaORG", "BonnLOC", "Acme LabsORG", "GrazLOC"]
    colours = page.locator("#drawing mark").evaluate_all(
        "all => all.map(each => getComputedStyle(each).backgroundColor)"
    )
    assert colours[0] == colours[2] != colours[1] == colours[3]
    assert page.locator("#drawing svg path.arc").count() == 3 + 2
    # One arc of the three is without direction.
    assert page.locator("#drawing svg path.head").count() == 2
    assert page.locator("#drawing svg").bounding_box()["width"] > 300 and fits(page)
    assert page.locator("#json").is_hidden()
    page.get_by_text("JSON").click()
    assert f'"text": "{TEXT}"' in page.locator("#json").inner_text() and fits(page)


def test_nothing_found_and_many_lines(page):
    extract(page, "Nothing happened there today .")
    says(page, "0 entities, 0 relations")
    assert page.locator("#drawing svg").count() == 0
    extract(page, "\n".join([TEXT] * 3) + "\n" + "x" * 500)
    says(page, "relations")
    assert fits(page)


def test_text_is_never_run(page):
    extract(page, '<img src=x onerror="document.title = 1"><script>document.title = 2</script> Ann')
    page.locator("#drawing").get_by_text("<script>").wait_for()
    assert page.title() == "model" and page.locator("#drawing img").count() == 0


def test_keyboard(page):
    text = page.get_by_label("Text")
    text.press_sequentially("Graz lies near Bonn .")
    text.press("Control+Enter")
    says(page, "2 entities, 0 relations")


def test_errors_are_said(chromium, model):
    with serving(model, max_characters=10) as client:
        page = chromium.new_page()
        page.goto(str(client.base_url))
        extract(page, "Fail")
        says(page, "RuntimeError: no such text")
        extract(page, "Ann")
        says(page, "relations")
        assert page.locator("#found").is_visible()
        extract(page, "Ann " * 10)
        says(page, "A request may have 10 characters")
        assert page.locator("#found").is_hidden() and page.locator("#state.wrong").count() == 1
    extract(page, "Ann")
    says(page, "The service can't be reached.")
    page.close()
