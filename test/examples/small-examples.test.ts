import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, test } from "node:test"
import { project, runExample } from "./run.js"

/** Runs an example that must succeed. @returns its lines */
function linesOf(name: string): string[] {
  const { exitCode, output, errors } = runExample(name)
  assert.equal(errors, "")
  assert.equal(exitCode, 0)
  return output.trimEnd().split("\n")
}

describe("the small examples", () => {
  test("ten lines: two parallel launches, a join and a read", () => {
    assert.deepEqual(linesOf("ten-lines"), ["2 4 6 40 50 60"])
  })

  test("auto-parallel: the branches of a layer written in sequence, eagerly and as a graph", () => {
    assert.deepEqual(linesOf("auto-parallel"), [
      "5 operations on 2 streams:",
      "0 linear on stream 0",
      "1 linear on stream 0 after 0 (stream)",
      "2 linear on stream 1",
      "3 linear on stream 1 after 2 (stream)",
      "4 add on stream 1 after 3 (stream), 1 (wait)",
      "41 41",
      "As a graph with 2 branches: 82",
    ])
  })

  test("late join: the router is read while the shared expert runs", () => {
    assert.deepEqual(linesOf("late-join"), ["The router chose expert 2.", "99 198 297 396"])
  })

  test("measured overlap: each size is decided, and every call had its effect", () => {
    const lines = linesOf("measured-overlap")
    const sizes = [256, 65_536, 1_048_576]
    assert.deepEqual(
      lines.slice(0, 3),
      sizes.map((size) => `${size}: 1, 1`),
    )
    assert.equal(lines[3], 'Overlap policy "halves"')
    const keys = lines.slice(5, 8).map((line) => /eager +(\d+) +(parallel|sequential) /.exec(line)?.[1])
    assert.deepEqual(keys, sizes.map(String))
  })

  test("async functions: the current stream follows await, and both results are right", () => {
    const lines = linesOf("async-functions")
    const counted = ["LICENSE", "package.json"].map((name) => {
      const text = readFileSync(join(project, name), "latin1")
      return `${name}: ${text.split("e").length - 1} times "e", ${text.split("\n").length - 1} lines.`
    })
    assert.deepEqual(lines.slice(2), counted)
    // The file system decides which file comes first.
    assert.deepEqual(lines.slice(0, 2).sort(), [
      "LICENSE is counted on the default stream.",
      "package.json is counted on the aux stream.",
    ])
  })

  test("graph: a step captured once decodes the same tokens as the eager step, from each beginning", () => {
    const [captured, ...lines] = linesOf("graph")
    assert.equal(captured, "Captured: 39 operations on 2 streams.")
    const decoded = lines.slice(0, 4).map((line) => /^(\w+) +[\d.]+ ms a step: ([\d ]+) …$/.exec(line))
    assert.deepEqual(
      decoded.map((match) => match?.[1]),
      ["eager", "captured", "eager", "captured"],
    )
    const [eager5, captured5, eager23, captured23] = decoded.map((match) => match?.[2]?.split(" ") ?? [])
    assert.deepEqual(captured5, eager5)
    assert.deepEqual(captured23, eager23)
    assert.deepEqual([eager5?.[0], eager23?.[0], eager5?.length], ["5", "23", 12])
    assert.notDeepEqual(eager5?.slice(1), eager23?.slice(1))
    assert.match(lines.slice(4).join("\n"), /^digraph \{\n[^]*n0 \[label="embed"\]\n[^]*…$/)
  })
})
