/** A page that is open in a browser, and the places of what it draws. */

import assert from "node:assert/strict"
import { type Browser, type BrowserContext, type Page, chromium } from "playwright-core"
import type { TraceData } from "../../../src/trace/data/data.js"
import { intervalOf } from "../../../src/trace/layout/text/describe.js"
import { NARROW, WIDE, place } from "../../../src/trace/layout/geometry.js"
import { lanesOf } from "../../../src/trace/layout/lanes.js"
import type { Item } from "../../../src/trace/layout/search.js"
import { fit, limitsOf, xAt } from "../../../src/trace/layout/view.js"

export interface Place {
  readonly x: number
  readonly y: number
}

/** Of a machine without a GPU, as the one that runs tests. Without them the browser also looks for servers of its maker. */
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync", "--force-color-profile=srgb"],
]

/** Starts the browser that `npm run test:page` found. */
export function openBrowser(): Promise<Browser> {
  const executablePath = process.env["AUXSTREAM_BROWSER"]
  assert.ok(executablePath, "Run this with `npm run test:page`, which finds a browser.")
  return chromium.launch({ executablePath, args: FLAGS })
}

/** Counts drawing calls and their time. Runs in the page before its own code. */
const COUNTER = `
  globalThis.rectangles = 0
  globalThis.costs = []
  const fillRect = CanvasRenderingContext2D.prototype.fillRect
  CanvasRenderingContext2D.prototype.fillRect = function (...box) { rectangles++; fillRect.apply(this, box) }
  const request = requestAnimationFrame.bind(globalThis)
  globalThis.nextFrame = () => new Promise(request)
  globalThis.requestAnimationFrame = (run) => request((time) => {
    const start = performance.now()
    run(time)
    costs.push(performance.now() - start)
  })`

/** The overview and the axis. */
const TOP = 58
const LABELS = 190

export class OpenedPage implements AsyncDisposable {
  readonly page: Page
  readonly #context: BrowserContext
  readonly #trace: TraceData
  readonly #problems: string[] = []
  readonly #isNarrow: boolean

  private constructor(context: BrowserContext, page: Page, trace: TraceData, isNarrow: boolean) {
    this.#context = context
    this.page = page
    this.#trace = trace
    this.#isNarrow = isNarrow
  }

  static async open(
    browser: Browser,
    url: string,
    trace: TraceData,
    options: { dark: boolean; width: number; touch: boolean },
  ): Promise<OpenedPage> {
    const { dark, width, touch } = options
    const context = await browser.newContext({
      viewport: { width, height: 800 },
      colorScheme: dark ? "dark" : "light",
      hasTouch: touch,
    })
    const page = await context.newPage()
    const opened = new OpenedPage(context, page, trace, width < 640)
    page.on("pageerror", (error) => opened.#problems.push(String(error)))
    page.on("console", (message) => opened.#problems.push(message.text()))
    page.on("request", (request) => {
      if (request.url() !== url) opened.#problems.push(`asked for ${request.url()}`)
    })
    await page.addInitScript(COUNTER)
    await page.goto(url)
    await opened.frame()
    return opened
  }

  /** Closes the page. Fails if it reported an error or asked for anything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#context.close()
    assert.deepEqual(this.#problems, [])
  }

  /** Waits until everything that was asked for is drawn. */
  async frame(): Promise<void> {
    await this.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
  }

  /** The part of the canvas that shows time. */
  async timeArea(): Promise<{ x: number; y: number; width: number }> {
    const box = await this.page.locator("#timeline").boundingBox()
    assert.ok(box)
    const left = this.#isNarrow ? 0 : LABELS
    return { x: box.x + left, y: box.y + TOP, width: box.width - left }
  }

  /** Where an item is in the whole trace: a little right of its beginning, where no name stands, in the middle of its row. */
  async placeOf(item: Item): Promise<Place> {
    const { x, y, width } = await this.timeArea()
    const groups = lanesOf(this.#trace)
    const ends = groups.flatMap(({ lanes }) => lanes.flatMap(({ rows }) => rows.map(({ ends }) => ends.at(-1) ?? 0)))
    const view = fit(limitsOf(0, Math.max(this.#trace.duration, ...ends)), width)
    for (const { lane, rowsY, rowHeight } of place(groups, this.#isNarrow ? NARROW : WIDE).lanes) {
      const row = lane.kind === item.kind ? lane.rows.findIndex(({ ids }) => ids.includes(item.index)) : -1
      if (row < 0) continue
      const { start, end } = intervalOf(this.#trace, item)
      const offset = Math.min(2, (xAt(view, end) - xAt(view, start)) / 2)
      return { x: x + xAt(view, start) + offset, y: y + rowsY + row * rowHeight + 4 }
    }
    assert.fail("the item is on no lane")
  }

  async hover({ x, y }: Place): Promise<void> {
    await this.page.mouse.move(x, y)
    await this.frame()
  }

  async click({ x, y }: Place): Promise<void> {
    await this.page.mouse.click(x, y)
    await this.frame()
  }

  async wheel({ x, y }: Place, delta: number): Promise<void> {
    await this.page.mouse.move(x, y)
    await this.page.mouse.wheel(0, delta)
    await this.frame()
  }

  async drag(from: Place, to: Place): Promise<void> {
    await this.page.mouse.move(from.x, from.y)
    await this.page.mouse.down()
    await this.page.mouse.move(to.x, to.y, { steps: 5 })
    await this.page.mouse.up()
    await this.frame()
  }

  async press(key: string): Promise<void> {
    await this.page.keyboard.press(key)
    await this.frame()
  }

  async tap({ x, y }: Place): Promise<void> {
    await this.page.touchscreen.tap(x, y)
    await this.frame()
  }

  /** Moves two fingers apart around a place. */
  async pinch({ x, y }: Place, from: number, to: number): Promise<void> {
    const session = await this.#context.newCDPSession(this.page)
    const touch = (type: string, distance: number) =>
      session.send("Input.dispatchTouchEvent", {
        type: type as "touchStart",
        touchPoints: type === "touchEnd" ? [] : [-0.5, 0.5].map((side, id) => ({ x: x + side * distance, y, id })),
      })
    await touch("touchStart", from)
    for (let step = 1; step <= 8; step++) await touch("touchMove", from + ((to - from) * step) / 8)
    await touch("touchEnd", to)
    await this.frame()
  }

  /** The text of an element, as a reader sees it, in one line for each block. */
  async text(selector: string): Promise<string> {
    return (await this.page.locator(selector).innerText())
      .replaceAll(/[\u00a0\u202f]/g, " ")
      .replaceAll(/ +/g, " ")
      .trim()
  }

  /** The text about the thing under the pointer; empty if there is none. */
  async tooltip(): Promise<string> {
    return (await this.isVisible("#tooltip")) ? this.text("#tooltip") : ""
  }

  isVisible(selector: string): Promise<boolean> {
    return this.page.isVisible(selector)
  }

  /** The colour of the canvas at a place of the page: `"#rrggbb"`. */
  async colorAt({ x, y }: Place): Promise<string> {
    const box = await this.page.locator("#timeline").boundingBox()
    assert.ok(box)
    const [left, top] = [Math.floor(x - box.x), Math.floor(y - box.y)]
    return this.page.evaluate(`(() => {
      const context = new OffscreenCanvas(1, 1).getContext("2d")
      context.drawImage(document.querySelector("#timeline"), ${left}, ${top}, 1, 1, 0, 0, 1, 1)
      const [red, green, blue] = context.getImageData(0, 0, 1, 1).data
      return "#" + [red, green, blue].map((part) => part.toString(16).padStart(2, "0")).join("")
    })()`)
  }

  /** The whole canvas. */
  picture(): Promise<string> {
    return this.page.evaluate('document.querySelector("#timeline").toDataURL()')
  }

  /** How many rectangles the last frame of an action drew, on average of its frames. */
  async measure(act: () => Promise<void>): Promise<{ rectangles: number }> {
    await this.page.evaluate("rectangles = 0; costs.length = 0")
    await act()
    return this.page.evaluate("({ rectangles: rectangles / Math.max(1, costs.length - 2) })")
  }

  /**
   * Zooms in and out, or moves to and fro, for some frames: milliseconds of each frame's own work, from frame to frame, and of
   * the processor a frame.
   */
  async frameTimes({ x, y }: Place, how: "zoom" | "move"): Promise<{ work: Spread; interval: Spread; cpu: number }> {
    const before = await this.#cpuTime()
    const found = await this.page.evaluate<{ work: number[]; intervals: number[] }>(`(async () => {
      const canvas = document.querySelector("#timeline")
      const intervals = []
      costs.length = 0
      let last = await nextFrame()
      for (let frame = 0; frame < 240; frame++) {
        const by = frame % 60 < 30 ? -60 : 60
        const event = { clientX: ${x}, clientY: ${y}, deltaY: by, shiftKey: ${how === "move"}, cancelable: true }
        canvas.dispatchEvent(new WheelEvent("wheel", event))
        const next = await nextFrame()
        intervals.push(next - last)
        last = next
      }
      return { work: costs.slice(), intervals }
    })()`)
    const cpu = ((await this.#cpuTime()) - before) / found.intervals.length
    return { work: spreadOf(found.work), interval: spreadOf(found.intervals), cpu }
  }

  /** Milliseconds that the processes which draw pages have used, whatever else the machine does. */
  async #cpuTime(): Promise<number> {
    const session = await this.#context.browser()?.newBrowserCDPSession()
    const { processInfo = [] } = (await session?.send("SystemInfo.getProcessInfo")) ?? {}
    await session?.detach()
    return processInfo.reduce((sum, { type, cpuTime }) => sum + (type === "renderer" ? 1000 * cpuTime : 0), 0)
  }
}

/** Milliseconds. */
export interface Spread {
  readonly median: number
  readonly p99: number
}

function spreadOf(times: readonly number[]): Spread {
  const sorted = times.toSorted((a, b) => a - b)
  return { median: sorted[sorted.length >> 1] ?? 0, p99: sorted[Math.floor(0.99 * sorted.length)] ?? 0 }
}
