"""Opens a page (of a sweep or a speed-up) in headless Chromium and uses it as people do: sorting, filtering, choosing columns, curves, brushing the
parallel coordinates, opening the photos of a confusion cell, saving charts, colours, keyboard, a phone's width. Nothing is written to the console.

    python tests/python/check_report.py PAGE.html [--chromium /usr/bin/chromium] [--screenshots DIR]

Needs playwright (the Python package; the browser may be the system's).
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Page, sync_playwright


def column(page: Page, name: str) -> "list[str]":
    """Cells of a column of the leaderboard, top to bottom."""
    names = [h.strip() for h in page.locator("#trials thead th").all_inner_texts()]
    return page.locator(f"#trials tbody td:nth-child({names.index(name) + 1})").all_inner_texts()


def sorts(page: Page) -> None:
    metric = page.locator("#leaderboard p code").first.inner_text()
    page.get_by_role("button", name="Show all trials").click() if page.locator("#more").is_visible() else None
    head = page.locator("#trials thead button", has_text=metric).first
    head.click()
    down = [float(v) for v in column(page, metric)]
    assert down == sorted(down, reverse=True) or down == sorted(down), down
    first = page.locator("#trials th[aria-sort]").get_attribute("aria-sort")
    # The keyboard does what the mouse does.
    head.focus()
    page.keyboard.press("Enter")
    again = [float(v) for v in column(page, metric)]
    assert again == down[::-1] or len(set(down)) < len(down), (down, again)
    assert page.locator("#trials th[aria-sort]").get_attribute("aria-sort") != first


def filters(page: Page) -> None:
    everything = page.locator("#trials tbody tr").count()
    box = page.locator("#filter")
    box.fill("trial<2")
    assert page.locator("#trials tbody tr").count() == min(2, everything)
    box.fill("no such trial")
    assert page.locator("#trials tbody tr").count() == 0
    assert "0 of" in page.locator("#shown").inner_text()
    box.fill("")
    assert page.locator("#trials tbody tr").count() == everything


def columns(page: Page) -> None:
    """Every column can be shown; one that is cut off is announced."""
    shown = page.locator("#trials thead th").count()
    page.locator(".menu summary").click()
    boxes = page.locator("#columns input")
    ticked = page.locator("#columns input:checked").count()
    for i in range(boxes.count()):
        boxes.nth(i).check()
    assert page.locator("#trials thead th").count() == shown + boxes.count() - ticked
    cut = page.locator("#leaderboard .table").evaluate("e => e.scrollWidth > e.clientWidth + 30")
    assert page.locator("#leaderboard .further").is_visible() == cut
    boxes.nth(boxes.count() - 1).uncheck()
    assert page.locator("#trials thead th").count() == shown + boxes.count() - ticked - 1
    page.locator(".menu summary").click()


def brushes(page: Page) -> None:
    """A range on the metric's axis keeps some trials, in the leaderboard too, until it is taken away."""
    if page.locator("#more").is_visible():
        page.locator("#more").click()
    everything = page.locator("#trials tbody tr").count()
    axis = page.locator("#parallel .overlay").last
    axis.scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    box = axis.bounding_box()
    assert box
    x = box["x"] + box["width"] / 2
    # Upwards past the end, so that the best trial, which stands there, is among those that are kept.
    page.mouse.move(x, box["y"] + box["height"] * 0.6)
    page.mouse.down()
    page.mouse.move(x, box["y"] - 10, steps=4)
    page.mouse.up()
    kept = page.locator("#trials tbody tr").count()
    assert 0 < kept <= everything, kept
    faint = page.locator("#parallel svg path[stroke-opacity='0.07']").count()
    assert faint == everything - kept, (faint, everything, kept)
    # The keyboard takes it away.
    page.locator("#settings .ranges button").focus()
    page.keyboard.press("Enter")
    assert page.locator("#trials tbody tr").count() == everything and page.locator(".ranges button").count() == 0


def cells(page: Page) -> None:
    """A cell of the confusion matrix opens its photos, by mouse and by keyboard."""
    cell = page.locator("#matrix .cell").first
    count = int(cell.get_attribute("aria-label").split(" ")[0])
    cell.click()
    chosen = [page.locator(f"#answers-{name}").input_value() for name in ("class", "predicted", "split")]
    assert all(chosen), chosen
    shown = page.locator("#answers li").count()
    assert 0 < shown <= count, (shown, count)
    page.locator("#matrix .cell[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("Enter")
    assert page.locator("#answers-predicted").input_value() in label
    assert page.evaluate("document.activeElement.id") == "photos-title"
    page.locator("#answers-reset").click()


def photos(page: Page) -> None:
    """The gallery shows what its filters ask for."""
    everything = page.locator("#answers-count").inner_text()
    names = page.locator("#answers-predicted option").evaluate_all("all => all.map(o => o.value)")[1:]
    page.locator("#answers-kind").select_option("all")
    page.locator("#answers-predicted").select_option(names[0])
    said = page.locator("#answers li b").all_inner_texts()
    assert said and set(said) == {names[0]}, said
    page.locator("#answers-order").select_option("unsure")
    sure = [float(t.split(" ")[-1].rstrip("%")) for t in page.locator("#answers li b + *, #answers li > span:has(b)").all_inner_texts()]
    assert sure == sorted(sure), sure
    page.locator("#answers-reset").click()
    assert page.locator("#answers-count").inner_text() == everything


def saves(page: Page) -> None:
    """Every chart can be saved, and what is saved needs nothing of the page."""
    for figure in page.locator("main figure[id]").all():
        for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
            with page.expect_download() as download:
                figure.locator(".save button", has_text=kind).click()
            path = Path(download.value.path())
            content = path.read_bytes()
            assert content.startswith(start) and len(content) > 1000, (figure.get_attribute("id"), kind, len(content))
            assert download.value.suggested_filename.endswith(kind.lower())
            assert kind == "PNG" or b"var(--" not in content.split(b"</style>")[-1], figure.get_attribute("id")


def curves(page: Page) -> None:
    def lines() -> int:
        return page.locator("#curve-loss g[aria-label='line'] path").count()

    before = lines()
    page.locator("#trials tbody input:checked").first.uncheck()
    assert lines() < before, (before, lines())


def tips(page: Page) -> None:
    """A tip is drawn in the page's own colours."""
    chart = page.locator("#curve-loss .canvas svg").last
    chart.scroll_into_view_if_needed()
    page.wait_for_timeout(600)
    box = chart.bounding_box()
    assert box
    for y in range(40, int(box["height"]) - 40, 20):
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + y)
        page.wait_for_timeout(60)
        if page.locator("#curve-loss g[aria-label=tip] path").count():
            break
    fill = page.locator("#curve-loss g[aria-label=tip]").evaluate("e => getComputedStyle(e).fill")
    card = page.locator("#curves").evaluate("e => getComputedStyle(e).backgroundColor")
    assert fill == card, (fill, card)


def colours(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    page.locator("#theme").click()
    page.locator("#theme").click()
    light = page.evaluate(background)
    page.locator("#theme").click()
    assert page.locator("#theme").inner_text() == "Auto" and page.evaluate(background) == before
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(background) != light
    page.emulate_media(color_scheme="light")


def keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    links = page.locator("nav a").count() > 0
    assert "theme" in seen and ("A" in seen or not links), seen


def settings(page: Page) -> None:
    choices = page.locator("#setting option").all_inner_texts()
    for choice in choices:
        page.locator("#setting").select_option(choice)
        assert page.locator("#scatter svg circle").count() > 0, choice
        apart(page, "#scatter")
    apart(page, "#parallel")
    if page.locator("#importance").count():
        assert page.locator("#importance svg rect").count() == len(choices)
        apart(page, "#importance")


def figures(page: Page) -> None:
    """Each figure shows its chart."""
    for figure in page.locator("main figure[id]").all():
        name = f"#{figure.get_attribute('id')}"
        assert page.locator(f"{name} svg path, {name} svg rect").count() > 0, name
        apart(page, name)


def apart(page: Page, chart: str) -> None:
    """Upright words of a chart do not run into each other, and none is wider than the screen."""
    words = page.locator(f"{chart} svg text").evaluate_all(
        "all => all.filter(e => !/rotate/.test(e.getAttribute('transform') || '') && e.textContent.trim())"
        ".map(e => [e.textContent, e.getBoundingClientRect()]).map(([t, b]) => [t, b.left, b.right, b.top, b.bottom])"
    )
    wide = page.evaluate("innerWidth")
    # What is scrolled sideways may go on there.
    scrolled = page.locator(f"{chart} .canvas[tabindex]").count() > 0
    for i, (text, left, right, top, bottom) in enumerate(words):
        assert scrolled or (0 <= left and right <= wide), f"{chart}: `{text}` leaves the screen"
        for other, left2, right2, top2, bottom2 in words[:i]:
            # Boxes of text are higher than the letters.
            over = min(bottom, bottom2) - max(top, top2) > 8 and min(right, right2) - max(left, left2) > 1
            assert not over, f"{chart}: `{text}` runs into `{other}`"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("report", type=Path)
    arguments.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    arguments.add_argument("--screenshots", type=Path)
    a = arguments.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=a.chromium, args=["--no-sandbox"])
        for name, width, height, scheme in [("wide", 1280, 900, "light"), ("dark", 1280, 900, "dark"), ("tablet", 800, 1000, "light"), ("narrow", 390, 844, "light")]:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            wrong: "list[str]" = []
            page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda e: wrong.append(str(e)))
            page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
            page.goto(a.report.resolve().as_uri())
            page.locator("main svg").first.wait_for()
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name}: the page is wider than the screen"
            if a.screenshots:
                a.screenshots.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=a.screenshots / f"{name}.png", full_page=True)
            steps = [keyboard]
            steps += [sorts, filters, columns] if page.locator("#leaderboard").count() else [figures]
            steps += [tips, curves] if page.locator("#curves").count() else []
            steps += [settings, brushes] if page.locator("#settings").count() else []
            steps += [cells] if page.locator("#confusion").count() else []
            steps += [photos] if page.locator("#photos").count() else []
            steps += [saves] if name != "dark" else []
            steps += [colours] if scheme == "light" else []
            for step in steps:
                step(page)
            assert not wrong, wrong
            print(f"{name}: {', '.join(s.__name__ for s in steps)}: good")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
