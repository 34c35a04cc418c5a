import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { test } from "node:test"
import { fileURLToPath } from "node:url"

const program = fileURLToPath(new URL("forgotten-program.js", import.meta.url))

interface Report {
  readonly result: Readonly<Record<string, unknown>>
  readonly warnings: readonly { readonly code?: string; readonly message: string }[]
  readonly threads: number
}

/** What happens to forgotten objects of one kind, in a process of their own. */
function forgetting(kind: string): Report {
  const args = ["--expose-gc", "--no-warnings", program, kind]
  const output = execFileSync(process.execPath, args, { encoding: "utf8", timeout: 300_000 })
  return JSON.parse(output) as Report
}

/** There must be one warning for many objects, which names their kind and what to do. */
function warnedOnce({ warnings }: Report, code: string, ...words: string[]): void {
  assert.equal(warnings.length, 1, JSON.stringify(warnings))
  assert.equal(warnings[0]?.code, code)
  for (const word of words) assert.ok(warnings[0].message.includes(word), warnings[0].message)
}

test("§8 forgotten arrays are freed when they are collected, with one warning", () => {
  const report = forgetting("arrays")
  warnedOnce(report, "AUX_FORGOTTEN", "DeviceArray", "dispose()")
  assert.ok(Number(report.result["reserved"]) < 64 * 2 ** 20)
  assert.ok(report.threads <= 1)
})

test("§8 a view keeps its array alive until the view is forgotten, too", () => {
  const report = forgetting("views")
  assert.equal(report.result["held"], 4000)
  assert.deepEqual(report.result["values"], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  warnedOnce(report, "AUX_FORGOTTEN", "DeviceArray")
})

test("§8 arrays forgotten while queued work uses them are freed after it", () => {
  const report = forgetting("inUse")
  assert.deepEqual(report.result, { right: true, timedOut: false })
  warnedOnce(report, "AUX_FORGOTTEN", "DeviceArray")
})

test("§8 forgotten streams are destroyed, with one warning; no thread is left", () => {
  const report = forgetting("streams")
  warnedOnce(report, "AUX_FORGOTTEN", "Stream", "dispose()")
  assert.ok(report.threads <= 1)
})

test("§8 forgotten events return to their pool, without a warning", () => {
  const report = forgetting("events")
  assert.deepEqual(report.warnings, [])
  const made = Number(report.result["made"])
  assert.ok(made < 1000, `${made} of 2000 events were made`)
})

test("§8 forgotten events whose handles were read stay until the device closes, because others may use them", () => {
  assert.deepEqual(forgetting("shownEvents").result, { destroyed: 0, whenDisposed: 1 })
})

test("§5.11 forgotten forks are joined by the stream that they came from, with one warning", () => {
  const report = forgetting("forks")
  assert.equal(report.result["timedOut"], false)
  warnedOnce(report, "AUX_UNJOINED", "fork", "join()")
})

test("§8 forgotten pinned arrays are freed when they are collected, with one warning", () => {
  warnedOnce(forgetting("pinned"), "AUX_FORGOTTEN", "PinnedArray", "dispose()")
})

test("§7, §8 forgotten graphs are freed unless their results are held, with one warning", () => {
  const report = forgetting("graphs")
  assert.deepEqual(report.result, { values: [4 * 3 + 2] })
  warnedOnce(report, "AUX_FORGOTTEN", "Graph", "dispose()")
  assert.ok(report.warnings.every(({ message }) => !message.includes("scope")))
})

test("§7 a forgotten capture that can never end is cancelled, with one warning", () => {
  const report = forgetting("captures")
  assert.deepEqual(report.result, { held: [4000], values: [3] })
  warnedOnce(report, "AUX_FORGOTTEN", "captured", "cancelled")
})

test("§5 rule 9: unjoined forks are joined at their capture's end, without a warning", () => {
  assert.deepEqual(forgetting("capturedForks").warnings, [])
})

test("§8 there is no warning for objects that are disposed of, made inside a scope, wrapped or joined", () => {
  const report = forgetting("nothing")
  assert.deepEqual(report.warnings, [])
})
