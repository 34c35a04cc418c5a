import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { programs } from "../../bench/sequences/programs.js"
import { autoParallel, captureGraph, type Device, type DeviceArray, openDevice, type PlacementReport } from "auxstream"

/** Sums on a GPU depend on the order of its threads. */
const TOLERANCE = 1e-4

/** How many operations are independent at once, those that set a sum to zero among them; ten stocks meet the limit of 8. */
const streams: Readonly<Record<string, number>> = {
  "vector squares": 3,
  "Black-Scholes": 8,
  "image pipeline": 5,
  ensemble: 2,
  HITS: 4,
  "deep learning": 3,
}

function valuesOf(results: readonly DeviceArray[]): number[] {
  return results.flatMap((array) => Array.from(array.readSync() as ArrayLike<number>))
}

function opened(): Device {
  return openDevice(process.env["AUXSTREAM_TEST_DEVICE"] === "cuda:0" ? "cuda:0" : "host", {})
}

describe("the six programs that are written in sequence", () => {
  for (const { program, sizes } of programs) {
    test(`§14 ${program.name}: in sequence, by hand, with autoParallel, and captured, the results are the same`, async () => {
      using device = opened()
      const { inSequence, byHand, results } = program.open(device, sizes.smallest)
      inSequence()
      const expected = valuesOf(results)
      assert.ok(expected.length > 0 && expected.every(Number.isFinite))
      assert.ok(expected.some((value) => value !== 0))
      let placement: PlacementReport | undefined
      const placed = () => autoParallel(inSequence, { device, explain: (report) => void (placement = report) })
      for (const way of [byHand, placed]) {
        for (const result of results) result.fill(0)
        way()
        close(valuesOf(results), expected)
        using graph = captureGraph(way, { device })
        for (const result of results) result.fill(0)
        graph.launch()
        close(valuesOf(results), expected)
      }
      assert.equal(placement?.streamCount, streams[program.name])
    })
  }
})

function close(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length)
  actual.forEach((value, i) => {
    const of = expected[i] ?? NaN
    assert.ok(Math.abs(value - of) <= TOLERANCE * Math.max(1, Math.abs(of)), `value ${i} is ${value}, not ${of}`)
  })
}
