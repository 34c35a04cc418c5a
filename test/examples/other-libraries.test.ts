import assert from "node:assert/strict"
import { describe, test } from "node:test"
import { listDevices } from "../../src/index.js"
import { runExample } from "./run.js"

describe("the example with another library", () => {
  test("gives the same result with and without the CUDA runtime, and says which it used", () => {
    const { exitCode, output, errors } = runExample("other-libraries/main")
    assert.equal(errors, "")
    assert.equal(exitCode, 0)
    const lines = output.trimEnd().split("\n")
    assert.equal(lines.at(-1), "100 200 300")
    if (!listDevices().some(({ kind, usable }) => kind === "cuda" && usable)) {
      assert.deepEqual(lines.slice(0, -1), [
        "There is no CUDA runtime (no CUDA device is open), so copyFrom makes the copy.",
      ])
    }
  })
})
