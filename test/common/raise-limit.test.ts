import assert from "node:assert/strict"
import { test } from "node:test"
import { raiseLimit } from "../../src/common/show.js"

test("the advice to raise a limit names ulimit, except on Windows, which has none", () => {
  for (const platform of ["linux", "darwin"] as const) {
    assert.equal(raiseLimit("locked memory", "-l", platform), "raise the limit on locked memory (ulimit -l), or ")
  }
  assert.equal(raiseLimit("locked memory", "-l", "win32"), "")
})
