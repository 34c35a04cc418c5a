import assert from "node:assert/strict"
import { test } from "node:test"
import * as layout from "../../src/host/control/layout.js"

test("every kind of command has its own number", () => {
  const kinds = [
    ...[layout.LINK, layout.LAUNCH, layout.COPY, layout.FILL, layout.WAIT, layout.STAMP, layout.BREAK, layout.WRITE],
    ...[
      layout.DROPPABLE,
      layout.CALL,
      layout.WAIT_BRANCH,
      layout.END,
      layout.COMPARE,
      layout.COPY_ROWS,
      layout.FILL_ROWS,
    ],
    ...[layout.JUMP, layout.JUMP_IF_ZERO, layout.JUMP_UNLESS_ZERO],
  ]
  assert.equal(new Set(kinds).size, kinds.length)
  for (const kind of kinds) assert.ok(kind > 0 && kind <= layout.KIND_MASK)
})
