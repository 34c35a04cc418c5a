import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { toSvg } from "../../../src/trace/write/svg.js"
import { syntheticTrace } from "../../support/synthetic-trace.js"

const data = syntheticTrace({ spans: 200 })

/** Fails unless the text is well-formed XML of elements, attributes and text. Returns the names of the elements. */
function elementsOf(xml: string): string[] {
  const open: string[] = []
  const names: string[] = []
  const rest = xml.replaceAll(
    /<(\/?)(\w+)((?: [\w:-]+="[^"<]*")*)(\/?)>/g,
    (_, end: string, name: string, _attributes, isEmpty: string) => {
      if (end === "") names.push(name)
      if (end !== "") assert.equal(open.pop(), name)
      else if (isEmpty === "") open.push(name)
      return ""
    },
  )
  assert.deepEqual(open, [])
  assert.doesNotMatch(rest.replaceAll(/&(?:amp|lt|quot);/g, ""), /[<&]/)
  return names
}

const count = (xml: string, text: string) => xml.split(text).length - 1

describe("§12 the SVG picture", () => {
  test("is well-formed, 800 pixels wide, has a name, and needs nothing but itself", () => {
    const svg = toSvg(data)
    const names = elementsOf(svg)
    assert.match(
      svg,
      /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 800 \d+" width="800" height="\d+" role="img" aria-label="Timeline of /,
    )
    assert.ok(!names.includes("script"))
    assert.doesNotMatch(svg.replace("http://www.w3.org/2000/svg", ""), /https?:|url\(|@import|href/)
  })

  test("has its colours for light and for dark", () => {
    const [light = "", dark = ""] = toSvg(data).split("@media (prefers-color-scheme:dark){")
    for (const name of ["page", "text", "muted", "n0", "n17", "memory", "wait", "bracket.parallel"]) {
      const rule = new RegExp(`\\.${name}\\{(?:fill|stroke):(#\\w+)\\}`)
      const [, inLight] = rule.exec(light) ?? []
      const [, inDark] = rule.exec(dark) ?? []
      assert.ok(inLight !== undefined && inDark !== undefined && inLight !== inDark, name)
    }
  })

  test("shows each operation of a part of the trace, and nothing of the rest", () => {
    const [from, to] = [150_000, 300_000]
    const svg = toSvg(data, { from, to })
    const inside = data.spans.filter(({ start, end }) => end > from && start < to)
    const boxes =
      count(svg, "<title>") +
      [...svg.matchAll(/ and (\d+) more<\/title>/g)].reduce((sum, [, more]) => sum + Number(more), 0)
    assert.equal(boxes, inside.length)
    for (const { name } of inside) assert.ok(svg.includes(`<title>${name}`), name)
    assert.ok(!svg.includes("logits") || inside.some(({ name }) => name === "logits"))
  })

  test("has a bracket with mode and reason for each fork-join, and an arrow for each wait, dashed if it was skipped", () => {
    const few = syntheticTrace({ spans: 40 })
    const svg = toSvg(few, { width: 4000 })
    assert.equal(count(svg, 'class="bracket'), few.regions.length)
    assert.match(svg, /maybeExecuteInParallel · in parallel/)
    assert.match(toSvg(data, { width: 4000 }), /in sequence: policy/)
    assert.equal(count(svg, 'class="wait"'), few.waits.filter(({ sent }) => sent).length)
    const skipped = { ...few, waits: few.waits.map((wait) => ({ ...wait, sent: false })) }
    assert.equal(count(toSvg(skipped, { width: 4000 }), 'class="wait skipped"'), few.waits.length)
  })

  test("has only the devices that are asked for, and the host's calls if they are", () => {
    const svg = toSvg(data, { devices: ["cuda:0"] })
    assert.ok(svg.includes(">cuda:0<") && !svg.includes(">host<") && !svg.includes(">Node.js<"))
    assert.ok(toSvg(data, { calls: true }).includes(">Node.js<"))
  })

  test("names its colours below, those of the longest operations first", () => {
    const svg = toSvg(data)
    const legend = svg.slice(svg.indexOf('rx="2"'))
    assert.ok(legend.indexOf("gate_up_experts") > 0)
    assert.ok(legend.indexOf("gate_up_experts") < legend.indexOf("attention"))
  })

  test("stays well-formed whatever the names are", () => {
    const first = { stream: 0, kind: "kernel", queued: 0, start: 0, end: 100 } as const
    const spans = ['<b a="1">&', "\u0000\u001f", "a > b ]]>"].map((name, index) => ({
      ...first,
      name,
      start: 100 * index,
      end: 100 * index + 90,
    }))
    elementsOf(
      toSvg({ ...data, spans, regions: [], waits: [] }, { title: '"<&>"' })
        .replaceAll("]]>", "")
        .replaceAll("> b", "b"),
    )
  })

  for (const [what, options, code] of [
    ["an unknown option", { height: 5 }, "AUX_INVALID_ARGUMENT"],
    ["a width without room", { width: 100 }, "AUX_OUT_OF_RANGE"],
    ["a width that is no number", { width: "800" }, "AUX_OUT_OF_RANGE"],
    ["a time that is no number", { from: NaN }, "AUX_INVALID_ARGUMENT"],
    ["an end before the beginning", { from: 200, to: 100 }, "AUX_OUT_OF_RANGE"],
    ["a title that is no string", { title: 5 }, "AUX_INVALID_ARGUMENT"],
    ["devices that are no list", { devices: "host" }, "AUX_INVALID_ARGUMENT"],
    ["calls that are no boolean", { calls: 1 }, "AUX_INVALID_ARGUMENT"],
    ["no object", null, "AUX_INVALID_ARGUMENT"],
  ] as const) {
    test(`refuses ${what}`, () => {
      assert.throws(() => toSvg(data, options as never), { code })
    })
  }

  test("of an empty trace is a picture, too", () => {
    const nothing = { ...syntheticTrace({ spans: 0 }), streams: [], devices: [] }
    elementsOf(toSvg(nothing))
  })

  test("of a hundred thousand operations stays below a megabyte", () => {
    assert.ok(toSvg(syntheticTrace({ spans: 100_000 })).length < 1_000_000)
  })
})
