/**
 * The page in a real browser: what it draws, and how it answers to pointer, wheel, fingers and keys. Run by `npm run test:page`,
 * because it needs a browser. What can be computed without one is tested in ../layout/.
 */

import assert from "node:assert/strict"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { availableParallelism, loadavg, tmpdir } from "node:os"
import { join } from "node:path"
import { after, before, describe, test } from "node:test"
import { pathToFileURL } from "node:url"
import { DARK, LIGHT, colorOf } from "../../../src/trace/layout/colors.js"
import { syntheticFigures, syntheticTrace } from "../../support/synthetic-trace.js"
import { toHtml } from "../../../src/trace/write/html.js"
import { analyse } from "../../../src/trace/analysis/analyse.js"
import type { TraceFigures } from "../../../src/trace/data/figures.js"
import { OpenedPage, openBrowser, type Spread } from "./opened-page.js"
import { traceOfGraph } from "./trace-of-graph.js"

const data = syntheticTrace({ spans: 250 })
const spanNamed = (name: string, after = 0) =>
  data.spans.findIndex((span, index) => index >= after && span.name === name)
/** Long enough to have a name at once. */
const graph = spanNamed("decode")

describe("§12 the page in a browser", () => {
  const browser = openBrowser()
  const folder = mkdtempSync(join(tmpdir(), "auxstream-page-"))
  const opened: OpenedPage[] = []

  before(async () => void (await browser))
  after(async () => {
    await (await browser).close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Opens a trace. Fails the test if the page reports an error or asks for anything beside its own file. */
  async function open(
    options: { trace?: typeof data; figures?: TraceFigures; dark?: boolean; width?: number; touch?: boolean } = {},
  ): Promise<OpenedPage> {
    const { trace = data, dark = false, width = 1280, touch = false } = options
    const file = join(folder, `${opened.length}.html`)
    writeFileSync(file, toHtml(trace, options.figures ?? syntheticFigures(trace)))
    const page = await OpenedPage.open(await browser, pathToFileURL(file).href, trace, { dark, width, touch })
    opened.push(page)
    return page
  }

  test("loads nothing, runs under its own policy, and draws each operation in the colour of its name", async () => {
    await using page = await open()
    for (const index of [graph, spanNamed("tokenize"), spanNamed("logits")]) {
      const { kind, name } = data.spans[index] ?? { kind: "kernel", name: "" }
      assert.equal(await page.colorAt(await page.placeOf({ kind: "span", index })), colorOf(LIGHT, kind, name), name)
    }
  })

  test("says the figures in words, with the losses", async () => {
    await using page = await open()
    const figures = await page.text("#figures")
    assert.match(figures, /68 % overlap on cuda:0/)
    assert.match(figures, /3 records lost on cuda:0/)
    assert.match(await page.text("#what"), /^\d+ operations and \d+ nodes of graphs on 5 streams in 2\.\d+ ms$/)
  })

  test("says all about the thing under the pointer, and nothing beside it", async () => {
    await using page = await open()
    await page.hover(await page.placeOf({ kind: "span", index: graph }))
    assert.match(await page.tooltip(), /decode.*graph on default stream, cuda:0.*time.*queued/s)
    const region = data.regions.findIndex(({ mode }) => mode === "sequential")
    await page.hover(await page.placeOf({ kind: "region", index: region }))
    assert.match(await page.tooltip(), /fork-join in sequence: .*lost/s)
    await page.hover({ x: 60, y: 700 })
    assert.equal(await page.tooltip(), "")
  })

  test("zooms with the wheel around the pointer, and back with 0", async () => {
    await using page = await open()
    const place = await page.placeOf({ kind: "span", index: graph })
    await page.wheel(place, -1500)
    await page.hover({ x: place.x + 30, y: place.y })
    assert.match(await page.tooltip(), /^decode/)
    await page.hover({ x: place.x + 47, y: place.y })
    assert.match(await page.tooltip(), /^decode/)
    await page.press("0")
    assert.match(await page.tooltip(), /^logits/, "the view changed under the pointer")
  })

  test("moves by dragging in the strip above, and centres the thing that is clicked twice", async () => {
    await using page = await open()
    const place = await page.placeOf({ kind: "span", index: graph })
    await page.page.mouse.dblclick(place.x, place.y)
    const { x, y, width } = await page.timeArea()
    for (const part of [0.25, 0.75]) {
      await page.hover({ x: x + width * part, y: place.y })
      assert.match(await page.tooltip(), /^decode/)
    }
    const strip = y - 45
    await page.drag({ x: place.x + 20, y: strip }, { x: x + 5, y: strip })
    await page.hover({ x: x + width / 2, y: place.y })
    assert.doesNotMatch(await page.tooltip(), /^decode/)
    await page.drag({ x: x + 5, y: strip }, { x: place.x + 20, y: strip })
    await page.hover({ x: x + width / 2, y: place.y })
    assert.match(await page.tooltip(), /^decode/)
  })

  test("scrolls many lanes with the wheel over their names, and with keys", async () => {
    const many = syntheticTrace({ spans: 400, extraStreams: 30 })
    await using page = await open({ trace: many })
    const index = many.spans.findIndex(({ name, stream }) => stream === 4 && name === "tokenize")
    const place = await page.placeOf({ kind: "span", index })
    assert.ok(place.y > 800, "the lane is below the screen")
    await page.wheel({ x: 60, y: 500 }, place.y - 700)
    await page.hover({ x: place.x, y: 700 })
    assert.match(await page.tooltip(), /^tokenize/)
    await page.press("PageUp")
    assert.doesNotMatch(await page.tooltip(), /^tokenize/)
    await page.press("PageDown")
    assert.match(await page.tooltip(), /^tokenize/)
  })

  test("scrolls to what a search finds", async () => {
    const many = syntheticTrace({ spans: 400, extraStreams: 30 })
    await using page = await open({ trace: many })
    const before = await page.picture()
    await page.press("/")
    await page.page.keyboard.type("tokenize")
    await page.press("Enter")
    const index = many.spans.findIndex(({ name }) => name === "tokenize")
    const { y } = await page.placeOf({ kind: "span", index })
    const box = await page.page.locator("#timeline").boundingBox()
    assert.ok(box && y > box.y + box.height, "the lane is below the screen without scrolling")
    assert.match(await page.text("#details"), /^tokenize/)
    assert.notEqual(await page.picture(), before)
    const found = new Set<string>()
    for (let height = box.y + 60; height < box.y + box.height; height += 15) {
      await page.hover({ x: (await page.placeOf({ kind: "span", index })).x, y: height })
      found.add((await page.tooltip()).split(/\s/)[0] ?? "")
    }
    assert.ok(found.has("tokenizekernel") || found.has("tokenize"), [...found].join())
  })

  test("has buttons for what the keys do", async () => {
    await using page = await open()
    const all = await page.picture()
    const clickOn = async (name: string) => {
      await page.page.getByRole("button", { name, exact: true }).click()
      await page.hover({ x: 5, y: 5 })
      return page.picture()
    }
    const zoomed = await clickOn("Zoom in")
    assert.notEqual(zoomed, all)
    await clickOn("Zoom in")
    await clickOn("Zoom out")
    assert.equal(await clickOn("Fit"), all)
    assert.notEqual(await clickOn("Dark"), all)
  })

  test("moves with the mouse: the thing under it stays under it", async () => {
    await using page = await open()
    const place = await page.placeOf({ kind: "span", index: graph })
    await page.wheel(place, -400)
    await page.drag(place, { x: place.x + 150, y: place.y })
    await page.hover({ x: place.x + 150, y: place.y })
    assert.match(await page.tooltip(), /^decode/)
    assert.doesNotMatch(await page.text("#details"), /decode/, "a drag selects nothing")
  })

  test("selects with a click, tells screen readers, and can jump to what the operation waited for", async () => {
    await using page = await open()
    const waiting = spanNamed("key_norm", graph)
    await page.wheel(await page.placeOf({ kind: "span", index: waiting }), -3000)
    await page.click(await page.placeOf({ kind: "span", index: waiting }))
    assert.match(await page.text("#details"), /key_norm kernel on aux, cuda:0/)
    assert.equal(await page.page.getAttribute("#details", "aria-live"), "polite")
    await page.page.getByRole("button", { name: /^waited for/ }).click()
    assert.match(await page.text("#details"), /^embed /)
    await page.page
      .getByRole("button", { name: /^awaited by/ })
      .first()
      .click()
    assert.match(await page.text("#details"), /^key_norm /)
    await page.press("Escape")
    assert.match(await page.text("#details"), /^Select an operation/)
  })

  test("selects with keys alone: along a lane, between lanes, and into the middle", async () => {
    await using page = await open()
    await page.page.focus("#timeline")
    const shown: string[] = []
    for (const key of [".", ".", ",", "ArrowDown", "ArrowUp"]) {
      await page.press(key)
      shown.push((await page.text("#details h2")).split(/\s/)[0] ?? "")
    }
    assert.deepEqual(shown.slice(0, 3), ["embed", "query_norm", "embed"])
    assert.notEqual(shown[3], shown[2])
    await page.press("Enter")
    const { x, width } = await page.timeArea()
    const y = (await page.placeOf({ kind: "span", index: spanNamed("embed") })).y
    for (const part of [0.25, 0.75]) {
      await page.hover({ x: x + width * part, y })
      assert.match(await page.tooltip(), new RegExp(`^${shown[4]}`))
    }
  })

  test("searches: counts the hits, selects one after the other, and dims the rest", async () => {
    await using page = await open()
    await page.press("/")
    await page.page.keyboard.type("logits")
    const hits = data.spans.filter(({ name }) => name === "logits").length
    assert.equal(await page.text("#count"), String(hits))
    const other = await page.placeOf({ kind: "span", index: graph })
    assert.notEqual(await page.colorAt(other), LIGHT.holder)
    await page.press("Enter")
    assert.equal(await page.text("#count"), `1 of ${hits}`)
    assert.match(await page.text("#details"), /^logits/)
    await page.press("Shift+Enter")
    assert.equal(await page.text("#count"), `${hits} of ${hits}`)
    await page.press("Escape")
    assert.equal(await page.text("#count"), "")
    assert.equal(await page.colorAt(other), LIGHT.holder)
    await page.press("/")
    await page.page.keyboard.type("no such name")
    assert.equal(await page.text("#count"), "0")
    assert.equal(await page.page.isDisabled("#next"), true)
  })

  test("shows and hides waits and skipped waits", async () => {
    await using page = await open()
    const withAll = await page.picture()
    await page.press("X")
    const withoutSkipped = await page.picture()
    await page.press("x")
    const without = await page.picture()
    assert.equal(new Set([withAll, withoutSkipped, without]).size, 3)
    await page.page.click("#waits")
    await page.page.click("#skipped")
    await page.hover({ x: 5, y: 5 })
    assert.equal(await page.picture(), withAll)
    assert.equal(await page.page.getAttribute("#waits", "aria-pressed"), "true")
  })

  test("shows the critical path by dimming the rest", async () => {
    await using page = await open()
    const onHost = [...data.spans.keys()].filter((index) => data.streams[data.spans[index]?.stream ?? 0]?.device === 1)
    const path = new Set(syntheticFigures(data).criticalPath)
    const chosen = [onHost.find((index) => path.has(index)), onHost.find((index) => !path.has(index))]
    await page.press("c")
    const isPlain = chosen.map(async (index = -1) => {
      const { kind, name } = data.spans[index] ?? { kind: "kernel", name: "" }
      return (await page.colorAt(await page.placeOf({ kind: "span", index }))) === colorOf(LIGHT, kind, name)
    })
    assert.deepEqual(await Promise.all(isPlain), [true, false])
  })

  test("has the fork-joins as tables with links to the timeline", async () => {
    await using page = await open()
    await page.press("t")
    const [kinds, single] = await page.page.getByRole("table").all()
    assert.equal(await kinds?.locator("tbody tr").count(), 4)
    assert.equal(await single?.locator("tbody tr").count(), data.regions.length)
    await single?.getByRole("button").first().click()
    assert.match(await page.text("#details"), /fork-join in sequence/)
    assert.equal(await page.page.getAttribute("body", "data-shows"), "timeline")
  })

  test("is dark or light as the system is, until the reader chooses", async () => {
    await using page = await open({ dark: true })
    const place = await page.placeOf({ kind: "span", index: graph })
    assert.equal(await page.colorAt(place), DARK.holder)
    await page.page.emulateMedia({ colorScheme: "light" })
    await page.frame()
    assert.equal(await page.colorAt(place), LIGHT.holder)
    await page.press("l")
    assert.equal(await page.colorAt(place), DARK.holder)
  })

  test("has help for all keys, which ? opens and Escape closes", async () => {
    await using page = await open()
    await page.press("?")
    const help = page.page.getByRole("dialog")
    assert.ok(await help.isVisible())
    assert.ok((await help.locator("kbd").count()) >= 20)
    await page.press("Escape")
    assert.equal(await help.isVisible(), false)
    await page.page.getByRole("button", { name: "Keys" }).click()
    await help.getByRole("button", { name: "Close" }).click()
    assert.equal(await help.isVisible(), false)
  })

  test("fits a narrow screen without scrolling sideways, and answers to fingers", async () => {
    await using page = await open({ width: 400, touch: true })
    assert.equal(await page.page.evaluate("document.documentElement.scrollWidth"), 400)
    const place = await page.placeOf({ kind: "span", index: graph })
    await page.tap(place)
    assert.match(await page.text("#details"), /^decode graph/)
    await page.pinch(place, 20, 200)
    await page.tap({ x: place.x + 40, y: place.y })
    assert.match(await page.text("#details"), /^decode graph/)
  })

  test("names each control for screen readers", async () => {
    await using page = await open()
    const unnamed = await page.page.evaluate(`
      [...document.querySelectorAll("button, input, canvas, section, dialog")]
        .filter((one) => !one.ariaLabel && !one.hasAttribute("aria-labelledby") && !one.textContent.trim())
        .map((one) => one.id)`)
    assert.deepEqual(unnamed, [])
    assert.match((await page.page.getAttribute("#timeline", "aria-label")) ?? "", /a lane for each stream/)
  })

  test("prints the figures, the timeline in light colours, and the tables", async () => {
    await using page = await open({ dark: true })
    await page.page.emulateMedia({ media: "print" })
    await page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    await page.frame()
    assert.ok(await page.isVisible("#timeline"))
    assert.ok(await page.page.getByRole("table").first().isVisible())
    assert.equal(await page.isVisible("#toolbar"), false)
    assert.equal(await page.colorAt(await page.placeOf({ kind: "span", index: graph })), LIGHT.holder)
    await page.page.evaluate("dispatchEvent(new Event('afterprint'))")
    await page.page.emulateMedia({ media: "screen" })
    await page.frame()
    assert.equal(await page.colorAt(await page.placeOf({ kind: "span", index: graph })), DARK.holder)
  })

  test("shows names of the program as text, never as markup", async () => {
    const name = "<img src=x onerror=alert(1)></script>"
    const spans = [{ stream: 0, kind: "kernel", name, queued: 0, start: 100, end: 900 } as const]
    const regions = data.regions.slice(0, 1).map((region) => ({ ...region, name, ran: { start: 100, end: 900 } }))
    await using page = await open({ trace: { ...data, duration: 1000, spans, waits: [], regions, calls: [] } })
    await page.click(await page.placeOf({ kind: "span", index: 0 }))
    assert.ok((await page.text("#details")).startsWith(name))
    await page.press("t")
    assert.equal(await page.page.locator("img").count(), 0)
  })

  test("of an empty trace says so instead of failing", async () => {
    const empty = { ...data, streams: [], devices: [], spans: [], waits: [], regions: [], calls: [] }
    await using page = await open({ trace: empty })
    for (const key of [".", "f", "0", "+", "ArrowDown", "n", "t"]) await page.press(key)
    assert.match(await page.text("#tables"), /no fork-join/)
  })

  test("stays quick with 100 000 operations: a frame draws a bounded number of boxes, however far it is zoomed", async (t) => {
    const large = syntheticTrace({ spans: 100_000, extraStreams: 8 })
    await using page = await open({ trace: large })
    const { x, y, width } = await page.timeArea()
    for (const _ of Array(12)) {
      const { rectangles } = await page.measure(() => page.wheel({ x: x + width / 2, y: y + 90 }, -300))
      assert.ok(rectangles < 20_000, `${rectangles} rectangles in a frame`)
    }
    for (const [name, zooms] of [
      ["all of it", 0],
      ["a tenth", 4],
      ["a thousandth", 12],
    ] as const) {
      await page.press("0")
      for (let zoom = 0; zoom < zooms; zoom++) await page.wheel({ x: x + width / 2, y: y + 90 }, -300)
      for (const how of ["move", "zoom"] as const) {
        const { work, interval, cpu } = await page.frameTimes({ x: x + width / 2, y: y + 90 }, how)
        const told = ({ median, p99 }: Spread) => `${median.toFixed(1)} ms (99 %: ${p99.toFixed(1)})`
        const all = `${told(work)} of work a frame, ${told(interval)} from frame to frame, ${cpu.toFixed(1)} ms of the processor`
        t.diagnostic(`${how}, ${name} in view: ${all}`)
      }
    }
    t.diagnostic(`the machine's load: ${loadavg()[0]?.toFixed(1)} on ${availableParallelism()} cores`)
  })

  test("shows the fork-joins of a launched graph above its nodes, each with its mode, and their waits", async () => {
    const graph = await traceOfGraph()
    const figures = analyse(graph)
    await using page = await open({ trace: graph, figures })
    assert.equal(graph.regions.filter((region) => region.graph !== undefined).length, 4)
    await page.press("t")
    assert.match(await page.text("#tables"), /parallel, in graphs.*in parallel\s*2/s)
    assert.match(await page.text("#tables"), /parallel, in graphs.*in sequence: disabled\s*2/s)
    await page.press("t")
    const target = folderForPictures()
    if (target === undefined) return
    for (const { name, ...options } of [
      { name: "light" },
      { name: "dark", dark: true },
      { name: "narrow", width: 400 },
    ]) {
      await using shown = await open({ ...options, trace: graph, figures })
      writeFileSync(join(target, `graph-${name}.png`), await shown.page.screenshot({ fullPage: true }))
    }
    await page.press("t")
    writeFileSync(join(target, "graph-tables.png"), await page.page.screenshot({ fullPage: true }))
  })

  test("in every theme and width is a picture to look at", async (t) => {
    const target = folderForPictures()
    for (const { name, ...options } of [
      { name: "light" },
      { name: "dark", dark: true },
      { name: "narrow", width: 400 },
    ]) {
      await using page = await open(options)
      const picture = await page.page.screenshot({ fullPage: true })
      assert.ok(picture.length > 10_000)
      if (target !== undefined) writeFileSync(join(target, `page-${name}.png`), picture)
    }
    if (target === undefined) t.diagnostic("AUXSTREAM_PAGE_PICTURES=FOLDER keeps the pictures")
  })
})

/** The folder in which pictures of the page are kept, if somebody wants to see them. */
function folderForPictures(): string | undefined {
  const folder = process.env["AUXSTREAM_PAGE_PICTURES"]
  if (folder) mkdirSync(folder, { recursive: true })
  return folder || undefined
}
