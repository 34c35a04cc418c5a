import assert from "node:assert/strict"
import { createHash } from "node:crypto"
import { describe, test } from "node:test"
import { type PackedTrace, unpack } from "../../../src/trace/data/columns.js"
import { toHtml } from "../../../src/trace/write/html.js"
import { syntheticFigures, syntheticTrace } from "../../support/synthetic-trace.js"

const data = syntheticTrace({ spans: 200 })
const page = toHtml(data, syntheticFigures(data))

/** The contents of the only element that begins with this tag. */
function contentsOf(html: string, tag: string): string {
  const [, ...found] = html.split(tag)
  assert.equal(found.length, 1, tag)
  return found[0]?.split("</")[0] ?? ""
}

const DATA = '<script type="application/json" id="trace">'

describe("§12 the page", () => {
  test("has less than 150 KB of code", () => {
    const code = Buffer.byteLength(page) - Buffer.byteLength(contentsOf(page, DATA))
    assert.ok(code < 150_000, `${code} bytes`)
  })

  test("loads nothing and allows nothing but its own code, which has the hashes of its policy", () => {
    const markup = page.replace(contentsOf(page, "<script>"), "").replace(contentsOf(page, "<style>"), "")
    assert.doesNotMatch(markup, /\b(?:src|href|style|on\w+)=/i)
    assert.doesNotMatch(contentsOf(page, "<style>"), /@import|url\(/)
    assert.doesNotMatch(page, /https?:\/\//)
    const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? []
    const hashOf = (tag: string) => `'sha256-${createHash("sha256").update(contentsOf(page, tag)).digest("base64")}'`
    assert.ok(policy.startsWith("default-src 'none';"))
    assert.ok(policy.includes(`script-src ${hashOf("<script>")};`))
    assert.ok(policy.includes(`style-src ${hashOf("<style>")};`))
  })

  test("has the trace and its figures", () => {
    const embedded = JSON.parse(contentsOf(page, DATA)) as { trace: PackedTrace; figures: unknown }
    assert.deepEqual(unpack(embedded.trace), data)
    assert.deepEqual(embedded.figures, syntheticFigures(data))
  })

  test("stays whole whatever the names of the program's kernels are", () => {
    const names = ["</script><script>alert(1)</script>", "<!--", "\u2028", '"', "\\", "</style>"]
    const first = { stream: 0, kind: "kernel", queued: 0, start: 0, end: 1 } as const
    const evil = { ...data, date: "</title><script>", spans: names.map((name) => ({ ...first, name })) }
    const html = toHtml(evil)
    const embedded = JSON.parse(contentsOf(html, DATA)) as { trace: PackedTrace }
    assert.deepEqual(
      unpack(embedded.trace).spans.map(({ name }) => name),
      names,
    )
    assert.equal(html.split("<script").length, 3)
    assert.match(html, /<title>Trace of &lt;\/title>&lt;script>/)
  })
})
